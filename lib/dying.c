#include "lib/dying.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOK_US 500   /* between two looks at who is left */
#define LOOKS   20000 /* ten seconds */

#define EVENT(status) ((unsigned)(status) >> 16)

static DIR *open_threads(pid_t pid)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	return opendir(path);
}

static pid_t next_thread(DIR *dir)
{
	struct dirent *de;
	pid_t tid = 0;

	while (tid <= 0 && (de = readdir(dir)))
		tid = atoi(de->d_name);
	return tid;
}

static int hold(struct dying *y, pid_t tid)
{
	pid_t *slot = array_add(&y->threads);

	if (!slot)
		return -ENOMEM;
	*slot = tid;
	if (ptrace(PTRACE_SEIZE, tid, NULL, PTRACE_O_TRACEEXIT) == 0)
		return 0;
	y->threads.n--;
	return errno == ESRCH ? 0 : -errno;
}

int dying_hold(struct dying *y, pid_t pid)
{
	DIR *dir = open_threads(pid);
	int r = dir ? 0 : -errno;
	pid_t tid;

	*y = (struct dying){ .pid = pid };
	while (r == 0 && (tid = next_thread(dir)) > 0) {
		r = hold(y, tid);
		/* Who runs cannot be let go again: without the others then. */
		if (y->threads.n)
			r = 0;
	}
	if (dir)
		closedir(dir);
	if (r < 0)
		array_done(&y->threads);
	return r;
}

/* Of the process, not of this thread alone. */
static bool is_the_end(const struct dying *y, pid_t tid)
{
	unsigned long code = 0;

	return ptrace(PTRACE_GETEVENTMSG, tid, NULL, &code) < 0 || tid == y->pid || code & 0x7f;
}

static void forget(struct dying *y, pid_t tid)
{
	for (size_t i = 0; i < y->threads.n; i++)
		if (y->threads.v[i] == tid)
			y->threads.v[i--] = y->threads.v[--y->threads.n];
}

/* As if nobody traced it. */
static void go_on(pid_t tid, int status)
{
	int sig = WSTOPSIG(status);

	if (EVENT(status) == PTRACE_EVENT_STOP && sig != SIGTRAP)
		ptrace(PTRACE_LISTEN, tid, NULL, NULL);
	else
		ptrace(PTRACE_CONT, tid, NULL, EVENT(status) ? 0 : sig);
}

/* Threads that are not held die by themselves. */
static void await_others(const struct dying *y)
{
	size_t left = y->threads.n + 1;

	for (int i = 0; left > y->threads.n && i < LOOKS; i++) {
		DIR *dir = open_threads(y->pid);

		if (i)
			usleep(LOOK_US);
		for (left = 0; dir && next_thread(dir) > 0;)
			left++;
		if (dir)
			closedir(dir);
	}
}

void dying_await(struct dying *y)
{
	while (y->threads.n > y->exiting) {
		int status;
		pid_t tid = waitpid(-1, &status, __WALL);

		if (tid < 0 && errno == EINTR)
			continue;
		if (tid < 0)
			return;
		if (!WIFSTOPPED(status))
			forget(y, tid);
		else if (EVENT(status) == PTRACE_EVENT_EXIT && is_the_end(y, tid))
			y->exiting++;
		else
			go_on(tid, status);
	}
	await_others(y);
}

void dying_done(struct dying *y)
{
	array_each (tid, &y->threads)
		ptrace(PTRACE_DETACH, *tid, NULL, NULL);
	array_done(&y->threads);
}
