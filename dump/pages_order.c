/*
 * Units that the task writes itself (dump/writers.h): a writer has one order at hand when it has finished another, so
 * that it never waits for us; what it has left out, pages of zeros, comes with its answer.
 */
#include <errno.h>
#include <stdlib.h>

#include "dump/pages_copy.h"
#include "dump/task.h"
#include "lib/deadline.h"
#include "lib/log.h"

static bool is_left_out(const struct mover_answer *a, size_t page)
{
	return a->zeros[page / 64] >> page % 64 & 1;
}

/* Of a run whose first page is number PAGE of the order. */
static int note_run(struct copier *c, const struct mover_run *run, const struct mover_answer *a,
                    size_t page)
{
	for (uint64_t at = 0; at < run->size;) {
		uint64_t first = at;
		int r;

		if (is_left_out(a, page + at / MOVER_PAGE)) {
			c->zeros += MOVER_PAGE;
			at += MOVER_PAGE;
			continue;
		}
		do
			at += MOVER_PAGE;
		while (at < run->size && !is_left_out(a, page + at / MOVER_PAGE));
		r = copier_note(c, run->start + first, at - first, pages_file_size(c->file));
		if (r < 0)
			return r;
		pages_file_grow(c->file, at - first);
	}
	return 0;
}

static int note_answer(struct copier *c, const struct mover_order *o, const struct mover_answer *a)
{
	uint64_t before = pages_file_size(c->file);
	size_t page = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < o->n; i++) {
		r = note_run(c, &o->runs[i], a, page);
		page += o->runs[i].size / MOVER_PAGE;
	}
	if (r == 0 && pages_file_size(c->file) - before != a->written)
		return fail(-EPROTO, "%s: what it has written of its memory is not what it says",
		            task_name(c->orders->task));
	return r;
}

static int take_answer(struct copier *c)
{
	struct orders *o = c->orders;
	struct mover_answer a;
	int r = writer_answer(o->writer, o->task, &a);

	if (r == 0 && a.error)
		r = pages_file_fail(o->writer->file, (int)a.error);
	if (r == 0)
		r = copier_begin(c, o->task, NULL, o->writer->file);
	if (r == 0)
		r = note_answer(c, &o->v[o->first], &a);
	o->first = (o->first + 1) % ORDERS;
	o->n--;
	return r;
}

int copier_settle(struct copier *c)
{
	int r = 0;

	while (r == 0 && c->orders && c->orders->n)
		r = take_answer(c);
	return r;
}

_Static_assert(UNIT_RUNS <= MOVER_RUNS && UNIT_BYTES <= MOVER_BYTES, "a unit is an order");

static void order_unit(struct mover_order *o, const struct unit *u)
{
	o->n = u->n;
	for (size_t i = 0; i < u->n; i++)
		o->runs[i] = (struct mover_run){ u->runs[i].start, u->runs[i].size,
			                         u->runs[i].keep_zeros };
}

int copier_order(struct copier *c, struct writer *w, const struct unit *u)
{
	struct orders *o = c->orders;
	int r = 0;

	if (interrupted())
		return -EINTR;
	if (!o)
		o = c->orders = calloc(1, sizeof(*o));
	if (!o)
		return -ENOMEM;
	if (o->writer != w)
		r = copier_settle(c);
	else if (o->n == ORDERS)
		r = take_answer(c);
	if (r < 0)
		return r;
	o->writer = w, o->task = u->task;
	order_unit(&o->v[(o->first + o->n) % ORDERS], u);
	r = writer_order(w, u->task, &o->v[(o->first + o->n) % ORDERS]);
	o->n += r == 0;
	return r;
}
