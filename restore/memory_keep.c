/*
 * A task compares what it has inherited with what it had: what is the same
 * stays as it is, shared; other pages are read over it, or dropped; mappings
 * that have nothing in common with its own are unmapped.
 */
#include <errno.h>

#include "restore/memory_heritage.h"

static int by_start(const void *a, const void *b)
{
	const struct source *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

int sources_of(const struct restore *r, const struct rtask *t, struct sources *list)
{
	size_t n;
	const struct record *rec = images_find(r->images, KIND_pages, (uint32_t)t->pid, &n);

	for (size_t i = 0; i < n; i++) {
		const Img__Pages *msg = (const Img__Pages *)rec[i].msg;
		struct page_iter it = pages_iter(r->images, msg);
		struct page_run run;

		while (pages_next(&it, &run)) {
			struct source *s = array_add(list);

			if (!s)
				return -ENOMEM;
			*s = (struct source){ run.start, run.size, run.offset, msg->file };
		}
	}
	if (list->n)
		qsort(list->v, list->n, sizeof(*list->v), by_start);
	return 0;
}

/* A place in a list of sources that only moves on. */
struct cursor {
	const struct sources *list;
	size_t at;
};

/* The one that covers AT, or the next; NULL: there is none before END. */
static const struct source *cursor_at(struct cursor *c, uint64_t at, uint64_t end)
{
	while (c->at < c->list->n && c->list->v[c->at].start + c->list->v[c->at].size <= at)
		c->at++;
	return c->at < c->list->n && c->list->v[c->at].start < end ? &c->list->v[c->at] : NULL;
}

static int add_read(struct keep *k, const struct source *own, uint64_t from, uint64_t to)
{
	struct source *s = array_add(&k->reads);

	if (!s)
		return -ENOMEM;
	*s = (struct source){ from, to - from, own->offset + (from - own->start), own->file };
	return 0;
}

static int add_drop(struct keep *k, uint64_t from, uint64_t to)
{
	struct range *last = k->drops.n ? &k->drops.v[k->drops.n - 1] : NULL;

	if (last && last->end == from) {
		last->end = to;
		return 0;
	}
	last = array_add(&k->drops);
	if (!last)
		return -ENOMEM;
	*last = (struct range){ from, to };
	return 0;
}

/* All of its own between FROM and TO is read. */
static int read_all(struct keep *k, struct cursor *own, uint64_t from, uint64_t to)
{
	const struct source *s;

	while (from < to && (s = cursor_at(own, from, to))) {
		uint64_t begin = s->start > from ? s->start : from;
		int r;

		from = s->start + s->size < to ? s->start + s->size : to;
		r = add_read(k, s, begin, from);
		if (r < 0)
			return r;
	}
	return 0;
}

static uint64_t border(const struct source *s, uint64_t at, uint64_t end)
{
	uint64_t next = !s ? end : s->start > at ? s->start : s->start + s->size;

	return next < end ? next : end;
}

/* Compare own pages and inherited ones. *RET_SAME: bytes that are the same. */
static int compare(struct keep *k, struct cursor own, struct cursor base, struct range in,
                   uint64_t *ret_same)
{
	for (uint64_t at = in.start, next; at < in.end; at = next) {
		const struct source *o = cursor_at(&own, at, in.end);
		const struct source *b = cursor_at(&base, at, in.end);
		bool has = o && o->start <= at, had = b && b->start <= at;
		int r = 0;

		next = border(o, at, in.end);
		if (border(b, at, next) < next)
			next = border(b, at, next);
		if (has && had && o->file == b->file &&
		    o->offset + (at - o->start) == b->offset + (at - b->start))
			*ret_same += next - at;
		else if (has)
			r = add_read(k, o, at, next);
		else if (had)
			r = add_drop(k, at, next);
		if (r < 0)
			return r;
	}
	return 0;
}

/* IN lies in one mapping of the task and one of the heritage, of the same sort. */
static int keep_range(struct keep *k, struct cursor *own, struct cursor *base, struct range in,
                      uint64_t *done, bool *ret_kept)
{
	size_t reads, drops = k->drops.n;
	struct range *kept;
	uint64_t same = 0;
	int r = read_all(k, own, *done, in.start);

	*done = in.start;
	reads = k->reads.n;
	if (r == 0)
		r = compare(k, *own, *base, in, &same);
	if (r < 0)
		return r;
	if (!same) {
		k->reads.n = reads;
		k->drops.n = drops;
		return 0;
	}
	kept = array_add(&k->ranges);
	if (!kept)
		return -ENOMEM;
	*kept = in;
	*done = in.end;
	*ret_kept = true;
	return 0;
}

static int keep_vma(const struct heritage *heritage, const Img__Vma *v, size_t *at, struct keep *k,
                    struct cursor *own, struct cursor *base, uint64_t *done, uint8_t *mark)
{
	uint64_t end = v->start + v->size;

	while (*at < heritage->vmas.n && heritage->vmas.v[*at].end <= v->start)
		(*at)++;
	for (size_t i = *at; i < heritage->vmas.n && heritage->vmas.v[i].start < end; i++) {
		const struct heritage_vma *sv = &heritage->vmas.v[i];
		struct range in = { sv->start > v->start ? sv->start : v->start,
			            sv->end < end ? sv->end : end };
		bool kept = false;
		int r = 0;

		if (heritage_takes(v) && heritage_same(v, v->start, sv->like, sv->like->start))
			r = keep_range(k, own, base, in, done, &kept);
		if (r < 0)
			return r;
		if (kept)
			*mark |= MARK_KEPT;
	}
	return 0;
}

int keep_plan(struct restore *r, struct rtask *t, const Img__Memory *m, uint8_t *marks,
              struct keep *ret)
{
	struct sources list = {};
	struct cursor own = { &list, 0 }, base = {};
	uint64_t done = 0;
	size_t at = 0;
	int e;

	if (!t->heritage)
		return 0;
	base.list = &t->heritage->pages;
	e = sources_of(r, t, &list);
	for (size_t i = 0; e == 0 && i < m->n_vmas; i++) {
		cursor_at(&own, done, 0);
		cursor_at(&base, m->vmas[i]->start, 0);
		e = keep_vma(t->heritage, m->vmas[i], &at, ret, &own, &base, &done, &marks[i]);
	}
	if (e == 0)
		e = read_all(ret, &own, done, UINT64_MAX);
	array_done(&list);
	return e;
}

void keep_done(struct keep *k)
{
	array_done(&k->ranges);
	array_done(&k->drops);
	array_done(&k->reads);
}
