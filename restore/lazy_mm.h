/* An address space that is served: what is not there yet, and how it comes (lazy_mm.c). */
#pragma once

#include <stdbool.h>

#include "restore/memory.h"

struct lazy_mm {
	int uffd;              /* -1: it has ended */
	struct sources ranges; /* not there yet, by address */
	size_t next;           /* those before it are empty */
	bool wanted;           /* on demand: all of it is by now */
};
struct lazy_mms {
	struct lazy_mm *v;
	size_t n, cap;
};

/* [START, END) leaves the ranges of MM; SINK gets what was there, or NULL. */
int lazy_cut(struct lazy_mm *mm, uint64_t start, uint64_t end, struct sources *sink);
/* [FROM, FROM + SIZE) is at TO now. */
int lazy_moved(struct lazy_mm *mm, uint64_t from, uint64_t to, uint64_t size);
/* The range with AT in it, or NULL. */
const struct source *lazy_find(const struct lazy_mm *mm, uint64_t at);

/* SIZE bytes FROM at AT in S, *RET_DONE of them at once. 0: they are there, or have to be tried again. */
int lazy_place(struct lazy_mm *mm, const struct source *s, uint64_t at, const void *from,
               uint64_t size, uint64_t *ret_done);
/* The page at AT, which is in no range. */
int lazy_zero(struct lazy_mm *mm, uint64_t at);

/* Has the memory of MM, which has a range, ended? It is to be forgotten then. */
bool lazy_ended(const struct lazy_mm *mm);
void lazy_end(struct lazy_mm *mm);
