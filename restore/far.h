/*
 * Pages that are not in the images yet (images_is_later()): somebody else has them, and sends what
 * he is asked for, and at last all of it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "restore/restore.h"

struct far_piece {
	uint32_t file; /* checked by whoever takes it */
	uint64_t offset, size;
	const void *data; /* until the next one */
};

struct far {
	int fd; /* can be read when a piece comes, or he is gone */
	int (*want)(void *arg, uint32_t file, uint64_t offset, uint64_t size);
	/* The next piece, waited for. 1; 0: that was all, of everything; -errno, explained. */
	int (*take)(void *arg, struct far_piece *ret);
	/* The tree has all of it. -errno, explained. */
	int (*finish)(void *arg);
	void *arg;
};

/* These bytes are needed in the page file itself; far_fetch() brings what was needed. -ENOMEM. */
int far_need(struct restore *r, uint32_t file, uint64_t offset, uint64_t size);
int far_fetch(struct restore *r);
void far_done(struct restore *r);

/* What a piece says can be. */
bool far_is_sane(const struct images *im, const struct far_piece *p);
