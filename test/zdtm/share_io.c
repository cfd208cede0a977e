/*
 * Who shares an I/O context (CLONE_IO): a priority that is set for one of them
 * holds for all; and who has none in common, and shares no list of semaphore operations either.
 *
 *	share_io             a child and a thread that share it, a child and a thread that do not
 *	share_io apart       (refused) two threads that share one that is not the leader's
 */
#include <linux/kcmp.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zdtm.h"

#define IDLE   (3 << 13)
#define BEST   (2 << 13 | 6)
#define STACK  65536
#define THREAD (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD)

static char stacks[4][STACK];
static pid_t ids[6]; /* ourselves, then those that were made */
static size_t n;
static char pictures[2][64];

static long ioprio(pid_t id)
{
	return syscall(SYS_ioprio_get, 1, id);
}

/* By plain system calls only: a thread that the C library knows nothing of. */
static int wait_long(void *arg)
{
	for (;;)
		syscall(SYS_pause);
	return 0;
}

static int with_own(void *arg)
{
	syscall(SYS_ioprio_set, 1, 0, BEST);
	ids[n] = clone(wait_long, stacks[3] + STACK, THREAD | CLONE_SYSVSEM | CLONE_IO, NULL);
	__atomic_add_fetch(&n, 1, __ATOMIC_SEQ_CST);
	return wait_long(NULL);
}

static void add(int (*run)(void *), unsigned long flags)
{
	ids[n] = clone(run, stacks[n % 3] + STACK, (int)flags, NULL);
	check(ids[n] > 0);
	n++;
}

static void picture(char *text)
{
	static const int types[] = { KCMP_IO, KCMP_SYSVSEM };

	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < i; j++)
			for (int k = 0; k < 2; k++)
				*text++ = (char)('0' + (syscall(SYS_kcmp, ids[i], ids[j], types[k],
				                                0, 0) == 0));
	*text = '\0';
}

int main(int argc, char **argv)
{
	ids[n++] = getpid();
	check(syscall(SYS_ioprio_set, 1, 0, BEST) == 0);
	if (argc > 1 && !strcmp(argv[1], "apart")) {
		add(with_own, THREAD | CLONE_SYSVSEM);
		while (__atomic_load_n(&n, __ATOMIC_SEQ_CST) < 3)
			zdtm_nap();
		zdtm_park();
		return zdtm_pass();
	}
	add(wait_long, CLONE_IO | SIGCHLD);
	add(wait_long, SIGCHLD);
	add(wait_long, THREAD | CLONE_IO | CLONE_SYSVSEM);
	ids[n] = clone(wait_long, stacks[3] + STACK, THREAD, NULL);
	check(ids[n++] > 0);
	picture(pictures[0]);

	zdtm_park();

	picture(pictures[1]);
	check(!strcmp(pictures[0], pictures[1]));
	for (size_t i = 0; i < n; i++)
		check(ioprio(ids[i]) == BEST);
	check(syscall(SYS_ioprio_set, 1, ids[1], IDLE) == 0);
	for (size_t i = 0; i < n; i++)
		check(ioprio(ids[i]) == (i == 2 || i == 4 ? BEST : IDLE));
	for (size_t i = 1; i < 3; i++) {
		check(kill(ids[i], SIGKILL) == 0);
		check(waitpid(ids[i], NULL, 0) == ids[i]);
	}
	return zdtm_pass();
}
