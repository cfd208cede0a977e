/*
 * Pages that more than one process has at the same address, from the same
 * place in the checkpoint, belong to the process that all of these descend from
 * by forking (tree.c), a helper maybe.
 *
 *	cover   what the records of shared pages refer to, in the page files
 *	uses    which process has which of it, and where
 *	cells   the page files cut so finely that all uses of a cell are of all of it
 *	wants   the mappings that their users have them in
 */
#include "restore/memory_cells.h"

#include <errno.h>

#include "lib/cleanup.h"

/* Of cells by their users, as many as there are shared pages at most; a hostile image may have more. */
#define VISITS_MAX (UINT64_C(1) << 28)

/* Somebody's pages that lie in the cover. */
struct use {
	uint64_t start, size, offset;
	uint32_t file;
	uint32_t task; /* by order of forks */
	const Img__Vma *vma;
};

struct plan {
	struct restore *r;
	struct cells *out;
	struct sources cover; /* starts are not used */
	ARRAY(struct use) uses;
};

/* ---- the order of forks ---- */

static void add_order(struct plan *p, struct rtask *t)
{
	t->order = p->out->norder;
	p->out->order[p->out->norder++] = t;
}

/* Down the tree of forks, without recursion: it may be deep. */
static int plan_order(struct plan *p)
{
	struct rtask *t = p->r->tasks.v;

	p->out->order = calloc(p->r->tasks.n + p->r->nhelpers, sizeof(*p->out->order));
	if (!p->out->order)
		return -ENOMEM;
	add_order(p, t);
	for (;;) {
		if (t->forks) {
			t = t->forks;
			add_order(p, t);
			continue;
		}
		while (t) {
			t->order_end = p->out->norder;
			if (t->next)
				break;
			t = t->forker;
		}
		if (!t)
			return 0;
		t = t->next;
		add_order(p, t);
	}
}

/* ---- cover ---- */

static int by_place(const void *a, const void *b)
{
	const struct source *x = a, *y = b;

	if (x->file != y->file)
		return x->file < y->file ? -1 : 1;
	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static int cover_record(struct plan *p, const Img__Pages *msg)
{
	struct page_iter it = pages_iter(p->r->images, msg);
	struct page_run run;

	while (pages_next(&it, &run)) {
		struct source *s = array_add(&p->cover);

		if (!s)
			return -ENOMEM;
		*s = (struct source){ 0, run.size, run.offset, msg->file };
	}
	return 0;
}

/* Sorted, and without overlap. */
static void cover_melt(struct plan *p)
{
	size_t n = 0;

	if (!p->cover.n)
		return;
	qsort(p->cover.v, p->cover.n, sizeof(*p->cover.v), by_place);
	for (size_t i = 1; i < p->cover.n; i++) {
		struct source *last = &p->cover.v[n], *s = &p->cover.v[i];
		uint64_t end = s->offset + s->size;

		if (s->file != last->file || s->offset > last->offset + last->size)
			p->cover.v[++n] = *s;
		else if (end > last->offset + last->size)
			last->size = end - last->offset;
	}
	p->cover.n = n + 1;
}

static const Img__Memory *memory_of(const struct restore *r, const struct rtask *t)
{
	return t->role == ROLE_TASK
	               ? (const Img__Memory *)aspect_record(r, KIND_memory, (uint32_t)t->pid)
	               : NULL;
}

/* Of tasks that have memory: the records of others were not checked. */
static int plan_cover(struct plan *p)
{
	array_each (t, &p->r->tasks) {
		size_t n;
		const struct record *rec =
			images_find(p->r->images, KIND_pages, (uint32_t)t->pid, &n);

		for (size_t i = 0; memory_of(p->r, t) && i < n; i++) {
			const Img__Pages *msg = (const Img__Pages *)rec[i].msg;
			int e = msg->shared ? cover_record(p, msg) : 0;

			if (e < 0)
				return e;
		}
	}
	cover_melt(p);
	return 0;
}

/* ---- uses ---- */

static int add_use(struct plan *p, const struct rtask *t, const Img__Vma *v, const struct source *s,
                   uint64_t from, uint64_t to)
{
	struct use *use = array_add(&p->uses);

	if (!use)
		return -ENOMEM;
	*use = (struct use){ .start = from,
		             .size = to - from,
		             .offset = s->offset + (from - s->start),
		             .file = s->file,
		             .task = (uint32_t)t->order,
		             .vma = v };
	return 0;
}

/* The part of S that lies in V: as far as it is in the cover. */
static int use_part(struct plan *p, const struct rtask *t, const Img__Vma *v,
                    const struct source *s)
{
	uint64_t from = v->start > s->start ? v->start : s->start;
	uint64_t end =
		v->start + v->size < s->start + s->size ? v->start + v->size : s->start + s->size;
	uint64_t first = s->offset + (from - s->start), last = s->offset + (end - s->start);
	size_t low = 0, high = p->cover.n;

	while (low < high) {
		size_t mid = (low + high) / 2;
		const struct source *c = &p->cover.v[mid];

		if (c->file < s->file || (c->file == s->file && c->offset + c->size <= first))
			low = mid + 1;
		else
			high = mid;
	}
	for (; low < p->cover.n && p->cover.v[low].file == s->file; low++) {
		const struct source *c = &p->cover.v[low];
		uint64_t a = c->offset > first ? c->offset : first;
		uint64_t b = c->offset + c->size < last ? c->offset + c->size : last;
		int e;

		if (a >= b)
			break;
		e = add_use(p, t, v, s, s->start + (a - s->offset), s->start + (b - s->offset));
		if (e < 0)
			return e;
	}
	return 0;
}

static int use_task(struct plan *p, const struct rtask *t, const Img__Memory *m)
{
	struct sources list = {};
	size_t at = 0;
	int e = sources_of(p->r, t, &list);

	for (size_t i = 0; e == 0 && i < list.n; i++) {
		const struct source *s = &list.v[i];

		while (at < m->n_vmas && m->vmas[at]->start + m->vmas[at]->size <= s->start)
			at++;
		for (size_t k = at;
		     e == 0 && k < m->n_vmas && m->vmas[k]->start < s->start + s->size; k++)
			if (heritage_takes(m->vmas[k]))
				e = use_part(p, t, m->vmas[k], s);
	}
	array_done(&list);
	return e;
}

static int plan_uses(struct plan *p)
{
	for (size_t i = 0; i < p->out->norder; i++) {
		const Img__Memory *m = memory_of(p->r, p->out->order[i]);
		int e = m ? use_task(p, p->out->order[i], m) : 0;

		if (e < 0)
			return e;
	}
	return 0;
}

/* ---- cells ---- */

/* Borders of all uses, each twice; then cells between those that follow each other. */
static int plan_borders(struct plan *p)
{
	struct sources borders = {};
	int e = 0;

	array_each (use, &p->uses) {
		for (int end = 0; e == 0 && end < 2; end++) {
			struct source *s = array_add(&borders);

			if (!s)
				e = -ENOMEM;
			else
				*s = (struct source){ .file = use->file,
					              .offset =
					                      use->offset + (end ? use->size : 0) };
		}
	}
	if (borders.n)
		qsort(borders.v, borders.n, sizeof(*borders.v), by_place);
	for (size_t i = 0; e == 0 && i + 1 < borders.n; i++) {
		const struct source *a = &borders.v[i], *b = a + 1;
		struct cell *c;

		if (a->file != b->file || a->offset == b->offset)
			continue;
		c = array_add(&p->out->cells);
		if (!c)
			e = -ENOMEM;
		else
			*c = (struct cell){ .file = a->file,
				            .offset = a->offset,
				            .size = b->offset - a->offset,
				            .heritage = NO_HERITAGE };
	}
	array_done(&borders);
	return e;
}

/* The first cell of a use. */
static struct cell *cell_of(struct plan *p, const struct use *use)
{
	size_t low = 0, high = p->out->cells.n;

	while (low < high) {
		size_t mid = (low + high) / 2;
		const struct cell *c = &p->out->cells.v[mid];

		if (c->file < use->file || (c->file == use->file && c->offset < use->offset))
			low = mid + 1;
		else
			high = mid;
	}
	return &p->out->cells.v[low];
}

static bool cell_in(const struct plan *p, const struct cell *c, const struct use *use)
{
	return c < p->out->cells.v + p->out->cells.n && c->file == use->file &&
	       c->offset < use->offset + use->size;
}

/* Where the cell is in the memory of its user. */
static uint64_t cell_at(const struct cell *c, const struct use *use)
{
	return use->start + (c->offset - use->offset);
}

/* The youngest ancestor of all users, by forks. */
static void cell_place(const struct plan *p, struct cell *c)
{
	const struct rtask *t;

	if (c->users < 2 || c->first == c->last)
		return;
	for (t = p->out->order[c->first]; t->order_end <= c->last;)
		t = t->forker;
	c->heritage = (uint32_t)t->order;
}

static int plan_cells(struct plan *p)
{
	int e = plan_borders(p);
	uint64_t visits = 0;

	if (e < 0)
		return e;
	array_each (use, &p->uses) {
		for (struct cell *c = cell_of(p, use); cell_in(p, c, use); c++) {
			if (visits++ == VISITS_MAX) {
				p->out->cells.n = 0;
				return 0;
			}
			if (!c->users++) {
				c->start = cell_at(c, use);
				c->first = c->last = use->task;
			}
			/* uses come in the order of forks */
			if (c->start == cell_at(c, use))
				c->last = use->task;
		}
	}
	array_each (c, &p->out->cells)
		cell_place(p, c);
	return 0;
}

/* ---- mappings ---- */

static int plan_wants(struct plan *p)
{
	array_each (use, &p->uses) {
		for (struct cell *c = cell_of(p, use); cell_in(p, c, use); c++) {
			struct want *last =
				p->out->wants.n ? &p->out->wants.v[p->out->wants.n - 1] : NULL;

			if (c->heritage == NO_HERITAGE || c->start != cell_at(c, use) ||
			    (last && last->heritage == c->heritage && last->vma == use->vma))
				continue;
			last = array_add(&p->out->wants);
			if (!last)
				return -ENOMEM;
			*last = (struct want){ c->heritage, use->vma->start,
				               use->vma->start + use->vma->size, use->vma };
		}
	}
	return 0;
}

static int by_heritage(const void *a, const void *b)
{
	const struct cell *x = a, *y = b;

	if (x->heritage != y->heritage)
		return x->heritage < y->heritage ? -1 : 1;
	return x->start < y->start ? -1 : x->start > y->start;
}

static int want_by_heritage(const void *a, const void *b)
{
	const struct want *x = a, *y = b;

	if (x->heritage != y->heritage)
		return x->heritage < y->heritage ? -1 : 1;
	return x->start < y->start ? -1 : x->start > y->start;
}

static int plan_sort(struct plan *p)
{
	if (p->out->cells.n)
		qsort(p->out->cells.v, p->out->cells.n, sizeof(*p->out->cells.v), by_heritage);
	if (p->out->wants.n)
		qsort(p->out->wants.v, p->out->wants.n, sizeof(*p->out->wants.v), want_by_heritage);
	return 0;
}

static void plan_done(struct plan *p)
{
	array_done(&p->cover);
	array_done(&p->uses);
}

int cells_find(struct restore *r, struct cells *ret)
{
	static int (*const steps[])(struct plan * p) = {
		plan_order, plan_uses, plan_cells, plan_wants, plan_sort,
	};
	auto_(plan_done) struct plan p = { .r = r, .out = ret };
	int e = plan_cover(&p);

	for (size_t i = 0; e == 0 && p.cover.n && i < ARRAY_SIZE(steps); i++)
		e = steps[i](&p);
	return e;
}

void cells_done(struct cells *c)
{
	free(c->order);
	array_done(&c->cells);
	array_done(&c->wants);
}
