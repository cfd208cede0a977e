/*
 * Mappings, restore half. Everything is mapped before anything is filled;
 * what may not be written to is writable until it is full. Advice that matters
 * for the filling (huge pages) comes before it, all other after.
 */
#include <errno.h>
#include <linux/mman.h>
#include <linux/prctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "lib/log.h"
#include "restore/memory.h"
#include "restore/shmem.h"
#include "restore/sysv.h"

#define PAGE     UINT64_C(4096)
#define RUN_MOST (UINT64_C(64) << 20) /* bytes: what is more the kernel may refuse to map at once */

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA           0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

static int vma_fd(struct restore *r, const Img__Vma *v)
{
	bool shared =
		(v->map & MAP_TYPE) == MAP_SHARED || (v->map & MAP_TYPE) == MAP_SHARED_VALIDATE;

	if (v->type == IMG__VMA__TYPE__FILE)
		return pool_file(r, v->object);
	if (v->type == IMG__VMA__TYPE__SHMEM)
		return shmem_get(r, v->object, !shared || v->traits & IMG__VMA__TRAIT__WRITE);
	return -1;
}

int memory_map_part(struct restore *r, const Img__Vma *v, uint64_t start, uint64_t end,
                    uint32_t prot, struct script *s)
{
	uint64_t offset =
		v->type == IMG__VMA__TYPE__ANON ? v->offset : v->offset + (start - v->start);
	int fd = vma_fd(r, v);

	if (fd < 0 && v->type != IMG__VMA__TYPE__ANON)
		return fd;
	script_want(s, start, SYS_mmap, start, end - start, prot, v->map | MAP_FIXED_NOREPLACE,
	            (int64_t)fd, offset);
	if (v->traits & IMG__VMA__TRAIT__HUGEPAGE)
		script_ask(s, SYS_madvise, start, end - start, MADV_HUGEPAGE);
	if (v->traits & IMG__VMA__TRAIT__NOHUGEPAGE)
		script_ask(s, SYS_madvise, start, end - start, MADV_NOHUGEPAGE);
	return 0;
}

static bool is_segment(const struct restore *r, const Img__Vma *v)
{
	return v->type == IMG__VMA__TYPE__SHMEM && sysv_shm_record(r, v->object);
}

static uint32_t first_prot(const Img__Vma *v, uint8_t mark)
{
	return vma_needs_write(v, mark) ? PROT_READ | PROT_WRITE : v->prot;
}

static bool is_plain(const Img__Vma *v)
{
	return v->type == IMG__VMA__TYPE__ANON && (v->map & MAP_TYPE) == MAP_PRIVATE &&
	       !(v->map & (MAP_HUGETLB | MAP_GROWSDOWN));
}

/*
 * From mapping I on, how many the kernel would make one of while they are filled: they are mapped at once, and are
 * told apart when they are settled.
 */
static size_t count_alike(const Img__Memory *m, const uint8_t *marks, size_t i)
{
	const uint32_t advice = IMG__VMA__TRAIT__HUGEPAGE | IMG__VMA__TRAIT__NOHUGEPAGE;
	const Img__Vma *first = m->vmas[i];
	uint64_t end = first->start + first->size;
	size_t n = 1;

	for (; is_plain(first) && i + n < m->n_vmas; n++) {
		const Img__Vma *v = m->vmas[i + n];

		if (!is_plain(v) || v->start != end || v->map != first->map ||
		    (v->traits ^ first->traits) & advice ||
		    first_prot(v, marks[i + n]) != first_prot(first, marks[i]) ||
		    v->size > RUN_MOST || end + v->size - first->start > RUN_MOST)
			break;
		end += v->size;
	}
	return n;
}

/* What of V is not kept; *AT is the next kept range. */
static int map_one(struct restore *r, const Img__Vma *v, uint8_t mark, const struct keep *keep,
                   size_t *at, struct script *s)
{
	uint32_t prot = first_prot(v, mark);
	uint64_t start = v->start, end = v->start + v->size;
	int e = 0;

	for (; e == 0 && *at < keep->ranges.n && keep->ranges.v[*at].start < end; (*at)++) {
		if (start < keep->ranges.v[*at].start)
			e = memory_map_part(r, v, start, keep->ranges.v[*at].start, prot, s);
		start = keep->ranges.v[*at].end;
	}
	return e == 0 && start < end ? memory_map_part(r, v, start, end, prot, s) : e;
}

/* The N mappings from I on, which are alike; where some of them is kept, one by one. */
static int map_alike(struct restore *r, const Img__Memory *m, const uint8_t *marks, size_t i,
                     size_t n, const struct keep *keep, size_t *at, struct script *s)
{
	const Img__Vma *first = m->vmas[i], *last = m->vmas[i + n - 1];
	uint64_t end = last->start + last->size;
	int e = 0;

	if (*at == keep->ranges.n || keep->ranges.v[*at].start >= end)
		return memory_map_part(r, first, first->start, end, first_prot(first, marks[i]), s);
	for (size_t k = i; e == 0 && k < i + n; k++)
		e = map_one(r, m->vmas[k], marks[k], keep, at, s);
	return e;
}

int memory_map(struct restore *r, const Img__Memory *m, const uint8_t *marks,
               const struct keep *keep, struct script *s)
{
	size_t at = 0;

	for (size_t i = 0; i < m->n_vmas; i++) {
		int e;

		if (m->vmas[i]->type > IMG__VMA__TYPE__SHMEM)
			continue;
		if (is_segment(r, m->vmas[i])) {
			e = sysv_shm_map(r, m, i, s);
			i += e > 0 ? (size_t)e - 1 : 0;
		} else {
			size_t n = count_alike(m, marks, i);

			e = map_alike(r, m, marks, i, n, keep, &at, s);
			i += n - 1;
		}
		if (e < 0)
			return e;
	}
	return 0;
}

/*
 * Advice of madvise(2); what a kernel may be built without is asked for only:
 * it changes what memory costs, not what it holds.
 */
static const struct {
	uint32_t trait;
	int advice;
	bool needed;
} advices[] = {
	{ IMG__VMA__TRAIT__DONTFORK, MADV_DONTFORK, true },
	{ IMG__VMA__TRAIT__WIPEONFORK, MADV_WIPEONFORK, true },
	{ IMG__VMA__TRAIT__DONTDUMP, MADV_DONTDUMP, true },
	{ IMG__VMA__TRAIT__SEQUENTIAL, MADV_SEQUENTIAL, true },
	{ IMG__VMA__TRAIT__RANDOM, MADV_RANDOM, true },
	{ IMG__VMA__TRAIT__MERGEABLE, MADV_MERGEABLE, false },
};

/*
 * What may not be written to any more stays accounted only if it has been touched (mm/mprotect.c, mprotect_fixup()):
 * what nothing has been read into is, and is as empty afterwards.
 */
static void keep_accounted(const Img__Vma *v, uint8_t mark, struct script *s)
{
	bool empty = !(mark & MARK_FILLED) || mark & MARK_LATER;

	if (!is_plain(v) || !(v->traits & IMG__VMA__TRAIT__ACCOUNTED) || !empty || mark & MARK_KEPT)
		return;
	script_ask(s, SYS_madvise, v->start, PAGE, MADV_POPULATE_WRITE);
	script_ask(s, SYS_madvise, v->start, v->size, MADV_DONTNEED);
}

static void settle_one(const Img__Memory *m, const Img__Vma *v, uint8_t mark, struct script *s)
{
	keep_accounted(v, mark, s);
	if (v->pkey)
		script_call(s, SYS_pkey_mprotect, v->start, v->size, v->prot, v->pkey);
	else if (vma_needs_write(v, mark))
		script_call(s, SYS_mprotect, v->start, v->size, v->prot);
	for (size_t i = 0; v->traits && i < ARRAY_SIZE(advices); i++)
		if (v->traits & advices[i].trait)
			script_expect(s, advices[i].needed ? EXPECT_SUCCESS : EXPECT_ANY, 0,
			              SYS_madvise, v->start, v->size, advices[i].advice);
	/* PR_SET_MEMORY_MERGE has advised all of it. */
	if (m->memory_merge && !(v->traits & IMG__VMA__TRAIT__MERGEABLE))
		script_ask(s, SYS_madvise, v->start, v->size, MADV_UNMERGEABLE);
	if (*v->name)
		script_ask(s, SYS_prctl, PR_SET_VMA, PR_SET_VMA_ANON_NAME, v->start, v->size,
		           script_string(s, v->name));
}

/* The lock holds although not every page can be had at once (guards, PROT_NONE). */
static void lock_one(const Img__Vma *v, uint8_t mark, struct script *s)
{
	bool all = v->prot && !(mark & MARK_GUARDED);

	if (v->traits & IMG__VMA__TRAIT__LOCKED)
		script_expect(s, all ? EXPECT_SUCCESS : EXPECT_ANY, 0, SYS_mlock2, v->start,
		              v->size, v->traits & IMG__VMA__TRAIT__ONFAULT ? MLOCK_ONFAULT : 0);
}

void memory_settle(const Img__Memory *m, const uint8_t *marks, struct script *s)
{
	for (size_t i = 0; i < m->n_vmas; i++)
		if (m->vmas[i]->type <= IMG__VMA__TYPE__SHMEM ||
		    m->vmas[i]->type == IMG__VMA__TYPE__RING)
			settle_one(m, m->vmas[i], marks[i], s);
	/* Locked memory takes no guards any more. */
	for (size_t i = 0; i < m->n_guard_start; i++)
		script_call(s, SYS_madvise, m->guard_start[i], m->guard_size[i],
		            MADV_GUARD_INSTALL);
	for (size_t i = 0; i < m->n_vmas; i++)
		if (m->vmas[i]->type <= IMG__VMA__TYPE__SHMEM)
			lock_one(m->vmas[i], marks[i], s);
}
