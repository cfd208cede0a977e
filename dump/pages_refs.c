/*
 * The records of shared pages: they name the place where the owner's pages
 * lie, which is known when all pages are stored. What the owner has not stored
 * was zero.
 */
#include <errno.h>

#include "dump/pages_share.h"
#include "images/pages.h"
#include "lib/cleanup.h"
#include "lib/log.h"

#define PAGE     UINT64_C(4096)
#define RUNS_MAX 32768u /* in one record */

int shares_stored_run(struct shares *s, size_t task, const struct stored *run)
{
	struct stored *st;

	if (!s->tasks || !s->tasks[task].owner)
		return 0;
	st = array_add(&s->tasks[task].stored);
	if (!st)
		return -ENOMEM;
	*st = *run;
	return 0;
}

int shares_stored(struct shares *s, const struct dump *d, const struct task *t,
                  const Img__Pages *msg)
{
	size_t index = (size_t)(t - d->tasks.v);
	uint64_t at = 0, offset = msg->offset;

	for (size_t i = 0; i < msg->n_start; i++) {
		struct stored run = { .start = at + msg->start[i] * PAGE,
			              .size = msg->count[i] * PAGE,
			              .offset = offset,
			              .file = msg->file };
		int r = shares_stored_run(s, index, &run);

		if (r < 0)
			return r;
		at = run.start + run.size;
		offset += run.size;
	}
	return 0;
}

static int by_start(const void *a, const void *b)
{
	const struct stored *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

int refs_flush(struct refs *f)
{
	Img__Pages msg = IMG__PAGES__INIT;

	if (!f->start.n)
		return 0;
	msg.file = f->file;
	msg.offset = f->first;
	msg.n_start = f->start.n, msg.start = f->start.v;
	msg.n_count = f->count.n, msg.count = f->count.v;
	msg.n_skip = f->skip.n, msg.skip = f->skip.v;
	msg.shared = f->shared;
	msg.parent = f->parent;
	f->start.n = f->count.n = f->skip.n = 0;
	return image_put(f->d->out, KIND_pages, (uint32_t)f->task->pid, &msg.base);
}

int refs_add(struct refs *f, uint64_t start, uint64_t size, uint64_t offset)
{
	uint64_t *gap, *count, *skip;

	if (f->start.n && start == f->end && offset == f->offset) {
		f->count.v[f->count.n - 1] += size / PAGE;
		f->end += size, f->offset += size;
		return 0;
	}
	/* Within a file, pages lie by address as a rule; a record knows no way back. */
	if (f->start.n == RUNS_MAX || (f->start.n && offset < f->offset)) {
		int r = refs_flush(f);

		if (r < 0)
			return r;
	}
	if (!f->start.n)
		f->first = f->offset = offset, f->end = 0;
	gap = array_add(&f->start), count = array_add(&f->count), skip = array_add(&f->skip);
	if (!gap || !count || !skip)
		return -ENOMEM;
	*gap = (start - f->end) / PAGE;
	*count = size / PAGE;
	*skip = (offset - f->offset) / PAGE;
	f->end = start + size;
	f->offset = offset + size;
	return 0;
}

/* What O has stored of [START, END) into F, as far as it is in F's file. */
static int refs_range(struct refs *f, const struct task_shares *o, uint64_t start, uint64_t end)
{
	size_t low = 0, high = o->stored.n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (o->stored.v[mid].start + o->stored.v[mid].size <= start)
			low = mid + 1;
		else
			high = mid;
	}
	for (; low < o->stored.n && o->stored.v[low].start < end; low++) {
		const struct stored *st = &o->stored.v[low];
		uint64_t from = st->start > start ? st->start : start;
		uint64_t to = st->start + st->size < end ? st->start + st->size : end;
		int r = 0;

		if (st->file == f->file && st->parent == f->parent)
			r = refs_add(f, from, to - from, st->offset + (from - st->start));
		if (r < 0)
			return r;
	}
	return 0;
}

static int put_file(struct refs *f, const struct shares *s, const struct task_shares *t)
{
	array_each (share, &t->list) {
		int r = refs_range(f, &s->tasks[share->owner], share->start,
		                   share->start + share->size);

		if (r < 0)
			return r;
	}
	return refs_flush(f);
}

void refs_done(struct refs *f)
{
	array_done(&f->start);
	array_done(&f->count);
	array_done(&f->skip);
}

/* How many page files there are, of this checkpoint or (PARENT) of its parent, that owners have pages in. */
static uint32_t count_files(const struct shares *s, bool parent)
{
	uint32_t files = 0;

	for (size_t i = 0; i < s->n; i++)
		array_each (st, &s->tasks[i].stored)
			if (st->parent == parent && st->file >= files)
				files = st->file + 1;
	return files;
}

static int put_files(struct shares *s, struct dump *d, size_t task, uint32_t files, bool parent)
{
	for (uint32_t file = 0; s->tasks[task].list.n && file < files; file++) {
		auto_(refs_done) struct refs f = { .d = d,
			                           .task = &d->tasks.v[task],
			                           .file = file,
			                           .parent = parent,
			                           .shared = true };
		int r = put_file(&f, s, &s->tasks[task]);

		if (r < 0)
			return r;
	}
	return 0;
}

int shares_put(struct shares *s, struct dump *d)
{
	uint32_t own, parents;

	for (size_t i = 0; i < s->n; i++)
		if (s->tasks[i].stored.n)
			qsort(s->tasks[i].stored.v, s->tasks[i].stored.n,
			      sizeof(*s->tasks[i].stored.v), by_start);
	own = count_files(s, false);
	parents = count_files(s, true);
	for (size_t i = 0; i < s->n; i++) {
		int r = put_files(s, d, i, own, false);

		if (r == 0)
			r = put_files(s, d, i, parents, true);
		if (r < 0)
			return r;
	}
	return 0;
}
