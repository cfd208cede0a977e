/* ioctl(PAGEMAP_SCAN) of Linux 6.7, and what older kernels have instead. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct page_region {
	uint64_t start, end, categories;
};

#define PAGEMAP_WRITTEN \
	(UINT64_C(1) << 1) /* category that PAGEMAP_ARM marks with: PAGE_IS_WRITTEN */

enum pagemap_query {
	PAGEMAP_ANON,  /* pages of memory without a file that may hold data */
	PAGEMAP_FILE,  /* pages of a private file mapping that differ from the file */
	PAGEMAP_GUARD, /* guard regions */
	/*
	 * PAGEMAP_ANON without a soft-dirty mark (dump/soft_dirty.h) that is mapped once: others may be the page
	 * of zeros, which is there where memory was dropped and only read since.
	 */
	PAGEMAP_CLEAN,
	/* Of memory whose writes are tracked (dump/track.h); -ENOTTY where the kernel cannot: */
	PAGEMAP_UNWRITTEN, /* PAGEMAP_ANON, not written to since they were armed */
	PAGEMAP_ARM, /* PAGEMAP_ANON; what was written to is marked so, and armed in the same moment */
	PAGEMAP_TRACKED, /* all of it, whatever is there */
};

/*
 * Find the regions that QUERY asks for between *AT and END, at most MAX of
 * them; *AT moves to where the search ended. PAGEMAP is a descriptor of
 * /proc/PID/pagemap. Their number, or -errno.
 */
int pagemap_find(int pagemap, enum pagemap_query query, uint64_t *at, uint64_t end,
                 struct page_region *ret, size_t max);

/* An entry of /proc/PID/pagemap (Documentation/admin-guide/mm/pagemap.rst). */
#define PM_PRESENT (UINT64_C(1) << 63)
#define PM_SWAPPED (UINT64_C(1) << 62)
#define PM_FILE    (UINT64_C(1) << 61)
#define PM_GUARD   (UINT64_C(1) << 58)
#define PM_ALONE   (UINT64_C(1) << 56) /* PM_MMAP_EXCLUSIVE: mapped once */
#define PM_DIRTY   (UINT64_C(1) << 55) /* soft-dirty */
#define PM_FRAME   ((UINT64_C(1) << 55) - 1)

/* Is there a page that may be shared with others since a fork: neither of a file nor mapped once? */
static inline bool pagemap_is_shared(uint64_t entry)
{
	return (entry & (PM_PRESENT | PM_FILE | PM_ALONE)) == PM_PRESENT;
}

/* Is it one that QUERY, PAGEMAP_ANON or PAGEMAP_FILE, asks for? A page of zeros is, too. */
static inline bool pagemap_has_data(uint64_t entry, enum pagemap_query query)
{
	return entry & (PM_PRESENT | PM_SWAPPED) && !(entry & PM_GUARD) &&
	       !(query == PAGEMAP_FILE && entry & PM_FILE);
}

/* The frame of the page of zeros that all have in common; 0: not to be seen. */
uint64_t pagemap_zero_frame(void);

/*
 * The page between START and END whose frame that is, of any memory. Takes CAP_SYS_ADMIN. 0 or -errno; -ENOENT: it is
 * not there, or frames are hidden.
 */
int pagemap_where(int pagemap, uint64_t frame, uint64_t start, uint64_t end, uint64_t *ret);

/*
 * A look at the entries of many pages at once, for pagemap_alone(). PAGEMAP is
 * the caller's.
 */
struct pagemap_view {
	int pagemap;
	uint64_t start; /* address of entries[0] */
	size_t n;
	uint64_t entries[1024];
};

/* Are all N pages from START on mapped once only, as far as can be seen? */
bool pagemap_alone(struct pagemap_view *view, uint64_t start, size_t n);
