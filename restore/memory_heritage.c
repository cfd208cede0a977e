/*
 * Which memory is filled where, so that those who shared it inherit it: each
 * cell (memory_cells.c) by the process that all its users descend from, before
 * it forks anybody. That is its heritage, in mappings that take in all those of
 * the users; it builds on the heritage of its own forker.
 *
 * Where two cells would be at the same address in one heritage, the first wins,
 * the other is read by each process that has it. What a heritage really holds
 * decides in each task what it keeps (memory_keep.c), so nothing here can make
 * content wrong.
 */
#include "restore/memory_heritage.h"

#include <errno.h>
#include <sys/mman.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "restore/memory_cells.h"

#define PAGES_MAX (1u << 20) /* runs in all heritages together: beyond that, no more heritages */
#define CALL_SIZE 96u        /* bytes of arena that a call takes, about */

bool heritage_takes(const Img__Vma *v)
{
	bool locked =
		v->traits & IMG__VMA__TRAIT__LOCKED && !(v->traits & IMG__VMA__TRAIT__ONFAULT);

	/* mlock(2) breaks the sharing itself. */
	return v->type <= IMG__VMA__TYPE__SHMEM && (v->map & MAP_TYPE) == MAP_PRIVATE &&
	       !(v->map & MAP_HUGETLB) && !locked;
}

bool heritage_same(const Img__Vma *a, uint64_t a_start, const Img__Vma *b, uint64_t b_start)
{
	const uint32_t huge = IMG__VMA__TRAIT__HUGEPAGE | IMG__VMA__TRAIT__NOHUGEPAGE;

	return a->type == b->type && a->object == b->object && a->map == b->map &&
	       (a->traits & huge) == (b->traits & huge) &&
	       (a->type == IMG__VMA__TYPE__ANON || a->offset - a_start == b->offset - b_start);
}

static int add_vma(struct heritage *st, uint64_t start, uint64_t end, const Img__Vma *like,
                   bool is_new)
{
	struct heritage_vma *last = st->vmas.n ? &st->vmas.v[st->vmas.n - 1] : NULL;

	if (last && is_new && last->is_new && last->end >= start &&
	    heritage_same(last->like, last->like->start, like, like->start)) {
		last->end = last->end > end ? last->end : end;
		return 0;
	}
	/* Of another sort: what is there first stays. */
	if (last && last->end > start)
		start = last->end;
	if (start >= end)
		return 0;
	last = array_add(&st->vmas);
	if (!last)
		return -ENOMEM;
	*last = (struct heritage_vma){ start, end, like, is_new };
	return 0;
}

/* WANT where BASE leaves room, and all of BASE, by address. */
static int heritage_vmas(struct heritage *st, const struct want *want, size_t n)
{
	size_t nbase = st->base ? st->base->vmas.n : 0, b = 0;
	int e = 0;

	for (size_t i = 0; e == 0 && i < n; i++) {
		uint64_t at = want[i].start;

		while (e == 0 && b < nbase && st->base->vmas.v[b].start < want[i].end) {
			const struct heritage_vma *v = &st->base->vmas.v[b++];

			if (at < v->start)
				e = add_vma(st, at, v->start, want[i].vma, true);
			if (e == 0)
				e = add_vma(st, v->start, v->end, v->like, false);
			at = at > v->end ? at : v->end;
		}
		if (e == 0 && at < want[i].end)
			e = add_vma(st, at, want[i].end, want[i].vma, true);
	}
	for (; e == 0 && b < nbase; b++)
		e = add_vma(st, st->base->vmas.v[b].start, st->base->vmas.v[b].end,
		            st->base->vmas.v[b].like, false);
	return e;
}

/* ---- pages ---- */

static int add_source(struct sources *list, uint64_t start, uint64_t end, uint64_t offset,
                      uint32_t file)
{
	struct source *last = list->n ? &list->v[list->n - 1] : NULL;

	if (last && last->start + last->size == start && last->file == file &&
	    last->offset + last->size == offset) {
		last->size += end - start;
		return 0;
	}
	last = array_add(list);
	if (!last)
		return -ENOMEM;
	*last = (struct source){ start, end - start, offset, file };
	return 0;
}

/* What this heritage adds: cells in mappings of it, no address twice. */
static int heritage_fresh(struct heritage *st, const struct cell *cells, size_t n)
{
	uint64_t done = 0;
	size_t v = 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t at = cells[i].start > done ? cells[i].start : done;
		uint64_t end = cells[i].start + cells[i].size;

		while (at < end) {
			uint64_t to;
			int e;

			while (v < st->vmas.n && st->vmas.v[v].end <= at)
				v++;
			if (v == st->vmas.n || st->vmas.v[v].start >= end)
				break;
			at = at > st->vmas.v[v].start ? at : st->vmas.v[v].start;
			to = end < st->vmas.v[v].end ? end : st->vmas.v[v].end;
			e = add_source(&st->fresh, at, to, cells[i].offset + (at - cells[i].start),
			               cells[i].file);
			if (e < 0)
				return e;
			done = at = to;
		}
	}
	return 0;
}

/* All that is there: what is fresh over what was inherited. */
static int heritage_pages(struct heritage *st)
{
	const struct sources *base = st->base ? &st->base->pages : NULL;
	uint64_t done = 0;
	size_t b = 0;
	int e = 0;

	for (size_t i = 0; e == 0 && i <= st->fresh.n; i++) {
		const struct source *f = i < st->fresh.n ? &st->fresh.v[i] : NULL;
		uint64_t limit = f ? f->start : UINT64_MAX;

		while (e == 0 && base && b < base->n && base->v[b].start < limit) {
			const struct source *s = &base->v[b];
			uint64_t from = s->start > done ? s->start : done;
			uint64_t end = s->start + s->size;
			uint64_t to = end < limit ? end : limit;

			if (from < to)
				e = add_source(&st->pages, from, to, s->offset + (from - s->start),
				               s->file);
			if (end > limit)
				break;
			b++;
		}
		if (e == 0 && f)
			e = add_source(&st->pages, f->start, f->start + f->size, f->offset,
			               f->file);
		if (f)
			done = f->start + f->size;
	}
	return e;
}

/* ---- heritages ---- */

static struct heritage *heritage_new(struct restore *r, struct rtask *owner, struct heritage *base)
{
	struct heritage *st = calloc(1, sizeof(*st));

	if (!st)
		return NULL;
	st->owner = owner;
	st->base = base;
	st->next = r->heritages;
	r->heritages = st;
	return st;
}

/* The cells and wants of one owner. */
static int heritage_make(struct restore *r, struct rtask *owner, const struct cell *cells,
                         size_t ncells, const struct want *wants, size_t nwants)
{
	struct heritage *st = heritage_new(r, owner, owner->heritage);
	int e = st ? heritage_vmas(st, wants, nwants) : -ENOMEM;

	if (e == 0)
		e = heritage_fresh(st, cells, ncells);
	if (e == 0)
		e = heritage_pages(st);
	if (e < 0)
		return e;
	owner->heritage = st;
	return 0;
}

/* The order of C is done: each heritage after that of its forker. */
static int plan_heritages(struct restore *r, const struct cells *c)
{
	size_t cell = 0, want = 0, pages = 0;

	for (uint32_t i = 0; i < c->norder; i++) {
		struct rtask *t = c->order[i];
		size_t cells = cell, wants = want;
		int e = 0;

		while (cell < c->cells.n && c->cells.v[cell].heritage == i)
			cell++;
		while (want < c->wants.n && c->wants.v[want].heritage == i)
			want++;
		t->heritage = t->forker ? t->forker->heritage : NULL;
		/* Who shares memory with its forker has nothing of its own to leave to others. */
		if (cell > cells && pages < PAGES_MAX &&
		    (!t->shares[TABLE_VM] || t->shares[TABLE_VM] == t))
			e = heritage_make(r, t, c->cells.v + cells, cell - cells,
			                  c->wants.v + wants, want - wants);
		if (e < 0)
			return e;
		pages += t->heritage && t->heritage->owner == t ? t->heritage->pages.n : 0;
	}
	return 0;
}

int heritage_plan(struct restore *r)
{
	auto_(cells_done) struct cells cells = {};
	int e = cells_find(r, &cells);

	if (e == 0)
		e = plan_heritages(r, &cells);
	return e < 0 ? fail(e, "plan what processes inherit") : 0;
}

void heritage_done(struct restore *r)
{
	while (r->heritages) {
		struct heritage *st = r->heritages;

		r->heritages = st->next;
		array_done(&st->vmas);
		array_done(&st->pages);
		array_done(&st->fresh);
		free(st);
	}
}

size_t heritage_arena(const struct restore *r)
{
	size_t calls = 0;

	array_each (t, &r->tasks)
		if (t->heritage)
			calls += t->heritage->pages.n + t->heritage->vmas.n;
	for (const struct heritage *st = r->heritages; st; st = st->next)
		calls += st->fresh.n + st->vmas.n;
	return calls * CALL_SIZE;
}

int heritage_emit(struct restore *r, struct rtask *t, struct script *s)
{
	const struct heritage *st = t->heritage;

	if (!st || st->owner != t)
		return 0;
	s->room = "memory";
	if (!st->base)
		memory_clear(r, NULL, s);
	array_each (v, &st->vmas) {
		int e = v->is_new ? memory_map_part(r, v->like, v->start, v->end,
		                                    PROT_READ | PROT_WRITE, s)
		                  : 0;

		if (e < 0)
			return e;
	}
	/* Threads take any number: they are for the first of all processes only. */
	return memory_read(r, t, &st->fresh, NULL, !t->forker, s);
}
