/*
 * A command is for sh(1), and finds what it is about in its environment, under
 * the names that users of CRIU know. What it prints goes to stderr: stdout
 * may be a stream, or JSON.
 */
#include "cli/action.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/array.h"
#include "lib/child.h"
#include "lib/log.h"

static int tell(const struct actions *a, const char *moment, pid_t root)
{
	char dir[PATH_MAX], pid[16];

	snprintf(pid, sizeof(pid), "%d", root);
	if (setenv("CRTOOLS_SCRIPT_ACTION", moment, 1) < 0 ||
	    setenv("CRTOOLS_IMAGE_DIR", realpath(a->dir, dir) ? dir : a->dir, 1) < 0 ||
	    (root ? setenv("CRTOOLS_INIT_PID", pid, 1) : unsetenv("CRTOOLS_INIT_PID")) < 0)
		return -errno;
	return 0;
}

/* Its wait status. It may take its time. */
static int run(const char *command, int *ret_status)
{
	const char *const argv[] = { "sh", "-c", command, NULL };
	pid_t pid;
	int r = child_spawn(argv, STDIN_FILENO, STDERR_FILENO, &pid);

	if (r < 0)
		return r;
	while (waitpid(pid, ret_status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

static int explain(const char *command, const char *moment, int status)
{
	if (WIFSIGNALED(status))
		return fail(-ECANCELED, "--action-script %s: at %s: ended by signal %d (%s)",
		            command, moment, WTERMSIG(status), strsignal(WTERMSIG(status)));
	return fail(-ECANCELED, "--action-script %s: at %s: ended with status %d", command, moment,
	            WEXITSTATUS(status));
}

int action_run(void *arg, const char *moment, pid_t root)
{
	const struct actions *a = arg;
	int r = a->commands.n ? tell(a, moment, root) : 0, status = 0;

	if (r < 0)
		return fail(r, "--action-script: its environment");
	array_each (command, &a->commands) {
		r = run(*command, &status);
		if (r < 0)
			return fail(r, "--action-script %s: at %s: run it", *command, moment);
		if (status)
			return explain(*command, moment, status);
	}
	return 0;
}
