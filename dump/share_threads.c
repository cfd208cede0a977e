/*
 * What the threads of a process need not share (clone(2)): the list of semaphore
 * operations that are undone at the end, which those of the C library do share, and the
 * I/O context, which they do not. Both are shared from the birth of a thread
 * or never; the list can be left (unshare(2)), and is empty then.
 *
 * At restore the leader makes all threads: who shares an I/O context with another
 * one but not with the leader is refused.
 */
#include <errno.h>
#include <search.h>
#include <stdlib.h>

#include "dump/share.h"
#include "lib/cleanup.h"
#include "lib/log.h"

/* Of the one that the others are compared with. */
struct leader {
	pid_t tid;
	bool has_sem, has_io;
};

static int ask_leader(struct dump *d, const struct task *t, struct leader *ret)
{
	int sem = table_has(d, task_tid(t), TABLE_SYSVSEM);
	int io = table_has(d, task_tid(t), TABLE_IO);

	if (sem < 0 || io < 0)
		return sem < 0 ? sem : io;
	*ret = (struct leader){ task_tid(t), sem, io };
	return 0;
}

static int compare_sem(struct dump *d, const struct leader *leader, struct thread *th)
{
	int order, r = table_compare(leader->tid, th->tid, TABLE_SYSVSEM, &order);

	if (r == 0 && order)
		r = table_has(d, th->tid, TABLE_SYSVSEM);
	if (r > 0)
		return fail(-ENOTSUP,
		            "%s: thread %d undoes its semaphore operations by itself "
		            "(CLONE_SYSVSEM), not supported by this version",
		            task_name(th->task), th->tid);
	th->own_sysvsem = r == 0 && (order || !leader->has_sem);
	return r;
}

static int compare_io(struct dump *d, const struct leader *leader, struct thread *th)
{
	int order, r = table_compare(leader->tid, th->tid, TABLE_IO, &order);

	th->shares_io = r == 0 && !order && leader->has_io;
	if (r == 0 && order)
		r = table_has(d, th->tid, TABLE_IO);
	th->own_io = r > 0;
	return r < 0 ? r : 0;
}

/* The number of those that have an I/O context of their own. */
static int compare_task(struct dump *d, struct task *t)
{
	struct leader leader = {};
	int own = 0, r = 0;

	array_each (th, &t->threads) {
		if (th->compared || th->exited || th->tid == task_tid(t))
			continue;
		r = leader.tid ? 0 : ask_leader(d, t, &leader);
		if (r == 0)
			r = compare_sem(d, &leader, th);
		if (r == 0)
			r = compare_io(d, &leader, th);
		if (r == -ESRCH && !d->frozen)
			continue; /* has ended */
		if (r < 0)        /* what is refused has been explained */
			return r == -ENOTSUP ? r
			                     : fail(r, "%s: what does thread %d share?",
			                            task_name(t), th->tid);
		th->compared = true;
		own += th->own_io;
	}
	return own;
}

/* ---- I/O contexts of two that are no leaders ---- */

static int by_context(const void *a, const void *b)
{
	const struct thread *x = a, *y = b;
	int order = 0;

	/* Who has ended shares nothing. */
	if (x == y || table_compare(x->tid, y->tid, TABLE_IO, &order) < 0)
		return x < y ? -1 : x > y;
	return order;
}

static int check_alone(struct thread *th, void **tree)
{
	struct thread **found = tsearch(th, tree, by_context);

	if (!found)
		return -ENOMEM;
	if (*found == th || (!th->own_io && !(*found)->own_io))
		return 0; /* or two leaders, who may share */
	return fail(-ENOTSUP,
	            "%s: thread %d shares its I/O context (CLONE_IO) with thread %d, but not with "
	            "the main thread of its process, not supported by this version",
	            task_name(th->task), th->tid, (*found)->tid);
}

static void keep(void *node)
{
}

static int check_contexts(struct dump *d)
{
	void *tree = NULL;
	int r = 0;

	array_each (t, &d->tasks) {
		if (t->state == TASK_ZOMBIE)
			continue;
		array_each (th, &t->threads)
			if (r == 0 && (th->own_io || th->tid == task_tid(t)))
				r = check_alone(th, &tree);
	}
	tdestroy(tree, keep);
	return r;
}

int tables_compare_threads(struct dump *d)
{
	int own = 0;

	array_each (t, &d->tasks) {
		int r = t->state == TASK_ZOMBIE ? 0 : compare_task(d, t);

		if (r < 0)
			return r;
		own += r;
	}
	return own ? check_contexts(d) : 0;
}
