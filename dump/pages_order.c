/*
 * Units that the task writes itself (dump/writers.h): a writer has one order at hand when it has finished another, so
 * that it never waits for us; what it has left out, pages of zeros, comes with its answer.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "dump/pages_copy.h"
#include "dump/task.h"
#include "lib/deadline.h"
#include "lib/log.h"
#include "lib/procfs.h"

static bool is_left_out(const struct mover_answer *a, size_t page)
{
	return a->zeros[page / 64] >> page % 64 & 1;
}

/* Of a run whose first page, at START, is number PAGE of the order. */
static int note_run(struct copier *c, uint64_t start, uint64_t size, const struct mover_answer *a,
                    size_t page)
{
	for (uint64_t at = 0; at < size;) {
		uint64_t first = at;
		int r;

		if (is_left_out(a, page + at / MOVER_PAGE)) {
			c->zeros += MOVER_PAGE;
			at += MOVER_PAGE;
			continue;
		}
		do
			at += MOVER_PAGE;
		while (at < size && !is_left_out(a, page + at / MOVER_PAGE));
		r = copier_note(c, start + first, at - first, pages_file_size(c->file));
		if (r < 0)
			return r;
		pages_file_grow(c->file, at - first);
	}
	return 0;
}

static int note_answer(struct copier *c, const struct ordered *o, const struct mover_answer *a)
{
	uint64_t before = pages_file_size(c->file);
	size_t page = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < o->order.n; i++) {
		const struct mover_run *run = &o->order.runs[i];

		r = note_run(c, run->start - o->at, run->size, a, page);
		page += run->size / MOVER_PAGE;
	}
	if (r == 0 && pages_file_size(c->file) - before != a->written)
		return fail(-EPROTO, "%s: what it has written of its memory is not what it says",
		            task_name(c->orders->task));
	return r;
}

static int take_answer(struct copier *c)
{
	struct orders *o = c->orders;
	const struct ordered *first = &o->v[o->first];
	struct mover_answer a;
	int r = writer_answer(o->writer, o->task, &a);

	if (r == 0 && a.error)
		r = pages_file_fail(o->writer->file, (int)a.error);
	if (r == 0)
		r = copier_begin(c, first->m ? NULL : o->task, first->m, o->writer->file);
	if (r == 0)
		r = note_answer(c, first, &a);
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

/* ---- who writes it ---- */

/* What lies behind the end of M in its last page is anybody's. */
static bool has_mapped(const struct vma *v, const struct unit *u)
{
	uint64_t end = v->offset + (v->end - v->start), size = (uint64_t)u->m->st.st_size;

	for (size_t i = 0; i < u->n; i++)
		if (u->runs[i].start < v->offset || u->runs[i].start + u->runs[i].size > end ||
		    u->runs[i].start + u->runs[i].size > size)
			return false;
	return true;
}

/* Where T has all of U, of shared memory, mapped. */
static const struct vma *mapping_of(const struct task *t, const struct unit *u)
{
	array_each (v, &t->vmas)
		if (v->shared && v->ino == u->m->ino && v->dev == u->m->dev &&
		    v->prot & PROT_READ && !v->pkey && !(v->flags & (VMF(um) | VMF(ui))) &&
		    has_mapped(v, u))
			return v;
	return NULL;
}

/* The task with writers that has U mapped: mostly that which had the one before. */
static struct task *look_for(struct copier *c, const struct unit *u)
{
	struct orders *o = c->orders;

	if (u->m->sysv)
		return NULL;
	if (o->m == u->m && o->mapper && has_mapped(o->vma, u))
		return o->mapper;
	o->m = u->m, o->mapper = NULL;
	array_each (t, &c->d->tasks) {
		o->vma = writers_of(t, c->slot) ? mapping_of(t, u) : NULL;
		if (o->vma)
			return o->mapper = t;
	}
	return NULL;
}

/* AT: what is to be added to the place of its runs. NULL: nobody. */
static struct task *writer_of_unit(struct copier *c, const struct unit *u, uint64_t *ret_at)
{
	struct task *t = u->m ? look_for(c, u) : u->task;

	*ret_at = 0;
	if (!t || !writers_of(t, c->slot))
		return NULL;
	if (u->m) {
		*ret_at = c->orders->vma->start - c->orders->vma->offset;
		return t;
	}
	for (size_t i = 0; i < u->n; i++)
		if (!u->runs[i].direct)
			return NULL;
	return t;
}

_Static_assert(UNIT_RUNS <= MOVER_RUNS && UNIT_BYTES <= MOVER_BYTES, "a unit is an order");

static void order_unit(struct ordered *o, const struct unit *u, uint64_t at)
{
	o->m = u->m;
	o->at = at;
	o->order.n = u->n;
	for (size_t i = 0; i < u->n; i++)
		o->order.runs[i] = (struct mover_run){ u->runs[i].start + at, u->runs[i].size,
			                               u->runs[i].keep_zeros };
}

int copier_order(struct copier *c, const struct unit *u)
{
	struct orders *o = c->orders;
	struct task *t;
	struct writer *w;
	uint64_t at;
	int r = 0;

	if (!c->d->has_writers)
		return 0;
	if (!o)
		o = c->orders = calloc(1, sizeof(*o));
	if (!o)
		return -ENOMEM;
	if (interrupted())
		return -EINTR;
	t = writer_of_unit(c, u, &at);
	w = t ? writers_of(t, c->slot) : NULL;
	if (!w)
		return 0;
	if (o->writer != w)
		r = copier_settle(c);
	else if (o->n == ORDERS)
		r = take_answer(c);
	if (r < 0)
		return r;
	o->writer = w, o->task = t;
	order_unit(&o->v[(o->first + o->n) % ORDERS], u, at);
	r = writer_order(w, t, &o->v[(o->first + o->n) % ORDERS].order);
	o->n += r == 0;
	return r < 0 ? r : 1;
}
