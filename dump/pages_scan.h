/*
 * Which pages of a dump have to be stored, as a stream of small pieces: memory
 * needed does not depend on the size of the targets.
 */
#pragma once

#include "dump/borrow.h"
#include "dump/dump.h"
#include "dump/pages_kept.h"
#include "dump/pages_share.h"
#include "dump/shmem.h"

#define UNIT_BYTES (4u << 20)
#define UNIT_RUNS  512u

/* A run of pages that lie in one mapping or shared object. */
struct run {
	uint64_t start, size;
	bool keep_zeros; /* below is a file: zeros differ from it */
	bool by_mem;     /* to be read through /proc/PID/mem only: PROT_NONE, shared by fork ... */
	bool seen;       /* ... which has been looked for */
	bool direct;     /* the task itself reads it without more ado */
};

/* Work for one copying thread: pages of one task or one object. */
struct unit {
	struct task *task;     /* or NULL */
	const struct shmem *m; /* or NULL */
	int mem;               /* the task's, or that of its copy */
	bool may_vanish;       /* it runs: what is gone is left out */
	struct run runs[UNIT_RUNS];
	size_t n;
	uint64_t bytes;
};

struct scan {
	struct dump *d;
	const struct shares *shares; /* these pages are not handed out ... */
	const struct kept *kept;     /* ... nor are these */
	bool large_only;             /* small tasks are somebody else's */
	size_t share, keep, own;     /* the next one of the task */
	size_t task, last;           /* now at; behind the last */
	size_t object;               /* likewise, of shared memory */
	struct borrowed pagemap;     /* of the task; fd -1 */
	size_t vma;                  /* the mapping at the front of what was scanned */
	size_t group_end;            /* behind the last mapping of this scan */
	uint64_t at, end;            /* still to be scanned; for an object: of its file */
	struct page_region *region;  /* found, ... */
	size_t next, n;              /* ... not yet handed out */
};

/*
 * Are the pages of V to be stored now? While the tree stands still all that no copy of it
 * holds (dump/snapshot.h), afterwards the rest.
 */
bool pages_due(const struct dump *d, const struct task *t, const struct vma *v);

/* Descriptor of the pagemap where these pages of T are looked for, or -errno and a message; by one thread. */
struct borrowed pages_pagemap(const struct dump *d, struct task *t);

/* R with the message that they cannot be looked for: who is to blame, the task or its copy. */
int pages_fail(const struct dump *d, const struct task *t, int r);

int scan_init(struct scan *s, struct dump *d, const struct shares *shares, const struct kept *kept);
void scan_done(struct scan *s);

/* Of a task that is not worth the work of several threads. */
bool scan_is_small(const struct task *t);
/* From here on the pages of this task alone, by index. */
void scan_task(struct scan *s, size_t task);

/* The next unit: 1, 0 when there is none any more, or -errno explained. */
int scan_next(struct scan *s, struct unit *ret);

/* Guard regions (MADV_GUARD_INSTALL) of T, by address. */
struct guards {
	ARRAY(uint64_t) start, size;
};
int guards_read(struct task *t, struct guards *ret);
void guards_done(struct guards *g);
