/* The functions of the vDSO, by the addresses that the program knows of old. */
#include <sched.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "zdtm.h"

static double seconds(const struct timespec *t)
{
	return (double)t->tv_sec + (double)t->tv_nsec / 1e9;
}

/* The vDSO and the kernel agree. */
static void verify(void)
{
	static const clockid_t clocks[] = { CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME,
		                            CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE };
	struct timeval tv;
	unsigned cpu;

	for (size_t i = 0; i < sizeof(clocks) / sizeof(*clocks); i++) {
		struct timespec fast, slow;

		check(clock_gettime(clocks[i], &fast) == 0);
		check(syscall(SYS_clock_gettime, clocks[i], &slow) == 0);
		check(seconds(&fast) <= seconds(&slow) && seconds(&slow) - seconds(&fast) < 2);
		check(clock_getres(clocks[i], &fast) == 0);
	}
	check(gettimeofday(&tv, NULL) == 0 && labs(tv.tv_sec - time(NULL)) < 2);
	check(getcpu(&cpu, NULL) == 0 && cpu < 4096);
}

int main(void)
{
	unsigned long at = getauxval(AT_SYSINFO_EHDR);

	verify();

	zdtm_park();

	verify();
	check(getauxval(AT_SYSINFO_EHDR) == at && *(const char *)at == 0x7f);
	return zdtm_pass();
}
