/*
 * Memory that processes have in common since one forked the other: the same
 * page at the same address. It is stored once, for the first of them.
 */
#pragma once

#include "dump/dump.h"
#include "dump/pagemap.h"
#include "proto/pages.pb-c.h"

/* A run of pages of a task that are those of another. */
struct share {
	uint64_t start, size;
	uint32_t owner; /* index in dump.tasks */
};

/* Where pages of a task are stored. */
struct stored {
	uint64_t start, size, offset;
	uint32_t file;
	bool parent; /* counted among the files of the parent */
};

/* In page_region.categories. */
#define OWN        (UINT64_C(1) << 63) /* it is one of task_shares.own ... */
#define OWN_SHARED (UINT64_C(1) << 62) /* ... and may be shared since a fork */

struct shares {
	struct task_shares {
		ARRAY(struct share) list; /* by address */
		bool owner;               /* another one has pages of this task */
		/* Where there are pages that are to be stored for this task, by address; or it was not looked for. */
		ARRAY(struct page_region) own;
		bool unseen;
		ARRAY(struct stored) stored;
	} * tasks; /* by index; NULL: nothing is shared */
	size_t n;
};

/*
 * Look for them, and at small mappings for all there is, while frozen. Needs the right to see frames (CAP_SYS_ADMIN),
 * says so and finds nothing without.
 */
int shares_find(struct dump *d, struct shares *ret);
void shares_done(struct shares *s);

/* What task_shares.own holds of the task with that index; NULL: that is to be looked for. */
const struct task_shares *shares_own(const struct shares *s, size_t task);

/* Note where pages of T, an owner or not, are stored. -ENOMEM. */
int shares_stored(struct shares *s, const struct dump *d, const struct task *t,
                  const Img__Pages *msg);

/* The same for a single run. */
int shares_stored_run(struct shares *s, size_t task, const struct stored *run);

/* When all pages are stored: the records of those that are shared. */
int shares_put(struct shares *s, struct dump *d);

/* ---- records that refer to pages that another record or the parent stores ---- */

/* One that is being collected: of one task, one page file. */
struct refs {
	struct dump *d;
	const struct task *task;
	uint32_t file;
	bool parent, shared;
	ARRAY(uint64_t) start, count, skip;
	uint64_t first, end, offset; /* in the file: of the first run; ends of the last one */
};

/* Pages at START, by address, lie at OFFSET. A record that cannot hold them is written first. */
int refs_add(struct refs *f, uint64_t start, uint64_t size, uint64_t offset);
int refs_flush(struct refs *f);
void refs_done(struct refs *f);
