#include "lib/dying.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/deadline.h"

#define LOOK_US 500   /* between two looks at who is left */
#define LOOKS   20000 /* ten seconds */

#define REST_NS UINT64_C(10000000000) /* from the first thread to the last */

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

static bool is_held(const struct dying *y, pid_t tid)
{
	for (size_t i = 0; i < y->threads.n; i++)
		if (y->threads.v[i] == tid)
			return true;
	return false;
}

static int hold(struct dying *y, pid_t tid)
{
	pid_t *slot = is_held(y, tid) ? &tid : array_add(&y->threads);

	if (slot == &tid)
		return 0;
	if (!slot)
		return -ENOMEM;
	*slot = tid;
	if (ptrace(PTRACE_SEIZE, tid, NULL, PTRACE_O_TRACEEXIT) == 0)
		return 0;
	y->threads.n--;
	return errno == ESRCH ? 0 : -errno;
}

/* Who runs cannot be let go again: without the others then, if there is one. */
static int hold_all(struct dying *y)
{
	DIR *dir = open_threads(y->pid);
	int r = dir ? 0 : -errno;
	pid_t tid;

	while (r == 0 && (tid = next_thread(dir)) > 0) {
		r = hold(y, tid);
		if (y->threads.n)
			r = 0;
	}
	if (dir)
		closedir(dir);
	return r;
}

int dying_hold(struct dying *y, pid_t pid)
{
	/* Crtool does not want to be told of stops; we do. */
	const struct sigaction sa = { .sa_handler = SIG_DFL };
	int r;

	*y = (struct dying){ .pid = pid };
	sigaction(SIGCHLD, &sa, NULL);
	r = hold_all(y);
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

static void take_stop(struct dying *y, pid_t tid, int status)
{
	if (!WIFSTOPPED(status))
		forget(y, tid);
	else if (EVENT(status) == PTRACE_EVENT_EXIT && is_the_end(y, tid))
		y->exiting++;
	else
		go_on(tid, status);
}

/* One of the signals, or 0 after a while, if there is an end to that. */
static int await_news(const sigset_t *awaited, uint64_t until)
{
	const struct timespec glance = { .tv_nsec = 100000000 };
	int sig = until ? sigtimedwait(awaited, NULL, &glance) : sigwaitinfo(awaited, NULL);

	return sig < 0 ? 0 : sig;
}

void dying_await(struct dying *y)
{
	uint64_t until = 0;
	sigset_t awaited;

	sigemptyset(&awaited);
	sigaddset(&awaited, SIGCHLD);
	sigaddset(&awaited, DYING_NEWS);
	for (;;) {
		int status;
		pid_t tid;

		while ((tid = waitpid(-1, &status, __WALL | WNOHANG)) > 0)
			take_stop(y, tid, status);
		if (y->exiting && !until)
			until = clock_ns() + REST_NS;
		if (y->threads.n <= y->exiting || (until && clock_ns() >= until))
			break;
		if (await_news(&awaited, until) == DYING_NEWS)
			hold_all(y);
	}
	await_others(y);
}

void dying_done(struct dying *y)
{
	array_each (tid, &y->threads)
		ptrace(PTRACE_DETACH, *tid, NULL, NULL);
	array_done(&y->threads);
}
