/*
 * PAGEMAP_SCAN walks the page tables of a whole range in one call, holes cost
 * nothing. Without it every entry of /proc/PID/pagemap is read.
 *
 * Traps: WRITTEN is set for pages that do not exist, and SWAPPED for guard
 * regions and for write-protection markers of userfaultfd: neither says that
 * there is data. Asking for FILE costs a look at every page, so that is done
 * for mappings of files only.
 */
#include "dump/pagemap.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#include "lib/array.h"
#include "lib/cleanup.h"
#include "lib/fd.h"

#ifndef PAGEMAP_SCAN
struct pm_scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define PAGEMAP_SCAN        _IOWR('f', 16, struct pm_scan_arg)
#define PM_SCAN_WP_MATCHING (1 << 0)
#define PAGE_IS_WPALLOWED   (1 << 0)
#define PAGE_IS_WRITTEN     (1 << 1)
#define PAGE_IS_FILE        (1 << 2)
#define PAGE_IS_PRESENT     (1 << 3)
#define PAGE_IS_SWAPPED     (1 << 4)
#define PAGE_IS_PFNZERO     (1 << 5)
#endif
#ifndef PAGE_IS_GUARD
#define PAGE_IS_GUARD (1 << 8) /* Linux 6.15 */
#endif

#define PAGE    UINT64_C(4096)
#define ENTRIES 4096

#define VIEW_LEAST 32 /* entries */

_Static_assert(PAGEMAP_WRITTEN == PAGE_IS_WRITTEN, "a category of the kernel's");

static int scan(int pagemap, struct pm_scan_arg *arg)
{
	int n;

	do
		n = ioctl(pagemap, PAGEMAP_SCAN, arg);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* What is written to loses its protection: WRITTEN is the lack of it. */
static bool set_tracked(struct pm_scan_arg *arg, enum pagemap_query query, uint64_t guard)
{
	if (query < PAGEMAP_UNWRITTEN)
		return false;
	arg->return_mask = PAGE_IS_WPALLOWED;
	arg->category_mask = PAGE_IS_WPALLOWED;
	if (query == PAGEMAP_TRACKED)
		return true;
	arg->category_anyof_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED;
	arg->category_inverted = guard;
	if (query == PAGEMAP_ARM) {
		arg->flags = PM_SCAN_WP_MATCHING;
		arg->return_mask |= PAGE_IS_WRITTEN;
	} else {
		arg->category_inverted |= PAGE_IS_WRITTEN;
	}
	arg->category_mask |= arg->category_inverted;
	return true;
}

static void set_query(struct pm_scan_arg *arg, enum pagemap_query query, uint64_t guard)
{
	if (set_tracked(arg, query, guard))
		return;
	/* A category that is the same for all that is found, so that neighbours become one region. */
	arg->return_mask = PAGE_IS_PFNZERO;
	if (query == PAGEMAP_GUARD) {
		arg->category_mask = guard;
		return;
	}
	arg->category_anyof_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED;
	arg->category_inverted = PAGE_IS_PFNZERO | guard;
	if (query == PAGEMAP_FILE)
		arg->category_inverted |= PAGE_IS_FILE;
	arg->category_mask = arg->category_inverted;
}

static bool is_clean(uint64_t e)
{
	return (e & (PM_PRESENT | PM_ALONE | PM_FILE | PM_GUARD | PM_DIRTY)) ==
	       (PM_PRESENT | PM_ALONE);
}

static bool entry_matches(uint64_t e, enum pagemap_query query)
{
	if (query == PAGEMAP_CLEAN)
		return is_clean(e);
	return query == PAGEMAP_GUARD ? e & PM_GUARD : pagemap_has_data(e, query);
}

static int find_by_read(int pagemap, enum pagemap_query query, uint64_t *at, uint64_t end,
                        struct page_region *ret, size_t max)
{
	uint64_t entries[ENTRIES];
	size_t n = 0;

	while (*at < end) {
		uint64_t want = (end - *at) / PAGE;
		ssize_t got = pread(pagemap, entries, (want < ENTRIES ? want : ENTRIES) * 8,
		                    (off_t)(*at / PAGE * 8));

		if (got <= 0)
			return got < 0 ? -errno : -EPROTO;
		for (ssize_t i = 0; i < got / 8; i++, *at += PAGE) {
			if (!entry_matches(entries[i], query))
				continue;
			if (n && ret[n - 1].end == *at) {
				ret[n - 1].end += PAGE;
				continue;
			}
			if (n == max)
				return (int)n;
			ret[n++] = (struct page_region){ *at, *at + PAGE, 0 };
		}
	}
	return (int)n;
}

int pagemap_find(int pagemap, enum pagemap_query query, uint64_t *at, uint64_t end,
                 struct page_region *ret, size_t max)
{
	uint64_t guard = PAGE_IS_GUARD;
	int n;

	if (query == PAGEMAP_CLEAN) /* kernels that have the ioctl do without these marks */
		return find_by_read(pagemap, query, at, end, ret, max);
	for (;;) {
		struct pm_scan_arg arg = { .size = sizeof(arg),
			                   .start = *at,
			                   .end = end,
			                   .vec = (uintptr_t)ret,
			                   .vec_len = max };

		set_query(&arg, query, guard);
		n = scan(pagemap, &arg);
		/*
		 * Not walk_end: past 512 regions it is left where the kernel's own
		 * buffer was full, although the walk went on to the end
		 * (fs/proc/task_mmu.c, do_pagemap_scan(), seen on 6.18).
		 */
		if (n >= 0)
			*at = (size_t)n < max ? end : ret[n - 1].end;
		if (n != -EINVAL || !guard || query == PAGEMAP_GUARD)
			break;
		guard = 0; /* a kernel before 6.15 */
	}
	if (query < PAGEMAP_UNWRITTEN && (n == -ENOTTY || (n == -EINVAL && query == PAGEMAP_GUARD)))
		return find_by_read(pagemap, query, at, end, ret, max);
	return n;
}

uint64_t pagemap_zero_frame(void)
{
	auto_close int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	volatile const char *page = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t entry = 0;

	if (page == MAP_FAILED)
		return 0;
	(void)*page;
	if (pagemap < 0 || pread(pagemap, &entry, 8, (off_t)((uintptr_t)page / PAGE * 8)) != 8)
		entry = 0;
	munmap((void *)page, PAGE);
	return pagemap_is_shared(entry) ? entry & PM_FRAME : 0;
}

/* In a region that is there. */
static int where_in(int pagemap, uint64_t frame, const struct page_region *region, uint64_t *ret)
{
	uint64_t entries[512];

	for (uint64_t at = region->start; at < region->end;) {
		uint64_t want = (region->end - at) / PAGE;
		ssize_t got = pread(pagemap, entries,
		                    (want < ARRAY_SIZE(entries) ? want : ARRAY_SIZE(entries)) * 8,
		                    (off_t)(at / PAGE * 8));

		if (got <= 0)
			return got < 0 ? -errno : -EPROTO;
		for (ssize_t i = 0; i < got / 8; i++, at += PAGE)
			if (entries[i] & PM_PRESENT && (entries[i] & PM_FRAME) == frame) {
				*ret = at;
				return 0;
			}
	}
	return -ENOENT;
}

int pagemap_where(int pagemap, uint64_t frame, uint64_t start, uint64_t end, uint64_t *ret)
{
	struct page_region regions[64];
	int r = -ENOENT;

	while (r == -ENOENT && start < end) {
		int n = pagemap_find(pagemap, PAGEMAP_ANON, &start, end, regions,
		                     ARRAY_SIZE(regions));

		if (n < 0)
			return n;
		for (int i = 0; r == -ENOENT && i < n; i++)
			r = where_in(pagemap, frame, &regions[i], ret);
	}
	return r;
}

/* How many entries from START on, of which N are wanted: more and more, as long as it goes on where it ended. */
static size_t view_more(const struct pagemap_view *v, uint64_t start, size_t n)
{
	size_t more = start - v->start <= 2 * v->n * PAGE ? 2 * v->n : VIEW_LEAST;

	more = more > n ? more : n;
	return more < ARRAY_SIZE(v->entries) ? more : ARRAY_SIZE(v->entries);
}

/* Have the entry of the page at START in the view; N are wanted from there on. */
static bool view_at(struct pagemap_view *v, uint64_t start, size_t n)
{
	ssize_t got;

	if (start >= v->start && start < v->start + v->n * PAGE)
		return true;
	got = pread(v->pagemap, v->entries, view_more(v, start, n) * sizeof(v->entries[0]),
	            (off_t)(start / PAGE * 8));
	v->start = start;
	v->n = got > 0 ? (size_t)got / 8 : 0;
	return v->n;
}

bool pagemap_alone(struct pagemap_view *v, uint64_t start, size_t n)
{
	for (uint64_t at = start, end = start + n * PAGE; at < end; at += PAGE) {
		uint64_t e;

		if (!view_at(v, at, (end - at) / PAGE))
			return false;
		e = v->entries[(at - v->start) / PAGE];
		if (pagemap_is_shared(e))
			return false;
	}
	return true;
}
