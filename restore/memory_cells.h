/* Which pages are shared by whom, from the records of a checkpoint: for memory_heritage.c. */
#pragma once

#include "restore/memory_heritage.h"

#define NO_HERITAGE UINT32_MAX

/* Pages in a page file that the same processes use at the same address, all of them. */
struct cell {
	uint64_t start, size, offset;
	uint32_t file;
	uint32_t users, first, last; /* by order of forks */
	uint32_t heritage; /* the order of the one that all users descend from, or NO_HERITAGE */
};

/* A mapping of a user, for a heritage. */
struct want {
	uint32_t heritage;
	uint64_t start, end;
	const Img__Vma *vma;
};

struct cells {
	struct rtask **
		order; /* tasks and helpers, a forker before whom it forks; NULL: nothing is shared */
	size_t norder;
	ARRAY(struct cell) cells; /* by heritage, then address */
	ARRAY(struct want) wants; /* likewise */
};

/* -errno. */
int cells_find(struct restore *r, struct cells *ret);
void cells_done(struct cells *c);
