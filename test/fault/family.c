/*
 * A small tree that looks after itself: COUNT children (or one), each with a child of its own, all
 * sleeping and counting; the parent hears from all that they still do.
 *
 *	family [COUNT]    with it nobody ends because his parent does
 */
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zdtm.h"

static void live(void)
{
	while (!zdtm_released())
		check(poll(NULL, 0, 2) == 0);
}

static bool alone;

static pid_t child(int depth)
{
	pid_t pid = fork();
	int status;

	check(pid >= 0);
	if (pid)
		return pid;
	if (!alone)
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

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 1, status;
	pid_t pid[64];

	check(n <= 64);
	alone = argc > 1;
	for (int i = 0; i < n; i++)
		pid[i] = child(1);
	zdtm_park();
	for (int i = 0; i < n; i++)
		check(waitpid(pid[i], &status, 0) == pid[i] && status == 0);
	return zdtm_pass();
}
