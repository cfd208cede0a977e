#include "lib/child.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

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
