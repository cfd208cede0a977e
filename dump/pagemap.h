/* ioctl(PAGEMAP_SCAN) of Linux 6.7, and what older kernels have instead. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct page_region {
	uint64_t start, end, categories;
};

enum pagemap_query {
	PAGEMAP_ANON,  /* pages of memory without a file that may hold data */
	PAGEMAP_FILE,  /* pages of a private file mapping that differ from the file */
	PAGEMAP_GUARD, /* guard regions */
};

/*
 * Find the regions that QUERY asks for between *AT and END, at most MAX of
 * them; *AT moves to where the search ended. PAGEMAP is a descriptor of
 * /proc/PID/pagemap. Their number, or -errno.
 */
int pagemap_find(int pagemap, enum pagemap_query query, uint64_t *at, uint64_t end,
                 struct page_region *ret, size_t max);
