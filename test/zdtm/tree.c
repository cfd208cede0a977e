/*
 * Processes: a tree of some depth, in its own sessions and groups, each task
 * checking who it is, who its parent is and where it belongs. Without pipes:
 * shared memory is all that they share.
 *
 *	tree plain      three generations, all in one group
 *	tree groups     children in groups of their own and of each other
 *	tree sessions   children that lead sessions, and their children
 *	tree orphans    daemons that fell to the subreaper; their session's leader is gone
 *	tree zombies    ended by exit and by a signal, not yet waited for
 *	tree threads    a child forked by a thread
 *	tree deathsig   the same, which gets a signal when that ends
 *	tree stopped    a stopped child
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
#include <sys/wait.h>
#include <unistd.h>

#include "zdtm.h"

#define TASKS 16

/* What each task knows of itself; filled by itself before the dump. */
static struct shared {
	int ready, failed, go;
	struct who {
		pid_t pid, ppid, pgid, sid;
	} who[TASKS];
} * shared;

static struct who who(void)
{
	return (struct who){ getpid(), getppid(), getpgid(0), getsid(0) };
}

static bool same(struct who a, struct who b)
{
	return a.pid == b.pid && a.ppid == b.ppid && a.pgid == b.pgid && a.sid == b.sid;
}

/* A child's whole life: note who it is, wait for the end, compare. Ends with 10 + N. */
static void live(int n)
{
	struct who now;

	shared->who[n] = who();
	__atomic_add_fetch(&shared->ready, 1, __ATOMIC_SEQ_CST);
	while (!zdtm_released())
		zdtm_nap();
	now = who();
	if (!same(now, shared->who[n])) {
		fprintf(stderr, "task %d was %d %d %d %d, is %d %d %d %d\n", n, shared->who[n].pid,
		        shared->who[n].ppid, shared->who[n].pgid, shared->who[n].sid, now.pid,
		        now.ppid, now.pgid, now.sid);
		shared->failed = 1;
	}
}

static void ready(int n)
{
	while (__atomic_load_n(&shared->ready, __ATOMIC_SEQ_CST) < n)
		zdtm_nap();
}

/* Wait for PID, which must end with CODE. */
static void reap(pid_t pid, int code)
{
	int status;

	check(waitpid(pid, &status, 0) == pid);
	check(WIFEXITED(status));
	check(WEXITSTATUS(status) == code);
}

static void plain(void)
{
	pid_t a = fork(), b;

	if (a == 0) {
		pid_t c = fork();

		if (c == 0) {
			live(1);
			_exit(11);
		}
		live(0);
		reap(c, 11);
		_exit(10);
	}
	b = fork();
	if (b == 0) {
		live(2);
		_exit(12);
	}
	ready(3);
	zdtm_park();
	reap(a, 10);
	reap(b, 12);
}

static void groups(void)
{
	pid_t a = fork(), b, dead;

	if (a == 0) {
		setpgid(0, 0);
		live(0);
		_exit(10);
	}
	setpgid(a, a);
	b = fork();
	if (b == 0) {
		setpgid(0, a);
		live(1);
		_exit(11);
	}
	/* a group whose leader is gone */
	dead = fork();
	if (dead == 0) {
		setpgid(0, 0);
		if (fork() == 0) {
			while (getppid() != shared->who[9].pid)
				zdtm_nap();
			live(2);
			_exit(12);
		}
		_exit(0);
	}
	reap(dead, 0);
	ready(3);
	zdtm_park();
	reap(a, 10);
	reap(b, 11);
	check(wait(NULL) > 0); /* the subreaper's */
}

static void sessions(void)
{
	pid_t early = fork(), a, late;

	if (early == 0) {
		live(0); /* stays in the first session */
		_exit(10);
	}
	a = fork();
	if (a == 0) {
		pid_t before = fork(), after;

		if (before == 0) {
			live(1); /* its parent leaves the session afterwards */
			_exit(11);
		}
		while (!shared->who[1].pid)
			zdtm_nap();
		setsid();
		after = fork();
		if (after == 0) {
			live(2);
			_exit(12);
		}
		live(3);
		reap(before, 11);
		reap(after, 12);
		_exit(13);
	}
	late = fork();
	if (late == 0) {
		setsid();
		live(4);
		_exit(14);
	}
	ready(5);
	zdtm_park();
	reap(early, 10);
	reap(a, 13);
	reap(late, 14);
}

/* fork, setsid, fork: the classic daemon; and one whose session's leader lives elsewhere. */
static void orphans(void)
{
	pid_t middle = fork(), leader;

	if (middle == 0) {
		setsid();
		if (fork() == 0) {
			while (getppid() != shared->who[9].pid)
				zdtm_nap();
			live(0);
			_exit(10);
		}
		_exit(0);
	}
	reap(middle, 0);
	leader = fork();
	if (leader == 0) {
		pid_t gone;

		setsid();
		gone = fork();
		if (gone == 0) {
			if (fork() == 0) {
				while (getppid() != shared->who[9].pid)
					zdtm_nap();
				live(1);
				_exit(11);
			}
			_exit(0);
		}
		reap(gone, 0);
		live(2);
		_exit(12);
	}
	ready(3);
	zdtm_park();
	reap(leader, 12);
	check(wait(NULL) > 0);
	check(wait(NULL) > 0);
}

static int news;

static void on_chld(int sig)
{
	news++;
}

static void zombies(void)
{
	pid_t a = fork(), b, c;
	siginfo_t si = {};
	int status;

	signal(SIGCHLD, on_chld);
	if (a == 0)
		_exit(42);
	b = fork();
	if (b == 0) {
		raise(SIGKILL);
		_exit(0);
	}
	c = fork();
	if (c == 0) {
		live(0);
		while (!__atomic_load_n(&shared->go, __ATOMIC_SEQ_CST))
			zdtm_nap(); /* its end is news, which would end a sleep of its parent */
		_exit(10);
	}
	check(waitid(P_PID, (id_t)a, &si, WEXITED | WNOWAIT) == 0);
	check(waitid(P_PID, (id_t)b, &si, WEXITED | WNOWAIT) == 0);
	ready(1);
	news = 0;
	zdtm_park();
	check(news == 0); /* the zombies' is old */
	__atomic_store_n(&shared->go, 1, __ATOMIC_SEQ_CST);
	reap(c, 10);
	check(news == 1);
	reap(a, 42);
	check(waitpid(b, &status, 0) == b);
	check(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static pid_t forked;
static bool deathsig;

static void *fork_in_thread(void *arg)
{
	forked = fork();
	if (forked == 0) {
		check(prctl(PR_SET_PDEATHSIG, deathsig ? SIGUSR1 : 0) == 0);
		signal(SIGUSR1, SIG_IGN);
		live(0);
		_exit(10);
	}
	while (!zdtm_released())
		zdtm_nap();
	return NULL;
}

static void threads(void)
{
	pthread_t thread;

	check(pthread_create(&thread, NULL, fork_in_thread, NULL) == 0);
	ready(1);
	zdtm_park();
	check(pthread_join(thread, NULL) == 0);
	reap(forked, 10);
}

static void with_deathsig(void)
{
	deathsig = true;
	threads();
}

static void stopped(void)
{
	pid_t a = fork();
	int status;

	if (a == 0) {
		live(0);
		_exit(10);
	}
	ready(1);
	check(kill(a, SIGSTOP) == 0);
	check(waitpid(a, &status, WUNTRACED) == a);
	zdtm_park();
	check(waitpid(a, &status, WNOHANG) == 0);
	check(kill(a, SIGCONT) == 0);
	reap(a, 10);
}

static const struct {
	const char *name;
	void (*run)(void);
} trees[] = {
	{ "plain", plain },     { "groups", groups },          { "sessions", sessions },
	{ "orphans", orphans }, { "zombies", zombies },        { "threads", threads },
	{ "stopped", stopped }, { "deathsig", with_deathsig },
};

int main(int argc, char **argv)
{
	struct who now;
	size_t i = 0;

	check(argc == 2);
	while (strcmp(trees[i].name, argv[1]))
		check(++i < sizeof(trees) / sizeof(trees[0]));
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
	              0);
	check(shared != MAP_FAILED);
	check(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
	shared->who[9] = who();
	trees[i].run();
	now = who();
	now.ppid = shared->who[9].ppid; /* the root's parent is whoever restored it */
	check(same(now, shared->who[9]));
	check(!shared->failed);
	return zdtm_pass();
}
