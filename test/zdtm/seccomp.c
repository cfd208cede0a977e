/*
 * "shared": two filters for both threads, and a third for all (TSYNC) after
 * the restore. "own": the thread has one more. "notify": a
 * filter that asks a supervisor.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "zdtm.h"

static pthread_barrier_t ready;

/* From now on, system call NR ends by ACTION. */
static long forbid(unsigned nr, unsigned action, unsigned flags)
{
	struct sock_filter insns[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog prog = { sizeof(insns) / sizeof(insns[0]), insns };

	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog);
}

static int errno_of(long nr)
{
	return syscall(nr) == -1 ? errno : 0;
}

static void *thread(void *arg)
{
	if (arg)
		check(forbid(SYS_getpgrp, SECCOMP_RET_ERRNO | 33, 0) == 0);
	pthread_barrier_wait(&ready);
	while (!zdtm_released())
		zdtm_nap();
	check(errno_of(SYS_getppid) == 22 && errno_of(SYS_getuid) == 11);
	check(errno_of(SYS_getpgrp) == (arg ? 33 : 0));
	if (!arg) {
		pthread_barrier_wait(&ready); /* TSYNC comes */
		pthread_barrier_wait(&ready);
		check(errno_of(SYS_getgid) == 44);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	bool own = !strcmp(argv[1], "own");
	pthread_t th;

	check(!own || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	if (!strcmp(argv[1], "notify"))
		check(forbid(SYS_getsid, SECCOMP_RET_USER_NOTIF,
		             SECCOMP_FILTER_FLAG_NEW_LISTENER) >= 0);
	check(forbid(SYS_getppid, SECCOMP_RET_ERRNO | 22, SECCOMP_FILTER_FLAG_LOG) == 0);
	check(forbid(SYS_getuid, SECCOMP_RET_ERRNO | 11, 0) == 0);
	check(pthread_barrier_init(&ready, NULL, 2) == 0);
	check(pthread_create(&th, NULL, thread, own ? argv : NULL) == 0);
	pthread_barrier_wait(&ready);

	zdtm_park();

	check(errno_of(SYS_getppid) == 22 && errno_of(SYS_getuid) == 11);
	check(errno_of(SYS_getpgrp) == 0);
	check(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == own);
	if (!own) {
		pthread_barrier_wait(&ready);
		check(forbid(SYS_getgid, SECCOMP_RET_ERRNO | 44, SECCOMP_FILTER_FLAG_TSYNC) == 0);
		pthread_barrier_wait(&ready);
	}
	check(pthread_join(th, NULL) == 0);
	return zdtm_pass();
}
