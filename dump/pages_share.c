/*
 * Forked memory is at the same address in all who share it, and the kernel
 * tells the frame of each page and whether it is mapped more than once. So the
 * address spaces are gone through side by side, a window at a time, with a
 * table of the frames that are mapped more than once: who is seen first with a
 * frame owns it. Windows that only one task has anything in are left out, and
 * memory needed is that of one window.
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
#include "dump/pagemap.h"
#include "dump/pages_scan.h"
#include "lib/cleanup.h"
#include "lib/log.h"

#define PAGE    UINT64_C(4096)
#define REGIONS 512
#define SMALL   (UINT64_C(2) << 20) /* read at once, without a search for what is there */
#define ENTRIES 512
#define NEAR    (UINT64_C(32) * PAGE) /* between mappings that are read at once */
#define TRIES   3

/* What a task has in a window. */
struct place {
	uint64_t window;
	uint32_t task;
};

struct finder {
	struct dump *d;
	struct shares *out;
	ARRAY(struct place) places;
	struct frames frames;
	bool *owns;  /* by task: others have frames of it, in this window */
	size_t used; /* slots that are used by others, too */
	size_t confirmed;
	ARRAY(struct finding {
		uint32_t task;
		struct share share;
	})
	found; /* in this window */
};

/* What is done with each frame at ADDRESS of task T. */
typedef int frame_fn(struct finder *f, uint32_t t, uint64_t address, uint32_t page, uint64_t frame);

static int add_place(struct finder *f, uint64_t window, uint32_t task)
{
	struct place *p;

	if (f->places.n && f->places.v[f->places.n - 1].window == window &&
	    f->places.v[f->places.n - 1].task == task)
		return 0;
	p = array_add(&f->places);
	if (!p)
		return -ENOMEM;
	*p = (struct place){ window, task };
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

/* The first with a frame owns it; who comes later shares it. */
static int claim(struct finder *f, uint32_t t, uint64_t address, uint32_t page, uint64_t frame)
{
	struct slot *slot = frames_slot(&f->frames, frame, page);

	if (!slot)
		return -ENOMEM;
	if (slot->frame) {
		f->used += !slot->used;
		slot->used = 1;
		f->owns[slot->owner] = true;
		return add_share(f, t, address, slot->owner);
	}
	*slot = (struct slot){ .frame = frame, .page = page, .owner = t };
	return frames_taken(&f->frames, slot);
}

static int confirm(struct finder *f, uint32_t t, uint64_t address, uint32_t page, uint64_t frame)
{
	const struct slot *slot = frames_slot(&f->frames, frame, page);

	f->confirmed += slot && slot->frame && slot->owner == t && slot->used;
	return 0;
}

/* ---- going through a window ---- */

/* Frames of many pages, read at once. */
struct view {
	int pagemap;
	uint64_t start, end;
	uint64_t frames[ENTRIES];
};

/* The mappings that follow the I-th closely come with it, up to END. */
static uint64_t near_end(const struct task *t, size_t i, uint64_t end)
{
	uint64_t to = t->vmas.v[i].end;

	while (++i < t->vmas.n && t->vmas.v[i].start - to <= NEAR)
		to = t->vmas.v[i].end;
	return to < end ? to : end;
}

/* Have the page at AT in view, and what follows up to END. */
static int view_at(struct view *view, uint64_t at, uint64_t end)
{
	size_t n = (end - at) / PAGE < ENTRIES ? (end - at) / PAGE : ENTRIES;
	int r;

	if (view->start <= at && at < view->end)
		return 0;
	r = pagemap_frames(view->pagemap, at, n, view->frames);
	view->start = at;
	view->end = r < 0 ? at : at + n * PAGE;
	return r;
}

/* AHEAD: as far as it may be read at once. */
static int each_frame(struct finder *f, uint32_t index, struct view *view, const struct vma *v,
                      const struct page_region *region, uint64_t ahead, frame_fn *fn)
{
	uint32_t file = vma_class(v) == VMA_ANON ? 0 : FRAMES_FILE;
	int r = 0;

	for (uint64_t at = region->start; r == 0 && at < region->end; at += PAGE) {
		uint64_t frame;

		r = view_at(view, at, ahead);
		frame = r < 0 ? 0 : view->frames[(at - view->start) / PAGE];
		if (frame)
			r = fn(f, index, at, (uint32_t)(at % FRAMES_WINDOW / PAGE) | file, frame);
	}
	return r;
}

/* The first mapping that ends behind AT. */
static size_t vma_at(const struct task *t, uint64_t at)
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

static int each_page(struct finder *f, const struct place *p, frame_fn *fn)
{
	struct task *t = &f->d->tasks.v[p->task];
	auto_(borrowed_done) struct borrowed pagemap = pages_pagemap(f->d, t);
	uint64_t first = p->window * FRAMES_WINDOW, end = first + FRAMES_WINDOW;
	struct page_region regions[REGIONS];
	struct view view = { .pagemap = pagemap.fd };
	int r = pagemap.fd < 0 ? pagemap.fd : 0;

	for (size_t i = vma_at(t, first); r == 0 && i < t->vmas.n; i++) {
		const struct vma *v = &t->vmas.v[i];
		uint64_t at = v->start > first ? v->start : first;
		uint64_t to = v->end < end ? v->end : end;

		if (v->start >= end)
			break;
		if (!pages_due(f->d, t, v))
			continue;
		if (to - at <= SMALL) {
			struct page_region all = { at, to, 0 };

			r = each_frame(f, p->task, &view, v, &all, near_end(t, i, end), fn);
			continue;
		}
		while (r == 0 && at < to) {
			int n = find_regions(f, t, pagemap.fd, v, &at, to, regions);

			r = n < 0 ? n : 0;
			for (int k = 0; r == 0 && k < n; k++)
				r = each_frame(f, p->task, &view, v, &regions[k], regions[k].end,
				               fn);
		}
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

static int claim_all(struct finder *f, const struct place *p, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n; i++)
		f->owns[p[i].task] = false;
	for (size_t i = 0; r == 0 && i < n; i++)
		r = each_page(f, &p[i], claim);
	return r;
}

static int confirm_all(struct finder *f, const struct place *p, size_t n)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = f->owns[p[i].task] ? each_page(f, &p[i], confirm) : 0;
	return r;
}

/* The N tasks that have memory in one window. */
static int find_in(struct finder *f, const struct place *p, size_t n)
{
	for (int i = 0; i < TRIES; i++) {
		int r = frames_new(&f->frames);

		f->used = f->confirmed = f->found.n = 0;
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
	return 0; /* these are stored for each of them */
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
}

static void forget(struct shares *s)
{
	for (size_t i = 0; i < s->n; i++) {
		s->tasks[i].list.n = 0;
		s->tasks[i].owner = false;
	}
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
		array_done(&s->tasks[i].stored);
	}
	free(s->tasks);
	*s = (struct shares){};
}
