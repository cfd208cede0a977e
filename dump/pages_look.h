/*
 * What the page tables show of small mappings, read at once: the entries of a whole mapping cost less than to
 * ask where it holds something, and tell more. For pages_share.c.
 */
#pragma once

#include "dump/dump.h"
#include "dump/frames.h"

#define LOOK_SMALL (UINT64_C(2) << 20) /* of a mapping that is read like this */

/* Entries of neighbouring pages. */
struct piece {
	uint64_t start, end;
	size_t first; /* of the entries */
};

/* All zeros at first; used again and again, for other tasks, too. */
struct look {
	ARRAY(struct piece) pieces; /* by address */
	ARRAY(uint64_t) entries;
	size_t at; /* piece of the last look_at() */
};

/* What a task has in a window. */
struct place {
	uint64_t window;
	uint32_t task; /* index in dump.tasks */
	size_t own;    /* of task_shares: regions that it had before */
};

/* Forget what was read, and read the small mappings of that task in that window that are due. -errno, explained. */
int look_place(struct dump *d, const struct place *p, struct look *l);

/* Read the entries from START, which is behind all that was read, to END, besides. PAGEMAP: of T. -errno, explained. */
int look_more(struct look *l, const struct dump *d, const struct task *t, int pagemap,
              uint64_t start, uint64_t end);

/* The entries from AT on, *RET_N of them; AT goes up from call to call. NULL: that was not read. */
const uint64_t *look_at(struct look *l, uint64_t at, size_t *ret_n);

void look_done(struct look *l);

/* The first mapping of T that ends behind AT. */
size_t look_vma(const struct task *t, uint64_t at);

/* ---- many of them, by whoever of the hands (dump/threads.h) takes them ---- */

#define LOOK_BATCH 32

struct look_batch {
	struct dump *d;
	const struct place *places;
	size_t n, next;
	struct look looks[LOOK_BATCH];
};

/*
 * The first of N places are read from now on, as many as there is room for, which is b->n; the caller helps when he
 * awaits them.
 */
void look_give(struct look_batch *b, const struct place *places, size_t n);
int look_await(struct look_batch *b);
void look_batch_done(struct look_batch *b);
