/* Copying the pages of units into one page file, for one thread. */
#pragma once

#include "dump/pagemap.h"
#include "dump/later.h"
#include "dump/pages_scan.h"
#include "dump/writers.h"
#include "proto/pages.pb-c.h"

/* A finished list of runs: of TASK, or of the object M. */
typedef int runs_fn(void *arg, struct task *task, const struct shmem *m, const Img__Pages *msg);

/* Runs that were read and are not stored yet. */
struct batch {
	struct task *task;
	const struct shmem *m;
	struct run *runs;
	size_t n;
	size_t at; /* in the hold */
};

/* Memory for what is read while the target stands still and stored when it runs on. */
struct hold {
	char *buf; /* NULL: there is none */
	size_t size, used;
	ARRAY(struct batch) batches;
};

/* Orders that a writer (dump/writers.h) has, and what is in them. */
#define ORDERS 2
struct orders {
	struct writer *writer; /* of TASK */
	struct task *task;
	size_t first, n;
	struct ordered {
		struct mover_order order;
		const struct shmem *m; /* it is of this, not of the task, ... */
		uint64_t at;           /* ... which the task has there; else 0 */
	} v[ORDERS];
	/* What was looked for last, and who has it mapped, or NULL: where. */
	const struct shmem *m;
	struct task *mapper;
	const struct vma *vma;
};

struct copier {
	struct dump *d;
	unsigned slot;           /* its number among all copiers, from 0 */
	struct orders *orders;   /* NULL: there were none yet */
	struct pages_file *file; /* that is written to now ... */
	/* ... one of these: of what is stored, of what is noted in LATER. NULL: not created yet */
	struct pages_file *stored, *noted;
	struct later *later; /* pages of tasks are only noted there; NULL: all are stored */
	int (*create)(void *arg, bool later, struct pages_file **ret);
	runs_fn *put;
	void *arg;

	struct hold *hold; /* NULL: store at once */
	char *buf;
	struct task *viewed;
	struct pagemap_view view; /* of that one; pagemap -1: none */
	bool lent;                /* that is t->pagemap */
	uint64_t zeros;           /* bytes that were not stored */
	struct task *task;        /* whose runs these are */
	const struct shmem *m;
	ARRAY(uint64_t) start, count; /* as in the message */
	uint64_t offset, last_end;
};

/*
 * Callbacks are called with ARG: CREATE once for each kind of file, before its first page; PUT with
 * every list of runs.
 */
int copier_init(struct copier *c);
void copier_done(struct copier *c);

/* Copy the pages of U, or hold them, while there is room. -errno, explained. */
int copier_unit(struct copier *c, const struct unit *u);

/* Store what is held; from here on nothing is. */
int copier_store(struct copier *c);

/* Have SIZE bytes at hand, by best effort. */
void hold_init(struct hold *h, size_t size);
void hold_done(struct hold *h);

/* Give away the last list of runs, once all that was ordered is written. */
int copier_finish(struct copier *c);

/* ---- for the parts of a copier ---- */

/* From here on what is noted is of T, or M, and lies in FILE. */
int copier_begin(struct copier *c, struct task *t, const struct shmem *m, struct pages_file *file);
/* Note that SIZE bytes of pages at START lie at OFFSET of that. */
int copier_note(struct copier *c, uint64_t start, uint64_t size, uint64_t offset);

/*
 * pages_order.c: have U written by its task, or by one that has it mapped: 1; 0: nobody can. Wait until all is written
 * that was ordered. -errno, explained.
 */
int copier_order(struct copier *c, const struct unit *u);
int copier_settle(struct copier *c);
