/*
 * Which memory may come later: private memory that is no file's, and that
 * nobody has locked, shares since a fork, or treats in a way that the kernel does not tell
 * of (WIPEONFORK). All of a mapping is registered, or it would become several, which mremap(2)
 * refuses; and so are neighbours that differ in their protection alone: mprotect(2) makes them one.
 * What the kernel itself touches before the tree runs is there by then: rseq areas
 * are read at once, and what is found present (buffers that were registered somewhere) is written
 * over.
 */
#include "restore/lazy.h"

#include <errno.h>
#include <sys/mman.h>

#define PAGE   UINT64_C(4096)
#define ENOUGH (UINT64_C(1) << 20) /* below it mappings are read at once */

static bool vma_may_wait(const Img__Memory *m, const Img__Vma *v, uint8_t mark)
{
	const uint32_t traits = IMG__VMA__TRAIT__LOCKED | IMG__VMA__TRAIT__ONFAULT |
	                        IMG__VMA__TRAIT__DONTFORK | IMG__VMA__TRAIT__WIPEONFORK |
	                        IMG__VMA__TRAIT__MERGEABLE | IMG__VMA__TRAIT__SEALED;

	return v->type == IMG__VMA__TYPE__ANON && (v->map & MAP_TYPE) == MAP_PRIVATE &&
	       !(v->map & (MAP_HUGETLB | MAP_GROWSDOWN)) && !(v->traits & traits) &&
	       !(mark & (MARK_KEPT | MARK_GUARDED)) && !m->mlock_future && !m->memory_merge;
}

/* A filter may forbid what arms it; who shares an address space is more than one. */
static bool task_may_wait(const struct restore *r, const struct rtask *t)
{
	array_each (th, &t->threads)
		if (aspect_record(r, KIND_seccomp, (uint32_t)th->tid))
			return false;
	return !r->sharing;
}

static int add(struct sources *list, uint64_t start, uint64_t end, const struct source *of)
{
	struct source *s = start < end ? array_add(list) : NULL;

	if (start >= end)
		return 0;
	if (!s)
		return -ENOMEM;
	*s = (struct source){ start, end - start, of->offset + (start - of->start), of->file };
	return 0;
}

/* Is the page at AT one that the kernel writes to? */
static bool is_rseq(const struct rtask *t, uint64_t start, uint64_t end, uint64_t *ret_page)
{
	uint64_t first = UINT64_MAX;

	array_each (th, &t->threads) {
		uint64_t page = th->img ? th->img->rseq & ~(PAGE - 1) : 0;

		/* It may lie across two pages. */
		for (int i = 0; page && i < 2; i++, page += PAGE)
			if (page >= start && page < end && page < first)
				first = page;
	}
	*ret_page = first;
	return first != UINT64_MAX;
}

/* [START, END) of S is lazy, but for what the kernel writes to, which goes to EAGER. */
static int split(struct rtask *t, const struct source *s, uint64_t start, uint64_t end,
                 struct sources *eager)
{
	uint64_t page;
	int e = 0;

	while (e == 0 && is_rseq(t, start, end, &page)) {
		e = add(&t->lazy->pages, start, page, s);
		if (e == 0)
			e = add(eager, page, page + PAGE, s);
		start = page + PAGE;
	}
	return e < 0 ? e : add(&t->lazy->pages, start, end, s);
}

/* What of LIST lies in V. */
static uint64_t bytes_in(const struct sources *list, size_t i, const Img__Vma *v)
{
	uint64_t sum = 0, end = v->start + v->size;

	for (; i < list->n && list->v[i].start < end; i++) {
		uint64_t from = list->v[i].start > v->start ? list->v[i].start : v->start;
		uint64_t to = list->v[i].start + list->v[i].size;

		sum += (to < end ? to : end) - from;
	}
	return sum;
}

/* Does B, the next mapping, follow A at once, and differ in its protection, and what that brings with it, alone? */
static bool may_become_one(const Img__Vma *a, const Img__Vma *b)
{
	return b->start == a->start + a->size && b->type == a->type && b->map == a->map &&
	       !((b->traits ^ a->traits) & ~(uint32_t)IMG__VMA__TRAIT__ACCOUNTED);
}

/* Behind the last of those that the first may become one with. */
static size_t group_end(const Img__Memory *m, size_t first)
{
	size_t i = first + 1;

	while (i < m->n_vmas && may_become_one(m->vmas[i - 1], m->vmas[i]))
		i++;
	return i;
}

/* Do [FIRST, END) come later, all of them? LIST from AT on is what they hold. */
static bool group_waits(const Img__Memory *m, const uint8_t *marks, size_t first, size_t end,
                        const struct sources *list, size_t at)
{
	const Img__Vma *last = m->vmas[end - 1];
	Img__Vma whole = *m->vmas[first];

	for (size_t i = first; i < end; i++)
		if (!vma_may_wait(m, m->vmas[i], marks[i]))
			return false;
	whole.size = last->start + last->size - whole.start;
	return bytes_in(list, at, &whole) >= ENOUGH;
}

static int choose(struct rtask *t, const Img__Memory *m, uint8_t *marks, const struct sources *list,
                  struct sources *eager)
{
	size_t at = 0, group = 0;
	bool waits = false;
	int e = 0;

	for (size_t i = 0; e == 0 && i < m->n_vmas; i++) {
		const Img__Vma *v = m->vmas[i];
		uint64_t end = v->start + v->size;

		while (at < list->n && list->v[at].start + list->v[at].size <= v->start)
			at++;
		if (i == group) {
			group = group_end(m, i);
			waits = group_waits(m, marks, i, group, list, at);
		}
		marks[i] |= waits ? MARK_LATER : 0;
		if (waits)
			e = add(&t->lazy->ranges, v->start, end,
			        &(struct source){ .start = v->start });
		for (size_t s = at; e == 0 && s < list->n && list->v[s].start < end; s++) {
			const struct source *from = &list->v[s];
			uint64_t start = from->start > v->start ? from->start : v->start;
			uint64_t stop = from->start + from->size;

			stop = stop < end ? stop : end;
			e = waits ? split(t, from, start, stop, eager)
			          : add(eager, start, stop, from);
		}
	}
	return e;
}

int lazy_choose(struct restore *r, struct rtask *t, const Img__Memory *m, uint8_t *marks,
                struct sources *list)
{
	struct sources eager = {};
	int e;

	if (!r->opt->lazy || !task_may_wait(r, t))
		return 0;
	t->lazy = calloc(1, sizeof(*t->lazy));
	if (!t->lazy)
		return -ENOMEM;
	t->lazy->uffd = -1;
	e = choose(t, m, marks, list, &eager);
	array_done(list);
	*list = eager;
	return e;
}
