#include "dump/pages_look.h"

#include <errno.h>
#include <unistd.h>

#include "dump/pages_scan.h"
#include "lib/cleanup.h"
#include "lib/hands.h"

#define PAGE    UINT64_C(4096)
#define ENTRIES UINT64_C(512)         /* read at once */
#define NEAR    (UINT64_C(32) * PAGE) /* between mappings that are read at once */

size_t look_vma(const struct task *t, uint64_t at)
{
	size_t low = 0, high = t->vmas.n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (t->vmas.v[mid].end <= at)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* The mappings that follow the I-th closely come with it, up to END. */
static uint64_t near_end(const struct task *t, size_t i, uint64_t end)
{
	uint64_t to = t->vmas.v[i].end;

	while (++i < t->vmas.n && t->vmas.v[i].start - to <= NEAR)
		to = t->vmas.v[i].end;
	return to < end ? to : end;
}

int look_more(struct look *l, const struct dump *d, const struct task *t, int pagemap,
              uint64_t start, uint64_t end)
{
	size_t n = (end - start) / PAGE, first = l->entries.n;
	struct piece *p = array_add(&l->pieces);
	ssize_t got;

	if (!p || !array_room(&l->entries, n))
		return -ENOMEM;
	*p = (struct piece){ start, end, first };
	got = pread(pagemap, l->entries.v + first, n * 8, (off_t)(start / PAGE * 8));
	if (got != (ssize_t)(n * 8))
		return pages_fail(d, t, got < 0 ? -errno : -EPROTO);
	l->entries.n += n;
	return 0;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

int look_place(struct dump *d, const struct place *p, struct look *l)
{
	struct task *t = &d->tasks.v[p->task];
	uint64_t start = p->window * FRAMES_WINDOW, end = start + FRAMES_WINDOW;
	auto_(borrowed_done) struct borrowed pagemap = pages_pagemap(d, t);
	uint64_t at = start;
	int r = pagemap.fd < 0 ? pagemap.fd : 0;

	l->pieces.n = l->entries.n = l->at = 0;
	for (size_t i = look_vma(t, start); r == 0 && i < t->vmas.n; i++) {
		const struct vma *v = &t->vmas.v[i];
		uint64_t from = v->start > start ? v->start : start, to = least(v->end, end);

		if (v->start >= end)
			break;
		if (!pages_due(d, t, v) || to - from > LOOK_SMALL)
			continue;
		for (at = at > from ? at : from; r == 0 && at < to;) {
			uint64_t next = least(near_end(t, i, end), at + ENTRIES * PAGE);

			r = look_more(l, d, t, pagemap.fd, at, next);
			at = next;
		}
	}
	return r;
}

const uint64_t *look_at(struct look *l, uint64_t at, size_t *ret_n)
{
	const struct piece *p;

	while (l->at < l->pieces.n && l->pieces.v[l->at].end <= at)
		l->at++;
	if (l->at == l->pieces.n || l->pieces.v[l->at].start > at)
		return NULL;
	p = &l->pieces.v[l->at];
	*ret_n = (p->end - at) / PAGE;
	return &l->entries.v[p->first + (at - p->start) / PAGE];
}

void look_done(struct look *l)
{
	array_done(&l->pieces);
	array_done(&l->entries);
}

static int look_share(void *arg, unsigned hand)
{
	struct look_batch *b = arg;
	int r = 0;
	size_t i;

	while (r == 0 && (i = __atomic_fetch_add(&b->next, 1, __ATOMIC_RELAXED)) < b->n)
		r = look_place(b->d, &b->places[i], &b->looks[i]);
	return r;
}

void look_give(struct look_batch *b, const struct place *places, size_t n)
{
	b->places = places;
	b->n = n < LOOK_BATCH ? n : LOOK_BATCH;
	b->next = 0;
	if (b->n)
		hands_give(b->d->hands, look_share, b);
}

int look_await(struct look_batch *b)
{
	int mine = look_share(b, 0), others = hands_await(b->d->hands);

	return mine < 0 ? mine : others;
}

void look_batch_done(struct look_batch *b)
{
	for (size_t i = 0; i < LOOK_BATCH; i++)
		look_done(&b->looks[i]);
}
