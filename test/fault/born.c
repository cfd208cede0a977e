/*
 * One of three threads forks a child, and that a child of its own, as soon as there is a file "fork". All of them
 * have the mappings, the code of the vDSO and the descriptors at the end that the first of them had in the beginning.
 *
 *	born [orphan]    the child ends at once, and leaves the other alone
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zdtm.h"

#define TEXT (1 << 16)

static char before[TEXT], after[TEXT], vdso[TEXT];
static bool orphan;
static int free_fd; /* the lowest number that none has */

static int lowest(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	check(fd >= 0 && close(fd) == 0);
	return fd;
}

/* Not the flags of smaps: memory may be tracked. */
static void maps_read(char *text)
{
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	size_t have = 0;
	ssize_t n;

	check(fd >= 0);
	while ((n = read(fd, text + have, TEXT - 1 - have)) > 0)
		have += (size_t)n;
	check(n == 0 && close(fd) == 0);
}

/* Its place, and how much there is of it. */
static const char *vdso_find(size_t *ret_size)
{
	const char *line = strstr(before, "[vdso]");
	unsigned long start, end;

	check(line);
	while (line > before && line[-1] != '\n')
		line--;
	check(sscanf(line, "%lx-%lx", &start, &end) == 2 && end - start <= TEXT);
	*ret_size = end - start;
	return (const char *)start;
}

static bool is_vdso_as_before(void)
{
	size_t size;
	const char *at = vdso_find(&size);

	return !memcmp(vdso, at, size);
}

static void vdso_read(void)
{
	size_t size;
	const char *at = vdso_find(&size);

	memcpy(vdso, at, size);
}

static bool is_as_before(void)
{
	memset(after, 0, sizeof(after));
	maps_read(after);
	if (strcmp(before, after) != 0)
		dprintf(2, "--- before:\n%s--- after:\n%s", before, after);
	return !strcmp(before, after) && is_vdso_as_before() && lowest() == free_fd;
}

static void live(void)
{
	while (!zdtm_released())
		zdtm_nap();
	check(is_as_before());
}

static void say(const char *name)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);

	check(fd >= 0 && close(fd) == 0);
}

static void wait_for(const char *name)
{
	while (access(name, F_OK) < 0)
		zdtm_nap();
}

/* By then it is nobody's of the tree. */
static void leave_orphan(void)
{
	pid_t parent = getpid(), pid = fork();

	check(pid >= 0);
	if (pid)
		_exit(0);
	while (getppid() == parent)
		zdtm_nap();
	say("forked");
	live();
	say("orphan");
	_exit(0);
}

static pid_t descend(int depth)
{
	pid_t pid = fork();
	int status;

	check(pid >= 0);
	if (pid)
		return pid;
	if (orphan)
		leave_orphan();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pid = depth ? descend(depth - 1) : 0;
	if (!depth)
		say("forked");
	live();
	check(!depth || (waitpid(pid, &status, 0) == pid && status == 0));
	_exit(0);
}

static void *rest(void *arg)
{
	while (!zdtm_released())
		zdtm_nap();
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t threads[2];
	pid_t pid = 0;
	int status;

	orphan = argc > 1;
	for (int i = 0; i < 2; i++)
		check(pthread_create(&threads[i], NULL, rest, NULL) == 0);
	zdtm_nap();
	maps_read(before);
	vdso_read();
	free_fd = lowest();
	zdtm_parked();
	while (access("fork", F_OK) < 0 && !zdtm_released())
		zdtm_nap();
	if (!zdtm_released())
		pid = descend(1);
	live();
	if (pid && orphan)
		wait_for("orphan");
	check(!pid || (waitpid(pid, &status, 0) == pid && status == 0));
	return zdtm_pass();
}
