/*
 * Pages are looked up in groups of neighbouring mappings of the same sort with
 * one system call, and handed out cut at the borders of mappings, since what
 * is to be done with a page is a matter of its mapping.
 *
 * Objects of shared memory are read through their file, SEEK_DATA after
 * SEEK_HOLE: page tables do not tell of shared pages that are swapped out.
 */
#include "dump/pages_scan.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "dump/memory_map.h"
#include "dump/pagemap.h"
#include "dump/snapshot.h"
#include "dump/task.h"
#include "lib/cleanup.h"
#include "lib/log.h"

#define REGIONS 2048
#define SMALL   1024 /* pages that are resident */
#define NO_PAGEMAP        \
	(struct borrowed) \
	{                 \
		-1, false \
	}

bool pages_due(const struct dump *d, const struct task *t, const struct vma *v)
{
	if (d->opt->wipe_dontdump && (v->flags & VMF(dd)))
		return false;
	return vma_has_pages(v) && snapshot_holds(t, v) == d->from_copies;
}

int pages_fail(const struct dump *d, const struct task *t, int r)
{
	return d->from_copies ? snapshot_fail(t, r)
	                      : fail(r, "%s: look for its pages", task_name(t));
}

struct borrowed pages_pagemap(const struct dump *d, struct task *t)
{
	int fd;

	if (t->pagemap >= 0 && !d->from_copies)
		return (struct borrowed){ t->pagemap, true };
	fd = openat(d->from_copies ? t->copy.proc : t->proc, "pagemap", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return (struct borrowed){ pages_fail(d, t, -errno), false };
	if (!d->frozen || !files_may_keep_each(d, 1))
		return (struct borrowed){ fd, false };
	t->pagemap = fd;
	return (struct borrowed){ fd, true };
}

int scan_init(struct scan *s, struct dump *d, const struct shares *shares, const struct kept *kept)
{
	*s = (struct scan){
		.d = d, .shares = shares, .kept = kept, .last = d->tasks.n, .pagemap = NO_PAGEMAP
	};
	s->region = calloc(REGIONS, sizeof(*s->region));
	return s->region ? 0 : -ENOMEM;
}

void scan_done(struct scan *s)
{
	borrowed_done(&s->pagemap);
	free(s->region);
}

bool scan_is_small(const struct task *t)
{
	return t->stat.field[STAT_RSS] <= SMALL;
}

static bool is_file(const struct vma *v)
{
	return vma_class(v) != VMA_ANON;
}

/* The next group of mappings of this task. False: it has no more. */
static bool next_group(struct scan *s, const struct task *t)
{
	size_t i = s->group_end;

	while (i < t->vmas.n && !pages_due(s->d, t, &t->vmas.v[i]))
		i++;
	if (i == t->vmas.n)
		return false;
	s->vma = i;
	s->at = t->vmas.v[i].start;
	while (i < t->vmas.n && pages_due(s->d, t, &t->vmas.v[i]) &&
	       is_file(&t->vmas.v[i]) == is_file(&t->vmas.v[s->vma]) &&
	       (i == s->vma || vmas_near(t, i)))
		s->end = t->vmas.v[i++].end;
	s->group_end = i;
	return true;
}

static int find_regions(struct scan *s, const struct task *t)
{
	enum pagemap_query query = is_file(&t->vmas.v[s->vma]) ? PAGEMAP_FILE : PAGEMAP_ANON;
	int n = pagemap_find(s->pagemap.fd, query, &s->at, s->end, s->region, REGIONS);

	if (n < 0)
		return pages_fail(s->d, t, n);
	s->n = (size_t)n;
	s->next = 0;
	return 0;
}

static int open_pagemap(struct scan *s, struct task *t)
{
	if (s->pagemap.fd < 0)
		s->pagemap = pages_pagemap(s->d, t);
	return s->pagemap.fd < 0 ? s->pagemap.fd : 0;
}

/* The next ones that are known already: 1; 0 at the end. */
static int known_regions(struct scan *s, const struct task_shares *known)
{
	s->n = known->own.n - s->own < REGIONS ? known->own.n - s->own : REGIONS;
	s->next = 0;
	if (s->n)
		memcpy(s->region, known->own.v + s->own, s->n * sizeof(*s->region));
	s->own += s->n;
	return s->n > 0;
}

/* Have a region at hand: 1; 0 at the end of the task. */
static int have_region(struct scan *s, struct task *t)
{
	const struct task_shares *known = shares_own(s->shares, s->task);
	int r = 0;

	if (known)
		return s->next < s->n || known_regions(s, known);
	r = open_pagemap(s, t);
	while (r == 0 && s->next == s->n) {
		if (s->at >= s->end && !next_group(s, t))
			return 0;
		r = find_regions(s, t);
	}
	/* It runs: on its way out, or into another program, its memory goes before it has ended. */
	if (r < 0 && s->d->opt->memory_only && (r == -ESRCH || task_has_ended(t))) {
		log_forget();
		return 0;
	}
	return r < 0 ? r : 1;
}

/* As much of RUN as there is room for in U; what is left of it stays in RUN. */
static void unit_take(struct unit *u, struct run *run)
{
	struct run *slot = &u->runs[u->n++];
	uint64_t room = UNIT_BYTES - u->bytes;

	*slot = *run;
	if (slot->size > room)
		slot->size = room;
	u->bytes += slot->size;
	run->start += slot->size;
	run->size -= slot->size;
}

static bool unit_full(const struct unit *u)
{
	return u->n == UNIT_RUNS || u->bytes == UNIT_BYTES;
}

/* Whoever touches it meets no handler of the program and no key that keeps him off. */
static bool is_direct(const struct vma *v)
{
	return v->prot & PROT_READ && !v->pkey && !v->shared && !(v->flags & (VMF(um) | VMF(ui)));
}

/* The piece of the first region that lies in one mapping. */
static struct run first_piece(struct scan *s, const struct task *t)
{
	const struct page_region *r = &s->region[s->next];
	const struct vma *v;
	uint64_t end;

	while (t->vmas.v[s->vma].end <= r->start)
		s->vma++;
	v = &t->vmas.v[s->vma];
	end = r->end < v->end ? r->end : v->end;
	return (struct run){ .start = r->start,
		             .size = end - r->start,
		             .keep_zeros = is_file(v),
		             .by_mem = s->d->from_copies || !(v->prot & PROT_READ) ||
		                       r->categories & OWN_SHARED,
		             .seen = r->categories & OWN,
		             .direct = is_direct(v) };
}

/* Leave out of RUN what is shared: its start, or all from the next such page on. */
static void cut_shared(struct scan *s, struct run *run)
{
	const struct task_shares *t = s->shares->tasks ? &s->shares->tasks[s->task] : NULL;
	const struct share *share;
	uint64_t end = run->start + run->size, cut;

	while (t && s->share < t->list.n &&
	       t->list.v[s->share].start + t->list.v[s->share].size <= run->start)
		s->share++;
	if (!t || s->share == t->list.n || t->list.v[s->share].start >= end)
		return;
	share = &t->list.v[s->share];
	if (share->start > run->start) {
		run->size = share->start - run->start;
		return;
	}
	cut = share->start + share->size < end ? share->start + share->size : end;
	run->size = end - cut;
	run->start = cut;
	if (s->share + 1 < t->list.n && run->size && t->list.v[s->share + 1].start < end)
		run->size = t->list.v[s->share + 1].start - cut;
}

/* The same for what the parent has. */
static void cut_kept(struct scan *s, struct run *run)
{
	const struct kept_task *t = s->kept->tasks ? &s->kept->tasks[s->task] : NULL;
	const struct stored *k;
	uint64_t end = run->start + run->size, cut;

	while (t && s->keep < t->list.n &&
	       t->list.v[s->keep].start + t->list.v[s->keep].size <= run->start)
		s->keep++;
	if (!t || s->keep == t->list.n || t->list.v[s->keep].start >= end)
		return;
	k = &t->list.v[s->keep];
	if (k->start > run->start) {
		run->size = k->start - run->start;
		return;
	}
	cut = k->start + k->size < end ? k->start + k->size : end;
	run->start = cut;
	run->size = 0;
}

static int task_next(struct scan *s, struct task *t, struct unit *u)
{
	u->task = t;
	u->may_vanish = s->d->opt->memory_only;
	u->mem = s->d->from_copies ? t->copy.mem : t->mem;
	while (!unit_full(u)) {
		int r = have_region(s, t);
		struct run run;

		if (r <= 0)
			return r < 0 ? r : u->n > 0;
		run = first_piece(s, t);
		cut_shared(s, &run);
		if (run.size)
			cut_kept(s, &run);
		if (run.size)
			unit_take(u, &run);
		s->region[s->next].start = run.start;
		if (run.start == s->region[s->next].end)
			s->next++;
	}
	return 1;
}

/* The data of OBJECT from s->at on: 1; 0 when there is none. */
static int have_data(struct scan *s, const struct shmem *m)
{
	off_t data, hole;

	if (s->at < s->end)
		return 1;
	if (s->at >= (uint64_t)m->st.st_size || m->kept)
		return 0;
	if (shmem_huge_page(m)) { /* hugetlbfs knows no holes */
		s->end = (uint64_t)m->st.st_size;
		return 1;
	}
	data = lseek(m->fd, (off_t)s->at, SEEK_DATA);
	if (data < 0 && errno == ENXIO)
		return 0;
	hole = data < 0 ? -1 : lseek(m->fd, data, SEEK_HOLE);
	if (hole < 0)
		return fail(-errno, "shared memory %u (%s): look for its data", m->id, m->name);
	s->at = (uint64_t)data & ~(uint64_t)4095;
	s->end = ((uint64_t)hole + 4095) & ~(uint64_t)4095;
	return 1;
}

static int object_next(struct scan *s, const struct shmem *m, struct unit *u)
{
	u->m = m;
	while (!unit_full(u)) {
		int r = have_data(s, m);
		struct run run = { .start = s->at, .size = s->end - s->at };

		if (r <= 0)
			return r < 0 ? r : u->n > 0;
		unit_take(u, &run);
		s->at = run.start;
	}
	return 1;
}

/* Nothing of the last source shall be seen in the next one. */
static void scan_reset(struct scan *s)
{
	borrowed_done(&s->pagemap);
	s->pagemap = NO_PAGEMAP;
	s->at = s->end = 0;
	s->next = s->n = s->vma = s->group_end = s->share = s->keep = s->own = 0;
}

void scan_task(struct scan *s, size_t task)
{
	s->task = task;
	s->last = task + 1;
	s->object = s->d->shmems.list.n;
}

static bool has_pages(const struct scan *s, struct task *t)
{
	return t->state != TASK_ZOMBIE && mm_of(t) == t &&
	       (!s->d->from_copies || t->copy.tracee.tid) && !(s->large_only && scan_is_small(t));
}

int scan_next(struct scan *s, struct unit *u)
{
	for (; s->task < s->last; s->task++) {
		struct task *t = &s->d->tasks.v[s->task];
		int r;

		u->task = NULL, u->m = NULL, u->n = 0, u->bytes = 0;
		r = has_pages(s, t) ? task_next(s, t, u) : 0;
		if (r)
			return r;
		scan_reset(s);
	}
	for (; !s->d->from_copies && s->object < s->d->shmems.list.n; s->object++) {
		int r;

		u->task = NULL, u->m = NULL, u->n = 0, u->bytes = 0;
		r = object_next(s, s->d->shmems.list.v[s->object], u);
		if (r)
			return r;
		scan_reset(s);
	}
	return 0;
}

static int guards_add(struct guards *g, const struct page_region *r)
{
	uint64_t *start = array_add(&g->start), *size = array_add(&g->size);

	if (!start || !size)
		return -ENOMEM;
	*start = r->start;
	*size = r->end - r->start;
	return 0;
}

static bool shows_guards(const struct task *t)
{
	array_each (v, &t->vmas)
		if (v->flags & VMF(gu))
			return true;
	return false;
}

int guards_read(struct task *t, struct guards *ret)
{
	auto_(scan_done) struct scan s = { .pagemap = NO_PAGEMAP };
	struct dump plain = {};
	int r = shows_guards(t) ? scan_init(&s, &plain, NULL, NULL) : 0;

	for (size_t i = 0; r == 0 && i < t->vmas.n; i++) {
		uint64_t at = t->vmas.v[i].start, end = t->vmas.v[i].end;

		if (!(t->vmas.v[i].flags & VMF(gu)))
			continue;
		r = open_pagemap(&s, t);
		while (r == 0 && at < end) {
			int n = pagemap_find(s.pagemap.fd, PAGEMAP_GUARD, &at, end, s.region,
			                     REGIONS);

			r = n < 0 ? fail(n, "%s: look for its guard regions", task_name(t)) : 0;
			for (int k = 0; r == 0 && k < n; k++)
				r = guards_add(ret, &s.region[k]);
		}
	}
	return r;
}

void guards_done(struct guards *g)
{
	array_done(&g->start);
	array_done(&g->size);
}
