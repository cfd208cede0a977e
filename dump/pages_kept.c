/*
 * What was not written to is in the parent as it is now, if it is there at all: a
 * page that the parent does not have was zero, or was not stored for another
 * reason, so it is looked at again. What the parent has of a process is an index
 * by address of its records; these may lead to its own parents.
 */
#include "dump/pages_kept.h"

#include <errno.h>

#include "dump/pages_scan.h"
#include "dump/track.h"
#include "images/pages.h"
#include "lib/cleanup.h"
#include "lib/log.h"

struct index {
	ARRAY(struct stored) list; /* by address */
};

static void index_done(struct index *x)
{
	array_done(&x->list);
}

static int by_start(const void *a, const void *b)
{
	const struct stored *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/* What the parent has of PID. Its records are as good as any from a file. */
static int index_of(const struct images *parent, pid_t pid, struct index *x)
{
	size_t n;
	const struct record *rec = images_find(parent, KIND_pages, (uint32_t)pid, &n);

	for (size_t i = 0; i < n; i++) {
		const Img__Pages *msg = (const Img__Pages *)rec[i].msg;
		struct page_iter it;
		struct page_run run;
		int r = pages_check(parent, msg);

		if (r < 0)
			return r;
		it = pages_iter(parent, msg);
		while (pages_next(&it, &run)) {
			struct stored *st = array_add(&x->list);

			if (!st)
				return -ENOMEM;
			*st = (struct stored){ .start = run.start,
				               .size = run.size,
				               .offset = run.offset,
				               .file = msg->file,
				               .parent = true };
		}
	}
	if (x->list.n)
		qsort(x->list.v, x->list.n, sizeof(*x->list.v), by_start);
	return 0;
}

/* Places in lists by address, which only move on. */
struct places {
	size_t span, share, at;
};

/* What the parent has of [START, END). */
static int keep_stored(struct kept_task *k, const struct index *x, size_t *at, uint64_t start,
                       uint64_t end)
{
	while (*at < x->list.n && x->list.v[*at].start + x->list.v[*at].size <= start)
		(*at)++;
	for (size_t i = *at; i < x->list.n && x->list.v[i].start < end; i++) {
		const struct stored *st = &x->list.v[i];
		uint64_t from = st->start > start ? st->start : start;
		uint64_t to = st->start + st->size < end ? st->start + st->size : end;
		struct stored *out = array_add(&k->list);

		if (!out)
			return -ENOMEM;
		*out = *st;
		out->start = from;
		out->size = to - from;
		out->offset = st->offset + (from - st->start);
	}
	return 0;
}

/* The same without what is shared with another process: that is where this one has it. */
static int keep_unshared(struct kept_task *k, const struct index *x, struct places *p,
                         const struct task_shares *shares, uint64_t start, uint64_t end)
{
	while (start < end) {
		const struct share *share;
		uint64_t to = end;
		int r;

		while (shares && p->share < shares->list.n &&
		       shares->list.v[p->share].start + shares->list.v[p->share].size <= start)
			p->share++;
		share = shares && p->share < shares->list.n ? &shares->list.v[p->share] : NULL;
		if (share && share->start <= start) {
			start = share->start + share->size;
			continue;
		}
		if (share && share->start < end)
			to = share->start;
		r = keep_stored(k, x, &p->at, start, to);
		if (r < 0)
			return r;
		start = to;
	}
	return 0;
}

/* What was not written to of all mappings that are due. */
static int keep_task(struct dump *d, const struct task *t, const struct index *x,
                     const struct task_shares *shares, struct kept_task *k)
{
	const struct spans *spans = track_unwritten(d, t);
	struct places p = {};

	for (size_t i = 0; i < t->vmas.n; i++) {
		const struct vma *v = &t->vmas.v[i];

		if (!pages_due(d, t, v))
			continue;
		while (p.span < spans->n && spans->v[p.span].end <= v->start)
			p.span++;
		for (size_t s = p.span; s < spans->n && spans->v[s].start < v->end; s++) {
			const struct span *span = &spans->v[s];
			int r = keep_unshared(k, x, &p, shares,
			                      span->start > v->start ? span->start : v->start,
			                      span->end < v->end ? span->end : v->end);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

int kept_find(struct dump *d, const struct shares *shares, struct kept *ret)
{
	if (!d->parent)
		return 0;
	ret->n = d->tasks.n;
	ret->tasks = calloc(ret->n, sizeof(*ret->tasks));
	if (!ret->tasks)
		return -ENOMEM;
	for (size_t i = 0; i < ret->n; i++) {
		const struct task *t = &d->tasks.v[i];
		auto_(index_done) struct index x = {};
		int r;

		if (!track_unwritten(d, t))
			continue;
		r = index_of(d->parent, t->pid, &x);
		if (r == 0)
			r = keep_task(d, t, &x, shares->tasks ? &shares->tasks[i] : NULL,
			              &ret->tasks[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

void kept_done(struct kept *k)
{
	for (size_t i = 0; i < k->n; i++)
		array_done(&k->tasks[i].list);
	free(k->tasks);
	*k = (struct kept){};
}

static int by_file(const void *a, const void *b)
{
	const struct stored *x = a, *y = b;

	if (x->file != y->file)
		return x->file < y->file ? -1 : 1;
	return by_start(a, b);
}

static int put_task(struct dump *d, const struct task *t, const struct kept_task *k)
{
	auto_(refs_done) struct refs f = { .d = d, .task = t, .parent = true };
	auto_free struct stored *list = malloc((k->list.n + 1) * sizeof(*list));
	int r = list ? 0 : -ENOMEM;

	if (r < 0 || !k->list.n)
		return r;
	memcpy(list, k->list.v, k->list.n * sizeof(*list));
	qsort(list, k->list.n, sizeof(*list), by_file);
	for (size_t i = 0; r == 0 && i < k->list.n; i++) {
		if (list[i].file != f.file)
			r = refs_flush(&f);
		f.file = list[i].file;
		if (r == 0)
			r = refs_add(&f, list[i].start, list[i].size, list[i].offset);
	}
	return r == 0 ? refs_flush(&f) : r;
}

int kept_put(const struct kept *k, struct dump *d, struct shares *shares)
{
	for (size_t i = 0; i < k->n; i++) {
		int r = put_task(d, &d->tasks.v[i], &k->tasks[i]);

		array_each (st, &k->tasks[i].list)
			if (r == 0)
				r = shares_stored_run(shares, i, st);
		if (r < 0)
			return r;
	}
	return 0;
}
