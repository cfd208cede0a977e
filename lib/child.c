#include "lib/child.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRIES 10

void child_end(pid_t pid)
{
	int tries = 0;

	while (kill(pid, SIGKILL) < 0)
		if (errno == ESRCH || ++tries == TRIES)
			return;
	while (waitpid(pid, NULL, __WALL) < 0 && errno != ECHILD)
		continue;
}

int child_spawn(const char *const argv[], int in, int out, pid_t *ret)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t defaults, none;
	int r;

	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attr);
	sigfillset(&defaults);
	sigemptyset(&none);
	posix_spawnattr_setsigdefault(&attr, &defaults);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	r = posix_spawnp(ret, argv[0], &actions, &attr, (char *const *)argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return -r;
}

const char *child_limits(int r)
{
	return r == -EAGAIN ? " (the processes of its user, or its memory, are limited: raise that "
	                      "by ulimit -u, ulimit -d)"
	                    : "";
}
