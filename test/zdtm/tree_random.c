/*
 * Trees as nobody would think of them: sessions and groups whose leaders are
 * gone or zombies, daemons below any subreaper, siblings that fork siblings,
 * stopped ones, threads that fork, main threads that have exited. What the tree is
 * like is seen from outside (test/fidelity).
 *
 *	tree_random SEED    the tree of that number
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zdtm.h"

#define TASKS 40
#define DEPTH 4

/* Made before its first child, and all that it shall be when it is built. */
static struct shared {
	unsigned state; /* of the random numbers: tasks are built one after the other */
	int tasks, built[TASKS];
	pid_t pid[TASKS];
} * shared;

static unsigned chance(unsigned n)
{
	shared->state = shared->state * 1103515245 + 12345;
	return (shared->state >> 16) % n;
}

static void build(int depth, int self);

static void idle(void)
{
	for (;;)
		pause();
}

static void *idle_thread(void *arg)
{
	idle();
	return NULL;
}

/* What becomes of it when all of its subtree is there. Never returns, but for 0: it is reaped. */
static void become(int self)
{
	pthread_t t;
	unsigned what = chance(12);

	if (what == 1) {
		check(pthread_create(&t, NULL, idle_thread, NULL) == 0);
		shared->built[self] = 1;
		syscall(SYS_exit, 0); /* its main thread alone */
	}
	if (what == 2)
		check(pthread_create(&t, NULL, idle_thread, NULL) == 0);
	shared->built[self] = what == 3 ? 3 : what == 4 ? 4 : what == 5 ? 5 : 1;
	if (what == 4 || what == 5)
		_exit(self); /* a zombie, or reaped */
	idle();
}

/* By clone(2), with FLAGS of it. */
static pid_t spawn(unsigned long flags, int depth, int self)
{
	pid_t pid = (pid_t)syscall(SYS_clone, flags, 0, 0, 0, 0);

	check(pid >= 0);
	if (pid == 0) {
		shared->pid[self] = getpid();
		build(depth, self);
		become(self);
	}
	return pid;
}

static char state_of(pid_t pid)
{
	char path[64], text[512] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (!f || !fgets(text, sizeof(text), f))
		return 0;
	fclose(f);
	return strrchr(text, ')')[2];
}

/* Or it is let go on at once: the kernel does so with groups that nobody watches over any more. */
static void await_state(pid_t pid, char state)
{
	for (int i = 0; i < 500 && state_of(pid) != state; i++)
		zdtm_nap();
}

/* One child with all that is below it; what has fallen off it is where it belongs. */
static void add_child(int depth)
{
	static const int signals[] = { SIGCHLD, SIGCHLD, SIGCHLD, SIGCHLD, SIGCHLD, 0, SIGWINCH };
	int self = shared->tasks++;
	unsigned how = chance(8);
	unsigned long flags = (unsigned long)signals[chance(7)];
	pid_t pid;

	/* The parent of the root is not in the tree. */
	if (how == 0 && depth > 1)
		flags |= CLONE_PARENT;
	pid = spawn(flags, depth, self);
	while (!shared->built[self])
		zdtm_nap();
	if (shared->built[self] == 3) {
		check(kill(pid, SIGSTOP) == 0);
		await_state(pid, 'T');
		if (chance(2))
			waitpid(pid, NULL, WUNTRACED | WNOHANG | __WALL);
	} else if (shared->built[self] > 3) {
		/* One without a signal at its end, or whose parent is another, may not be ours to reap. */
		if (shared->built[self] == 5 && waitpid(pid, NULL, __WALL) == pid)
			return;
		await_state(pid, 'Z');
	}
	if (state_of(pid) != 'Z' && chance(4) == 0)
		setpgid(pid, 0);
	if (chance(4) == 0)
		setpgid(pid, shared->pid[chance((unsigned)shared->tasks)]);
}

struct forker {
	int depth;
};

static void *fork_in_thread(void *arg)
{
	add_child(((struct forker *)arg)->depth);
	idle();
	return NULL;
}

static void wait_built(int n)
{
	while (!shared->built[n])
		zdtm_nap();
}

static void build(int depth, int self)
{
	unsigned n = depth < DEPTH ? chance(4) : 0;
	struct forker forker = { depth + 1 };
	pthread_t t;

	if (chance(5) == 0)
		check(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
	for (unsigned i = 0; i < n && shared->tasks < TASKS - 1; i++) {
		if (chance(4) == 0)
			setsid(); /* if it can: between its children */
		if (chance(10) == 0) {
			int next = shared->tasks;

			check(pthread_create(&t, NULL, fork_in_thread, &forker) == 0);
			wait_built(next);
			usleep(20000); /* the rest of add_child() */
		} else {
			add_child(depth + 1);
		}
	}
	if (chance(5) == 0)
		setpgid(0, 0);
	if (chance(6) == 0)
		setsid();
}

/* They fall to the root, which is a subreaper, one after the other. */
static void end_all(void)
{
	for (int i = 1; i < shared->tasks; i++)
		if (shared->pid[i])
			kill(shared->pid[i], SIGKILL);
	while (waitpid(-1, NULL, __WALL) > 0 || errno == EINTR)
		continue;
}

int main(int argc, char **argv)
{
	check(argc == 2);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
	              0);
	check(shared != MAP_FAILED);
	shared->state = (unsigned)atoi(argv[1]) * 2654435761u;
	shared->pid[0] = getpid();
	shared->tasks = 1;
	signal(SIGHUP, SIG_IGN); /* which goes with that */
	check(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
	for (int i = 0; i < 4; i++)
		add_child(1);
	zdtm_park();
	end_all();
	return zdtm_pass();
}
