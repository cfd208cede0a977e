/*
 * The records of shared pages: they name the place where the owner's pages
 * lie, which is known when all pages are stored. What the owner has not stored
 * was zero.
 */
#include <errno.h>

#include "dump/pages_share.h"
#include "images/pages.h"
#include "lib/log.h"

#define PAGE     UINT64_C(4096)
#define RUNS_MAX 32768u /* in one record */

int shares_stored(struct shares *s, const struct dump *d, const struct task *t,
                  const Img__Pages *msg)
{
	size_t index = (size_t)(t - d->tasks.v);
	uint64_t at = 0, offset = msg->offset;

	if (!s->tasks || !s->tasks[index].owner)
		return 0;
	for (size_t i = 0; i < msg->n_start; i++) {
		struct stored *st = array_add(&s->tasks[index].stored);

		if (!st)
			return -ENOMEM;
		st->start = at + msg->start[i] * PAGE;
		st->size = msg->count[i] * PAGE;
		st->file = msg->file;
		st->offset = offset;
		at = st->start + st->size;
		offset += st->size;
	}
	return 0;
}

static int by_start(const void *a, const void *b)
{
	const struct stored *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/* A record that is being collected: of one task, one page file. */
struct refs {
	struct dump *d;
	const struct task *task;
	uint32_t file;
	ARRAY(uint64_t) start, count, skip;
	uint64_t first, end, offset; /* in the file: of the first run; ends of the last one */
};

static int refs_flush(struct refs *f)
{
	Img__Pages msg = IMG__PAGES__INIT;

	if (!f->start.n)
		return 0;
	msg.file = f->file;
	msg.offset = f->first;
	msg.n_start = f->start.n, msg.start = f->start.v;
	msg.n_count = f->count.n, msg.count = f->count.v;
	msg.n_skip = f->skip.n, msg.skip = f->skip.v;
	msg.shared = true;
	f->start.n = f->count.n = f->skip.n = 0;
	return image_put(f->d->out, KIND_pages, (uint32_t)f->task->pid, &msg.base);
}

static int refs_add(struct refs *f, uint64_t start, uint64_t size, uint64_t offset)
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

		if (st->file == f->file)
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

static void refs_done(struct refs *f)
{
	array_done(&f->start);
	array_done(&f->count);
	array_done(&f->skip);
}

int shares_put(struct shares *s, struct dump *d)
{
	uint32_t files = 0;

	for (size_t i = 0; i < s->n; i++) {
		struct task_shares *t = &s->tasks[i];

		if (t->stored.n)
			qsort(t->stored.v, t->stored.n, sizeof(*t->stored.v), by_start);
		array_each (st, &t->stored)
			files = st->file >= files ? st->file + 1 : files;
	}
	for (size_t i = 0; i < s->n; i++) {
		for (uint32_t file = 0; s->tasks[i].list.n && file < files; file++) {
			struct refs f = { .d = d, .task = &d->tasks.v[i], .file = file };
			int r = put_file(&f, s, &s->tasks[i]);

			refs_done(&f);
			if (r < 0)
				return r;
		}
	}
	return 0;
}
