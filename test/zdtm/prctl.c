/* Personality, TSC, speculation, memory failure policy and I/O flags of two threads. */
#include <pthread.h>
#include <stdbool.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "zdtm.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#define PR_GET_IO_FLUSHER 58
#endif

#define ARCH_GET_CPUID 0x1011
#define ARCH_SET_CPUID 0x1012

static pthread_barrier_t ready;
static long speculation, cpuid_faults;
static bool flusher;

static void *thread(void *arg)
{
	int tsc;

	check(prctl(PR_SET_TSC, PR_TSC_SIGSEGV) == 0);
	check(personality(PER_LINUX | ADDR_NO_RANDOMIZE) != -1);
	check(prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0) == 0);
	prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, PR_SPEC_DISABLE, 0, 0);
	speculation = prctl(PR_GET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, 0, 0, 0);
	cpuid_faults = syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0) == 0;
	flusher = prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) == 0; /* with CAP_SYS_RESOURCE */
	pthread_barrier_wait(&ready);
	while (!zdtm_released())
		zdtm_nap();
	check(prctl(PR_GET_TSC, &tsc) == 0 && tsc == PR_TSC_SIGSEGV);
	check(personality(0xffffffff) == (PER_LINUX | ADDR_NO_RANDOMIZE));
	check(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0) == PR_MCE_KILL_EARLY);
	check(prctl(PR_GET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, 0, 0, 0) == speculation);
	check(!flusher || prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0) == 1);
	check(syscall(SYS_arch_prctl, ARCH_GET_CPUID, 0) == !cpuid_faults);
	return NULL;
}

int main(void)
{
	pthread_t th;
	int tsc;

	check(personality(PER_LINUX | READ_IMPLIES_EXEC | STICKY_TIMEOUTS) != -1);
	check(pthread_barrier_init(&ready, NULL, 2) == 0);
	check(pthread_create(&th, NULL, thread, NULL) == 0);
	pthread_barrier_wait(&ready);

	zdtm_park();

	check(personality(0xffffffff) == (PER_LINUX | READ_IMPLIES_EXEC | STICKY_TIMEOUTS));
	check(prctl(PR_GET_TSC, &tsc) == 0 && tsc == PR_TSC_ENABLE);
	check(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0) == PR_MCE_KILL_DEFAULT);
	check(!flusher || prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0) == 0);
	check(syscall(SYS_arch_prctl, ARCH_GET_CPUID, 0) == 1);
	check(pthread_join(th, NULL) == 0);
	return zdtm_pass();
}
