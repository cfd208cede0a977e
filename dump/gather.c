/*
 * Everything that /proc shows from outside, read again now that nothing moves: of each process
 * by whichever hand (dump/threads.h) takes it, then its descriptors, by one, as each is compared with all others.
 *
 * The status of a thread costs as much as all that ptrace does to it, and can be
 * read by anybody: by the hands, while other things are gathered.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "dump/alike.h"
#include "dump/alike_tasks.h"
#include "dump/dump.h"
#include "dump/share.h"
#include "dump/stages.h"
#include "dump/task.h"
#include "dump/threads.h"
#include "dump/together.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/hands.h"
#include "lib/log.h"
#include "lib/procfs.h"
#include "lib/procstate.h"

#define STATUS_MAX  8192 /* more has who is in hundreds of groups */
#define STATUS_MORE 128  /* it may grow by while nobody looks */

/* What fits, into TEXT, terminated; its length, SIZE: there may be more. It is one record of a seq_file. */
static ssize_t status_text(const struct thread *th, char *text, size_t size)
{
	ssize_t n = pread(th->status_fd, text, size, 0);

	if (n >= 0 && (size_t)n < size)
		text[n] = '\0';
	return n < 0 ? -errno : n;
}

static int status_whole(struct thread *th)
{
	char path[48];
	ssize_t n;

	free(th->status);
	th->status = NULL;
	th->status_size = 0;
	snprintf(path, sizeof(path), "task/%d/status", th->tid);
	n = file_read_record(th->task->proc, path, &th->status);
	return n < 0 ? (int)n : 0;
}

void status_open(struct thread *th)
{
	char path[48], text[STATUS_MAX];
	ssize_t n;

	snprintf(path, sizeof(path), "task/%d/status", th->tid);
	th->status_fd = openat(th->task->proc, path, O_RDONLY | O_CLOEXEC);
	n = th->status_fd < 0 ? -1 : status_text(th, text, sizeof(text));
	th->status = n < 0 ? NULL : calloc(1, (size_t)n + STATUS_MORE);
	th->status_size = th->status ? (size_t)n + STATUS_MORE : 0;
}

static int status_read(struct thread *th)
{
	ssize_t n;

	if (th->status_fd < 0 || !th->status_size)
		return status_whole(th);
	n = status_text(th, th->status, th->status_size);
	if (n < 0)
		return (int)n;
	return (size_t)n < th->status_size ? 0 : status_whole(th);
}

int status_of_leader(struct task *t)
{
	int r = status_read(&t->threads.v[0]);

	return r < 0 ? fail(r, "%s: read its status", task_name(t)) : 0;
}

/* ---- the status of many threads, by all who have time ---- */

/* Leaders have theirs; who is like another needs none. */
static struct thread *take_thread(struct dump *d)
{
	struct statuses *s = &d->statuses;
	struct thread *th = NULL;

	pthread_mutex_lock(&s->lock);
	do {
		while (s->task < d->tasks.n && s->thread + 1 >= d->tasks.v[s->task].threads.n)
			s->task++, s->thread = 0;
		th = s->task < d->tasks.n ? &d->tasks.v[s->task].threads.v[++s->thread] : NULL;
	} while (th && th->like);
	pthread_mutex_unlock(&s->lock);
	return th;
}

static int read_statuses(void *arg, unsigned hand)
{
	struct dump *d = arg;
	struct thread *th;

	while ((th = take_thread(d))) {
		int r = status_read(th);

		if (r < 0)
			return fail(r, "%s: read the status of thread %d", task_name(th->task),
			            th->tid);
	}
	return 0;
}

static void begin_statuses(struct dump *d)
{
	d->statuses = (struct statuses){ .lock = PTHREAD_MUTEX_INITIALIZER };
	hands_give(d->hands, read_statuses, d);
}

int gather_statuses(struct dump *d)
{
	int mine = read_statuses(d, 0), others = hands_await(d->hands);

	return mine < 0 ? mine : others;
}

#define CORE_DUMPED 0x80 /* WCOREDUMP() */

/* It has a user, whom waitid(2) tells, and nothing else any more. */
static int gather_zombie(struct task *t)
{
	auto_free char *status = NULL;
	struct cred_text c;
	ssize_t r = file_read(t->proc, "status", &status);

	if (r < 0 || cred_parse(status, &c) < 0)
		return fail(r < 0 ? (int)r : -EPROTO, "%s: read the status of a zombie",
		            task_name(t));
	t->uid = c.uid[0];
	t->gid = c.gid[0];
	if (t->exit_code & CORE_DUMPED)
		lose("%s: that it has left a core: its parent will be told of signal %d alone",
		     task_name(t), t->exit_code & ~CORE_DUMPED);
	return 0;
}

/* By one hand, as others do with other tasks: to T alone. */
static int gather_task(struct dump *d, struct task *t)
{
	int r;

	if (t->state == TASK_ZOMBIE)
		return gather_zombie(t);
	array_each (th, &t->threads)
		if (arch_regs_compat(&th->tracee.regs))
			return fail(-ENOTSUP,
			            "%s: thread %d runs 32-bit code, not supported by this version",
			            task_name(t), th->tid);
	/* Mostly that of somebody else will do (alike_tasks.h). */
	r = t->answers ? 0 : status_of_leader(t);
	if (r == 0)
		r = task_open_mem(t);
	if (r < 0)
		return r;
	t->kept = together_same_maps(d, t);
	r = t->kept ? 0 : vmas_read_again(d, t);
	return r < 0 ? fail(r, "%s: read its mappings", task_name(t)) : 0;
}

static int gather_files(struct dump *d)
{
	int r = 0;

	array_each (t, &d->tasks)
		if (r == 0 && t->state != TASK_ZOMBIE)
			r = files_gather(d, t);
	return r;
}

struct lists {
	struct dump *d;
	size_t next; /* that nobody has taken */
};

/* What the kernel tells of all processes, each list by another hand. */
static int read_lists(void *arg, unsigned hand)
{
	static void (*const reads[])(struct dump * d) = {
		alike_tasks_read,
		together_read_processes,
		together_read_opens,
	};
	struct lists *l = arg;
	size_t i;

	while ((i = __atomic_fetch_add(&l->next, 1, __ATOMIC_RELAXED)) < ARRAY_SIZE(reads))
		reads[i](l->d);
	return 0;
}

int gather_tasks(struct dump *d)
{
	struct lists lists = { .d = d };
	int r;

	files_done(d);
	alike_find(d);
	together_frozen(d);
	hands_all(d->hands, read_lists, &lists);
	r = tasks_each(d, gather_task);
	if (r < 0)
		return r;
	begin_statuses(d);
	r = gather_files(d);
	if (r == 0)
		r = tables_find(d);
	if (r == 0)
		r = tables_compare_threads(d);
	if (r < 0)
		return r;
	array_each (t, &d->tasks) {
		r = tables_check(d, t);
		if (r == 0 && t->state != TASK_ZOMBIE)
			r = files_check(d, t);
		if (r < 0)
			return r;
	}
	return 0;
}
