/*
 * The end of a tree. Who is killed frees its memory before it is a zombie, on one CPU: 60 ms for a GiB of small pages,
 * and until then nobody can have its number. process_mrelease(2) takes half of that off it, but only between the kill
 * and the moment when the task, on its own CPU, has let go of its memory: a thread that asks all the time meets that.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dump/dump.h"
#include "dump/stages.h"
#include "dump/task.h"
#include "lib/cpus.h"
#include "lib/log.h"

#define LARGE (UINT64_C(64) << 20) /* bytes in memory from which on that pays */

#ifndef SYS_process_mrelease
#define SYS_process_mrelease 448 /* Linux 5.15 */
#endif

static int kill_task(const struct task *t)
{
	if (kill(t->pid, SIGKILL) < 0 && errno != ESRCH)
		return fail(-errno, "%s: kill it", task_name(t));
	return 0;
}

static uint64_t bytes_in_memory(const struct task *t)
{
	return t->stat.field[STAT_RSS] * 4096;
}

static struct task *largest(struct dump *d)
{
	struct task *ret = d->tasks.v;

	array_each (t, &d->tasks)
		if (bytes_in_memory(t) > bytes_in_memory(ret))
			ret = t;
	return ret;
}

/* Who helps a task to die. */
struct release {
	int pidfd;
	bool asks, over;
};

/* EINVAL: it is not dying yet, the only answer worth another question: once more when it has been killed. */
static void *release_memory(void *arg)
{
	struct release *m = arg;
	bool last;
	long r;

	do {
		last = __atomic_load_n(&m->over, __ATOMIC_ACQUIRE);
		r = syscall(SYS_process_mrelease, m->pidfd, 0);
		__atomic_store_n(&m->asks, true, __ATOMIC_RELAXED);
	} while (r < 0 && errno == EINVAL && !last);
	return NULL;
}

static int kill_large(struct task *t)
{
	bool pays = bytes_in_memory(t) >= LARGE && cpus_allowed(2) > 1;
	struct release m = { .pidfd = pays ? task_pidfd(t) : -1 };
	sigset_t all, old;
	pthread_t helper;
	bool helped;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	helped = m.pidfd >= 0 && pthread_create(&helper, NULL, release_memory, &m) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	while (helped && !__atomic_load_n(&m.asks, __ATOMIC_RELAXED))
		sched_yield();
	r = kill_task(t);
	__atomic_store_n(&m.over, true, __ATOMIC_RELEASE);
	if (helped)
		pthread_join(helper, NULL);
	return r;
}

/* The largest last: while the others end on CPUs of their own. */
int kill_tree(struct dump *d)
{
	struct task *last = largest(d);
	int first = 0, r;

	array_each (t, &d->tasks) {
		r = t == last ? 0 : kill_task(t);
		if (first == 0)
			first = r;
	}
	r = kill_large(last);
	return first < 0 ? first : r;
}
