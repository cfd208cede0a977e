/*
 * Everything that /proc shows from outside, read again now that nothing moves.
 *
 * The status of a thread costs as much as all that ptrace does to it, and can be
 * read by anybody: with many threads, helpers read it while the scripts run.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "dump/dump.h"
#include "dump/share.h"
#include "dump/task.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/procfs.h"

#define STATUS_SHARE 64 /* threads for which a helper pays */

static int read_status(struct thread *th)
{
	char path[48];
	ssize_t len;

	snprintf(path, sizeof(path), "task/%d/status", th->tid);
	free(th->status);
	th->status = NULL;
	len = file_read(th->task->proc, path, &th->status);
	return len < 0 ? (int)len : 0;
}

/* ---- the status of many threads, by helpers of their own ---- */

static struct thread *take_thread(struct statuses *s)
{
	struct thread *th = NULL;

	pthread_mutex_lock(&s->lock);
	while (s->task < s->d->tasks.n && s->thread >= s->d->tasks.v[s->task].threads.n)
		s->task++, s->thread = 0;
	if (s->task < s->d->tasks.n)
		th = &s->d->tasks.v[s->task].threads.v[s->thread++];
	pthread_mutex_unlock(&s->lock);
	return th;
}

static void *read_statuses(void *arg)
{
	struct statuses *s = arg;
	struct thread *th;

	while ((th = take_thread(s))) {
		int r = th->status ? 0 : read_status(th);

		if (r < 0)
			fail(r, "%s: read the status of thread %d", task_name(th->task), th->tid);
		if (r < 0)
			__atomic_store_n(&s->error, r, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void start_helpers(struct dump *d)
{
	struct statuses *s = &d->statuses;
	size_t threads = 0, want;

	array_each (t, &d->tasks)
		threads += t->threads.n;
	want = threads / STATUS_SHARE;
	if (want) { /* it reads a file to know */
		size_t cpus = (size_t)sysconf(_SC_NPROCESSORS_ONLN);

		want = want < cpus ? want : cpus;
	}
	s->d = d;
	pthread_mutex_init(&s->lock, NULL);
	while (s->n < want && s->n < ARRAY_SIZE(s->helpers) &&
	       !pthread_create(&s->helpers[s->n], NULL, read_statuses, s))
		s->n++;
}

int gather_statuses(struct dump *d)
{
	struct statuses *s = &d->statuses;

	if (!s->d)
		return 0;
	read_statuses(s);
	while (s->n > 0)
		pthread_join(s->helpers[--s->n], NULL);
	s->d = NULL;
	pthread_mutex_destroy(&s->lock);
	return s->error;
}

static int gather_task(struct dump *d, struct task *t)
{
	int r;

	if (t->state == TASK_ZOMBIE)
		return 0;
	array_each (th, &t->threads)
		if (arch_regs_compat(&th->tracee.regs))
			return fail(-ENOTSUP,
			            "%s: thread %d runs 32-bit code, not supported by this version",
			            task_name(t), th->tid);
	r = read_status(&t->threads.v[0]);
	if (r < 0)
		return fail(r, "%s: read its status", task_name(t));
	r = task_open_mem(t);
	if (r < 0)
		return r;
	r = vmas_read(t);
	if (r < 0)
		return fail(r, "%s: read its mappings", task_name(t));
	return files_gather(d, t);
}

int gather_tasks(struct dump *d)
{
	int r;

	files_done(d);
	array_each (t, &d->tasks) {
		r = gather_task(d, t);
		if (r < 0)
			return r;
	}
	r = tables_find(d);
	if (r < 0)
		return r;
	array_each (t, &d->tasks) {
		r = tables_check(d, t);
		if (r == 0 && t->state != TASK_ZOMBIE)
			r = files_check(d, t);
		if (r < 0)
			return r;
	}
	start_helpers(d);
	return 0;
}
