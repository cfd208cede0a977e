/*
 * Forked memory is at the same address in all who share it, and the kernel
 * tells the frame of each page and whether it is mapped more than once. So the
 * address spaces are gone through side by side, a window at a time, with a
 * table of the frames that are mapped more than once: who is seen first with a
 * frame owns it. Windows that only one task has anything in are left out, and
 * memory needed is that of one window. What was read to see that tells all of small mappings, too, so that nobody
 * asks for it again (task_shares.own).
 *
 * Traps: the kernel may move a page while we look (compaction), and give its
 * frame to another. So the owners are looked at again after all others: only
 * what had its frame before and after that is believed, or the window is done
 * again. A page of zeros is stored for mappings of files only, so a page is not
 * shared between the two sorts (KSM can do that).
 */
#include "dump/pages_share.h"

#include <errno.h>
#include <fcntl.h>

#include "dump/frames.h"
#include "dump/memory_map.h"
#include "dump/pages_look.h"
#include "dump/pages_scan.h"
#include "lib/cleanup.h"
#include "lib/hands.h"
#include "lib/log.h"

#define PAGE    UINT64_C(4096)
#define REGIONS 512
#define ENTRIES 512 /* read at once */
#define TRIES   3

struct finder {
	struct dump *d;
	struct shares *out;
	ARRAY(struct place) places;
	struct frames frames;
	uint64_t zero; /* frame of the page of zeros */
	bool *owns;    /* by task: others have frames of it, in this window */
	size_t used;   /* slots that are used by others, too */
	size_t confirmed;
	struct look_batch *batches; /* two */
	ARRAY(struct finding {
		uint32_t task;
		struct share share;
	})
	found; /* in this window */
};

/* What is done with each page that holds something at ADDRESS of task T. */
typedef int page_fn(struct finder *f, uint32_t t, uint64_t address, uint32_t page, uint64_t entry);

static int add_place(struct finder *f, uint64_t window, uint32_t task)
{
	struct place *p;

	if (f->places.n && f->places.v[f->places.n - 1].window == window &&
	    f->places.v[f->places.n - 1].task == task)
		return 0;
	p = array_add(&f->places);
	if (!p)
		return -ENOMEM;
	*p = (struct place){ window, task, 0 };
	return 0;
}

static int find_regions(const struct finder *f, const struct task *t, int pagemap,
                        const struct vma *v, uint64_t *at, uint64_t end,
                        struct page_region *regions)
{
	enum pagemap_query query = vma_class(v) == VMA_ANON ? PAGEMAP_ANON : PAGEMAP_FILE;
	int n = pagemap_find(pagemap, query, at, end, regions, REGIONS);

	return n < 0 ? pages_fail(f->d, t, n) : n;
}

/* The windows of a mapping; a large one may hold little. */
static int place_vma(struct finder *f, uint32_t index, struct task *t, const struct vma *v)
{
	struct page_region regions[REGIONS];
	auto_(borrowed_done) struct borrowed pagemap = { -1, false };
	uint64_t at = v->start;
	int r = 0;

	if (v->end - v->start <= FRAMES_WINDOW) {
		r = add_place(f, v->start / FRAMES_WINDOW, index);
		return r < 0 ? r : add_place(f, (v->end - 1) / FRAMES_WINDOW, index);
	}
	pagemap = pages_pagemap(f->d, t);
	if (pagemap.fd < 0)
		return pagemap.fd;
	while (r == 0 && at < v->end) {
		int n = find_regions(f, t, pagemap.fd, v, &at, v->end, regions);

		r = n < 0 ? n : 0;
		for (int i = 0; r == 0 && i < n; i++)
			for (uint64_t w = regions[i].start / FRAMES_WINDOW;
			     r == 0 && w <= (regions[i].end - 1) / FRAMES_WINDOW; w++)
				r = add_place(f, w, index);
	}
	return r;
}

static int place_task(struct finder *f, uint32_t index)
{
	struct task *t = &f->d->tasks.v[index];

	if (t->state == TASK_ZOMBIE)
		return 0;
	array_each (v, &t->vmas) {
		int r = pages_due(f->d, t, v) ? place_vma(f, index, t, v) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

static int by_window(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->window != y->window)
		return x->window < y->window ? -1 : 1;
	return x->task < y->task ? -1 : x->task > y->task;
}

/* ---- findings ---- */

static int add_share(struct finder *f, uint32_t t, uint64_t address, uint32_t owner)
{
	struct finding *last = f->found.n ? &f->found.v[f->found.n - 1] : NULL;

	if (!last || last->task != t || last->share.owner != owner ||
	    last->share.start + last->share.size != address) {
		last = array_add(&f->found);
		if (!last)
			return -ENOMEM;
		*last = (struct finding){ t, { address, 0, owner } };
	}
	last->share.size += PAGE;
	return 0;
}

static int add_own(struct finder *f, uint32_t t, uint64_t address, bool shared)
{
	struct task_shares *s = &f->out->tasks[t];
	struct page_region *last = s->own.n ? &s->own.v[s->own.n - 1] : NULL;
	uint64_t sort = OWN | (shared ? OWN_SHARED : 0);

	if (s->unseen)
		return 0;
	if (!last || last->end != address || last->categories != sort) {
		last = array_add(&s->own);
		if (!last)
			return -ENOMEM;
		*last = (struct page_region){ address, address, sort };
	}
	last->end += PAGE;
	return 0;
}

/* The first with a frame owns it; who comes later shares it. */
static int claim(struct finder *f, uint32_t t, uint64_t address, uint32_t page, uint64_t entry)
{
	uint64_t frame = entry & PM_FRAME;
	struct slot *slot;

	if (!pagemap_is_shared(entry))
		return add_own(f, t, address, false);
	if (!frame)
		return -EPERM;
	if (frame == f->zero && !(page & FRAMES_FILE))
		return 0;
	slot = frames_slot(&f->frames, frame, page);
	if (!slot)
		return -ENOMEM;
	if (slot->frame) {
		f->used += !slot->used;
		slot->used = 1;
		f->owns[slot->owner] = true;
		return add_share(f, t, address, slot->owner);
	}
	*slot = (struct slot){ .frame = frame, .page = page, .owner = t };
	return frames_taken(&f->frames, slot) < 0 ? -ENOMEM : add_own(f, t, address, true);
}

static int confirm(struct finder *f, uint32_t t, uint64_t address, uint32_t page, uint64_t entry)
{
	const struct slot *slot;

	if (!pagemap_is_shared(entry))
		return 0;
	slot = frames_slot(&f->frames, entry & PM_FRAME, page);
	f->confirmed += slot && slot->frame && slot->owner == t && slot->used;
	return 0;
}

/* ---- going through a window ---- */

/* Of [AT, END) all that was read. */
static int each_entry(struct finder *f, uint32_t index, struct look *l, const struct vma *v,
                      uint64_t at, uint64_t end, page_fn *fn)
{
	enum pagemap_query query = vma_class(v) == VMA_ANON ? PAGEMAP_ANON : PAGEMAP_FILE;
	uint32_t file = query == PAGEMAP_ANON ? 0 : FRAMES_FILE;
	int r = 0;

	while (at < end) {
		size_t n = 0;
		const uint64_t *entry = look_at(l, at, &n);

		if (!entry)
			return -EPROTO;
		for (; r == 0 && n-- && at < end; entry++, at += PAGE)
			if (pagemap_has_data(*entry, query))
				r = fn(f, index, at, (uint32_t)(at % FRAMES_WINDOW / PAGE) | file,
				       *entry);
		if (r < 0)
			return r;
	}
	return 0;
}

static int each_piece(struct finder *f, uint32_t index, int pagemap, const struct vma *v,
                      const struct page_region *region, page_fn *fn)
{
	int r = 0;

	for (uint64_t at = region->start, to; r == 0 && at < region->end; at = to) {
		auto_(look_done) struct look l = {};

		to = region->end - at < ENTRIES * PAGE ? region->end : at + ENTRIES * PAGE;
		r = look_more(&l, f->d, &f->d->tasks.v[index], pagemap, at, to);
		if (r == 0)
			r = each_entry(f, index, &l, v, at, to, fn);
	}
	return r;
}

/* A large mapping, of which is read what is there. */
static int each_region(struct finder *f, uint32_t index, const struct vma *v, uint64_t at,
                       uint64_t end, page_fn *fn)
{
	struct task *t = &f->d->tasks.v[index];
	auto_(borrowed_done) struct borrowed pagemap = pages_pagemap(f->d, t);
	struct page_region regions[REGIONS];
	int r = pagemap.fd < 0 ? pagemap.fd : 0;

	f->out->tasks[index].unseen = true;
	while (r == 0 && at < end) {
		int n = find_regions(f, t, pagemap.fd, v, &at, end, regions);

		r = n < 0 ? n : 0;
		for (int i = 0; r == 0 && i < n; i++)
			r = each_piece(f, index, pagemap.fd, v, &regions[i], fn);
	}
	return r;
}

/* L: of the small mappings in that window. */
static int each_page(struct finder *f, const struct place *p, struct look *l, page_fn *fn)
{
	struct task *t = &f->d->tasks.v[p->task];
	uint64_t first = p->window * FRAMES_WINDOW, end = first + FRAMES_WINDOW;
	int r = 0;

	for (size_t i = look_vma(t, first); r == 0 && i < t->vmas.n; i++) {
		const struct vma *v = &t->vmas.v[i];
		uint64_t at = v->start > first ? v->start : first;
		uint64_t to = v->end < end ? v->end : end;

		if (v->start >= end)
			break;
		if (!pages_due(f->d, t, v))
			continue;
		r = to - at <= LOOK_SMALL ? each_entry(f, p->task, l, v, at, to, fn)
		                          : each_region(f, p->task, v, at, to, fn);
	}
	return r;
}

static int keep_found(struct finder *f)
{
	array_each (found, &f->found) {
		struct task_shares *t = &f->out->tasks[found->task];
		struct share *last = t->list.n ? &t->list.v[t->list.n - 1] : NULL;

		f->out->tasks[found->share.owner].owner = true;
		if (last && last->owner == found->share.owner &&
		    last->start + last->size == found->share.start) {
			last->size += found->share.size;
			continue;
		}
		last = array_add(&t->list);
		if (!last)
			return -ENOMEM;
		*last = found->share;
	}
	return 0;
}

static int claim_batch(struct finder *f, struct look_batch *b)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < b->n; i++)
		r = each_page(f, &b->places[i], &b->looks[i], claim);
	return r;
}

/* While the claims of some are looked at, the next are read. */
static int claim_all(struct finder *f, struct place *p, size_t n)
{
	struct look_batch *now = &f->batches[0], *next = &f->batches[1];
	int r;

	for (size_t i = 0; i < n; i++)
		f->owns[p[i].task] = false;
	look_give(now, p, n);
	r = look_await(now);
	for (size_t at = LOOK_BATCH; r == 0 && now->n; at += LOOK_BATCH) {
		struct look_batch *done = now;
		int others;

		look_give(next, n > at ? p + at : p, n > at ? n - at : 0);
		r = claim_batch(f, now);
		others = look_await(next);
		r = r < 0 ? r : others;
		now = next;
		next = done;
	}
	return r;
}

static int confirm_all(struct finder *f, const struct place *p, size_t n)
{
	struct look *l = &f->batches->looks[0];
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		if (!f->owns[p[i].task])
			continue;
		r = look_place(f->d, &p[i], l);
		if (r == 0)
			r = each_page(f, &p[i], l, confirm);
	}
	return r;
}

static void note_own(const struct finder *f, struct place *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i].own = f->out->tasks[p[i].task].own.n;
}

static void forget_own(const struct finder *f, const struct place *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		f->out->tasks[p[i].task].own.n = p[i].own;
}

/* The N tasks that have memory in one window. */
static int find_in(struct finder *f, struct place *p, size_t n)
{
	note_own(f, p, n);
	for (int i = 0; i < TRIES; i++) {
		int r = frames_new(&f->frames);

		f->used = f->confirmed = f->found.n = 0;
		forget_own(f, p, n);
		if (r == 0)
			r = claim_all(f, p, n);
		if (r == 0)
			r = confirm_all(f, p, n);
		if (r < 0)
			return r;
		if (f->confirmed == f->used)
			return keep_found(f);
		debug("pages moved while they were looked at, once more");
	}
	/* These are stored for each of them. */
	for (size_t i = 0; i < n; i++)
		f->out->tasks[p[i].task].unseen = true;
	return 0;
}

static int find_all(struct finder *f)
{
	qsort(f->places.v, f->places.n, sizeof(*f->places.v), by_window);
	for (size_t i = 0, end; i < f->places.n; i = end) {
		int r = 0;

		for (end = i + 1; end < f->places.n; end++)
			if (f->places.v[end].window != f->places.v[i].window)
				break;
		if (end - i > 1)
			r = find_in(f, &f->places.v[i], end - i);
		else
			f->out->tasks[f->places.v[i].task].unseen = true;
		if (r < 0)
			return r;
	}
	return 0;
}

static void finder_done(struct finder *f)
{
	array_done(&f->places);
	array_done(&f->found);
	frames_done(&f->frames);
	free(f->owns);
	for (int i = 0; f->batches && i < 2; i++)
		look_batch_done(&f->batches[i]);
	free(f->batches);
}

static void forget(struct shares *s)
{
	for (size_t i = 0; i < s->n; i++) {
		s->tasks[i].list.n = 0;
		s->tasks[i].owner = false;
		s->tasks[i].unseen = true;
	}
}

const struct task_shares *shares_own(const struct shares *s, size_t task)
{
	return s->tasks && !s->tasks[task].unseen ? &s->tasks[task] : NULL;
}

/* What the hands were at before. */
static int have_hands(struct finder *f)
{
	int r = hands_await(f->d->hands);

	f->batches = calloc(2, sizeof(*f->batches));
	if (!f->batches)
		return -ENOMEM;
	f->batches[0].d = f->batches[1].d = f->d;
	return r;
}

int shares_find(struct dump *d, struct shares *ret)
{
	auto_(finder_done) struct finder f = { .d = d, .out = ret };
	int r = 0;

	if (d->tasks.n < 2)
		return 0;
	ret->n = d->tasks.n;
	ret->tasks = calloc(ret->n, sizeof(*ret->tasks));
	f.owns = calloc(ret->n, sizeof(*f.owns));
	if (!ret->tasks || !f.owns)
		return -ENOMEM;
	r = have_hands(&f);
	f.zero = pagemap_zero_frame();
	for (size_t i = 0; r == 0 && i < d->tasks.n; i++)
		r = mm_of(&d->tasks.v[i]) == &d->tasks.v[i] ? place_task(&f, (uint32_t)i) : 0;
	if (r == 0 && f.places.n)
		r = find_all(&f);
	if (r != -EPERM || log_failure())
		return r;
	forget(ret);
	lose("the memory that processes share since a fork is stored for each of them: to see "
	     "what is shared needs CAP_SYS_ADMIN");
	return 0;
}

void shares_done(struct shares *s)
{
	for (size_t i = 0; i < s->n; i++) {
		array_done(&s->tasks[i].list);
		array_done(&s->tasks[i].own);
		array_done(&s->tasks[i].stored);
	}
	free(s->tasks);
	*s = (struct shares){};
}
