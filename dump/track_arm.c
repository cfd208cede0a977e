#include "dump/track_arm.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "dump/memory_map.h"
#include "dump/pagemap.h"
#include "dump/soft_dirty.h"
#include "dump/uffd.h"
#include "lib/cleanup.h"
#include "lib/log.h"

#define REGIONS 2048

/*
 * Memory that is tracked: what the checkpoint will hold, of this process alone. Not private
 * mappings of files: where their pages are dropped, the kernel leaves markers of the
 * protection behind, and madvise(MADV_GUARD_INSTALL) would wait for ever for these to go
 * (mm/madvise.c, seen on 6.18).
 */
static bool is_tracked(const struct dump *d, const struct vma *v)
{
	if (d->opt->wipe_dontdump && (v->flags & VMF(dd)))
		return false;
	return vma_has_pages(v) && vma_class(v) == VMA_ANON && !(v->flags & (VMF(ht) | VMF(dp)));
}

/* Had V the mark of userfaultfd when its tree was frozen? */
static bool was_tracked(const struct vma *v)
{
	return v->flags & VMF(uw);
}

enum which { ALL, NEW };

static bool is_wanted(const struct dump *d, const struct vma *v, enum which which)
{
	return is_tracked(d, v) && (which == ALL || !was_tracked(v));
}

/* Neighbouring mappings from *I on, as [*ret_first, *I). */
static bool next_group(const struct dump *d, const struct task *t, enum which which, size_t *i,
                       size_t *ret_first)
{
	while (*i < t->vmas.n && !is_wanted(d, &t->vmas.v[*i], which))
		(*i)++;
	*ret_first = *i;
	while (*i < t->vmas.n && is_wanted(d, &t->vmas.v[*i], which) &&
	       (*i == *ret_first || vmas_near(t, *i)))
		(*i)++;
	return *i > *ret_first;
}

static int add_span(struct spans *list, const struct page_region *r)
{
	struct span *s;

	if (r->categories & PAGEMAP_WRITTEN)
		return 0;
	s = array_add(list);
	if (!s)
		return -ENOMEM;
	*s = (struct span){ r->start, r->end };
	return 0;
}

/* What QUERY finds that was not written to. */
static int find_all(const struct dump *d, const struct task *t, enum which which,
                    enum pagemap_query query, struct spans *ret)
{
	auto_free struct page_region *regions = calloc(REGIONS, sizeof(*regions));
	auto_close int pagemap = openat(t->proc, "pagemap", O_RDONLY | O_CLOEXEC);

	if (!regions || pagemap < 0)
		return regions ? -errno : -ENOMEM;
	for (size_t i = 0, first; next_group(d, t, which, &i, &first);) {
		uint64_t at = t->vmas.v[first].start, end = t->vmas.v[i - 1].end;

		while (at < end) {
			int n = pagemap_find(pagemap, query, &at, end, regions, REGIONS), r = 0;

			for (int k = 0; r == 0 && k < n; k++)
				r = add_span(ret, &regions[k]);
			if (n < 0 || r < 0)
				return n < 0 ? n : r;
		}
	}
	return 0;
}

/* V is registered with somebody else's userfaultfd. */
static int refuse_foreign(const struct task *t, const struct vma *v)
{
	return fail(-ENOTSUP,
	            "%s: mapping %" PRIx64 "-%" PRIx64
	            " (%s): it is registered with userfaultfd, not supported by this version",
	            task_name(t), v->start, v->end, *v->name ? v->name : "anonymous");
}

/* One by one, what can be: the rest is stored whole every time. */
static int register_each(const struct task *t, const struct tracked *m, size_t first, size_t end)
{
	for (size_t i = first; i < end; i++) {
		const struct vma *v = &t->vmas.v[i];
		int r = uffd_track(m->uffd, v->start, v->end - v->start);

		if (r == -EBUSY && was_tracked(v))
			return refuse_foreign(t, v);
		if (r == -ENOMEM || r == -ESRCH)
			return fail(r, "%s: track its memory", task_name(t));
	}
	return 0;
}

static int register_all(const struct dump *d, const struct task *t, const struct tracked *m)
{
	int r = 0;

	for (size_t i = 0, first; r == 0 && next_group(d, t, ALL, &i, &first);) {
		uint64_t start = t->vmas.v[first].start;

		if (uffd_track(m->uffd, start, t->vmas.v[i - 1].end - start) < 0)
			r = register_each(t, m, first, i);
	}
	return r;
}

/* Is everything that bears the mark ours? Nobody's program is let go without its userfaultfd. */
static int check_foreign(const struct dump *d, const struct task *t, const struct tracked *m)
{
	array_each (v, &t->vmas) {
		if (was_tracked(v) && (!m || m->uffd < 0 || !is_tracked(d, v) ||
		                       uffd_track(m->uffd, v->start, v->end - v->start) < 0))
			return refuse_foreign(t, v);
	}
	return 0;
}

/* From here on the tracking is relative to nothing, until the checkpoint is whole. */
static int forget_id(struct tracked *m)
{
	memset(m->slot.id, 0, CHAIN_ID);
	if (!m->by)
		return 0;
	memset(m->by->slots.v[m->at].id, 0, CHAIN_ID);
	return tracker_update(m->by, m->at);
}

/*
 * Where a mapping is moved to beside one that is tracked, the kernel makes them one and
 * forgets to track both (mremap_userfaultfd_prep(), seen on 6.18), but leaves the mark of the
 * protection in pages that may be written to from then on. Tracked again, they would be
 * taken for unwritten for ever: what was not tracked until now loses the mark.
 */
static int disarm_stale(const struct dump *d, const struct task *t, const struct tracked *m)
{
	struct spans stale = {};
	int r = find_all(d, t, NEW, PAGEMAP_UNWRITTEN, &stale);

	for (size_t i = 0; r == 0 && i < stale.n; i++)
		r = uffd_disarm(m->uffd, stale.v[i].start, stale.v[i].end - stale.v[i].start);
	array_done(&stale);
	return r;
}

/* One walk tells what was not written to, and arms the rest. */
static int arm(const struct dump *d, const struct task *t, struct tracked *m)
{
	int r = forget_id(m);

	if (r == 0)
		r = register_all(d, t, m);
	if (r == 0)
		r = disarm_stale(d, t, m);
	if (r == 0)
		r = find_all(d, t, ALL, PAGEMAP_ARM, &m->unwritten);
	m->armed = r == 0;
	return r;
}

/* The same with soft-dirty marks. */
static int arm_soft(const struct dump *d, const struct task *t, struct tracked *m)
{
	int r = find_all(d, t, ALL, PAGEMAP_CLEAN, &m->unwritten);

	if (r == 0)
		r = forget_id(m);
	if (r == 0)
		r = soft_dirty_clear(t->proc);
	m->armed = r == 0;
	return r;
}

int tracked_arm(struct dump *d, const struct task *t, struct tracked *m)
{
	int r = check_foreign(d, t, m);

	if (r < 0 || !m || (m->uffd < 0 && !m->slot.soft))
		return r;
	if (m->pinned)
		return d->opt->track ? forget_id(m) : 0;
	m->relative = d->parent && !memcmp(m->slot.id, d->parent->manifest->id.data, CHAIN_ID);
	r = d->opt->track ? (m->slot.soft ? arm_soft : arm)(d, t, m)
	                  : find_all(d, t, ALL, m->slot.soft ? PAGEMAP_CLEAN : PAGEMAP_UNWRITTEN,
	                             &m->unwritten);
	return r < 0 ? fail(r, "%s: look for what was written to", task_name(t)) : 0;
}
