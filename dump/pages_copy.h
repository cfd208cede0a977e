/* Copying the pages of units into one page file, for one thread. */
#pragma once

#include "dump/pagemap.h"
#include "dump/pages_scan.h"
#include "proto/pages.pb-c.h"

/* A finished list of runs: of TASK, or of the object M. */
typedef int runs_fn(void *arg, struct task *task, const struct shmem *m, const Img__Pages *msg);

struct copier {
	struct pages_file *file; /* NULL: not created yet */
	int (*create)(void *arg, struct pages_file **ret);
	runs_fn *put;
	void *arg;

	char *buf;
	struct pagemap_view view; /* of the task; pagemap -1: none */
	uint64_t zeros;           /* bytes that were not stored */
	struct task *task;        /* whose runs these are */
	const struct shmem *m;
	ARRAY(uint64_t) start, count; /* as in the message */
	uint64_t offset, last_end;
};

/* Callbacks are called with ARG: CREATE once, before the first page is written; PUT with every list of runs. */
int copier_init(struct copier *c);
void copier_done(struct copier *c);

/* Copy the pages of U. -errno, explained. */
int copier_unit(struct copier *c, const struct unit *u);

/* Give away the last list of runs. */
int copier_finish(struct copier *c);
