/* What an increment needs of its parents. */
#pragma once

#include "images/images.h"
#include "lib/array.h"

/* Bytes of a page file that somebody needs; FILE counts those of the whole chain. */
struct needed {
	uint32_t file;
	uint64_t start, end;
};

struct neededs {
	struct needed *v;
	size_t n, cap;
};

/* Of the page files from FIRST on, by file and place; they may overlap. 0 or -errno, explained. */
int needed_find(const struct images *im, size_t first, struct neededs *ret);
