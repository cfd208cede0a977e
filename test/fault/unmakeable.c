/*
 * A tree that no restore can make: two children of one process are in the session of somebody who is gone, one with
 * SIGCHLD at its end and one without.
 */
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zdtm.h"

static int *ready;

static pid_t begin(unsigned long flags)
{
	pid_t pid = (pid_t)syscall(SYS_clone, flags, 0, 0, 0, 0);

	check(pid >= 0);
	if (pid == 0)
		check(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
	return pid;
}

static void idle(void)
{
	__atomic_add_fetch(ready, 1, __ATOMIC_SEQ_CST);
	for (;;)
		pause();
}

/* Both are forked in the session that it leaves then. */
static void parent_of_both(void)
{
	if (begin(0) == 0 || begin(SIGCHLD) == 0)
		idle();
	check(setsid() > 0);
	idle();
}

int main(void)
{
	pid_t leader;

	ready = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	check(ready != MAP_FAILED);
	check(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
	leader = begin(SIGCHLD);
	if (leader == 0) {
		check(setsid() > 0);
		if (fork() == 0)
			parent_of_both();
		while (__atomic_load_n(ready, __ATOMIC_SEQ_CST) < 3)
			zdtm_nap();
		_exit(0);
	}
	check(waitpid(leader, NULL, 0) == leader);
	zdtm_park();
	return zdtm_pass();
}
