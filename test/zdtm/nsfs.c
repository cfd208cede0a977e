/* Descriptors of its own namespaces. "other": of one that it has left. */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zdtm.h"

static const char *const types[] = { "cgroup", "ipc", "mnt", "net", "pid", "user", "uts" };
#define TYPES (sizeof(types) / sizeof(*types))

static int ns(pid_t pid, const char *type)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid, type);
	fd = open(path, O_RDONLY);
	check(fd >= 0);
	return fd;
}

/* Of a child's uts namespace. */
static void open_other(void)
{
	int ready[2], status;
	char byte;
	pid_t pid;

	check(pipe(ready) == 0);
	pid = fork();
	check(pid >= 0);
	if (pid == 0) {
		check(unshare(CLONE_NEWUTS) == 0 && write(ready[1], "", 1) == 1);
		while (1)
			pause();
	}
	check(read(ready[0], &byte, 1) == 1);
	ns(pid, "uts");
	check(kill(pid, SIGKILL) == 0 && waitpid(pid, &status, 0) == pid);
	close(ready[0]);
	close(ready[1]);
}

int main(int argc, char **argv)
{
	int fds[TYPES];
	struct stat a, b;
	char path[64];

	for (size_t i = 0; i < TYPES; i++)
		fds[i] = ns(getpid(), types[i]);
	if (argc > 1)
		open_other();

	zdtm_park();

	for (size_t i = 0; i < TYPES; i++) {
		snprintf(path, sizeof(path), "/proc/self/ns/%s", types[i]);
		check(fstat(fds[i], &a) == 0 && stat(path, &b) == 0 && a.st_ino == b.st_ino);
	}
	check(setns(fds[6], CLONE_NEWUTS) == 0);
	return zdtm_pass();
}
