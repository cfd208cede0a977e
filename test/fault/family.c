/*
 * A small tree that looks after itself: a child with a child of its own, all
 * sleeping and counting; the parent hears from both that they still do.
 */
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zdtm.h"

static void live(void)
{
	while (!zdtm_released())
		check(poll(NULL, 0, 2) == 0);
}

static pid_t child(int depth)
{
	pid_t pid = fork();
	int status;

	check(pid >= 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (depth) {
		pid = child(depth - 1);
		live();
		check(waitpid(pid, &status, 0) == pid && status == 0);
	} else {
		live();
	}
	_exit(0);
}

int main(void)
{
	pid_t pid = child(1);
	int status;

	zdtm_park();
	check(waitpid(pid, &status, 0) == pid && status == 0);
	return zdtm_pass();
}
