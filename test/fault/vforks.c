/*
 * A child that computes, and one that waits in vfork(2) until the release, from the moment on that there is a file
 * "vfork": for as long nobody can stop it.
 */
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zdtm.h"

static void compute(void)
{
	while (!zdtm_released())
		continue;
}

static void wait_in_vfork(void)
{
	while (access("vfork", F_OK) < 0 && !zdtm_released())
		poll(NULL, 0, 2);
	if (vfork() == 0) {
		while (access("release", F_OK) < 0)
			poll(NULL, 0, 2);
		_exit(0);
	}
}

static pid_t child(void (*what)(void))
{
	pid_t pid = fork();

	check(pid >= 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	what();
	_exit(0);
}

static void await(pid_t pid)
{
	int status;

	check(waitpid(pid, &status, 0) == pid && status == 0);
}

int main(void)
{
	pid_t first = child(compute), second = child(wait_in_vfork);

	zdtm_park();
	await(first);
	await(second);
	return zdtm_pass();
}
