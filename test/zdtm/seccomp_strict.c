/*
 * A thread in strict mode, which may only read, write and exit. status is
 * asked, for it would not survive to tell.
 */
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "zdtm.h"

static int channel[2];
static pid_t tid;

static void *thread(void *arg)
{
	char c = 0;

	__atomic_store_n(&tid, gettid(), __ATOMIC_SEQ_CST);
	check(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) == 0);
	syscall(SYS_read, channel[0], &c, 1);
	syscall(SYS_exit, 0);
	return NULL;
}

static bool is_strict(void)
{
	char path[64], line[128];
	bool strict = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", tid);
	f = fopen(path, "re");
	check(f);
	while (fgets(line, sizeof(line), f))
		strict |= !strcmp(line, "Seccomp:\t1\n");
	fclose(f);
	return strict;
}

int main(void)
{
	pthread_t th;

	check(pipe(channel) == 0);
	check(pthread_create(&th, NULL, thread, NULL) == 0);
	while (!__atomic_load_n(&tid, __ATOMIC_SEQ_CST) || !is_strict())
		zdtm_nap();

	zdtm_park();

	check(is_strict());
	check(write(channel[1], "", 1) == 1);
	check(pthread_join(th, NULL) == 0);
	return zdtm_pass();
}
