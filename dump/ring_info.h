/* What fdinfo tells of an io_uring, and when nothing is under way. */
#pragma once

#include "dump/dump.h"

#define RING_NAP_NS    2000000
#define RING_FROZEN_MS 100 /* what the kernel is at comes to an end */

struct ring_info {
	uint64_t sq_mask, cq_mask, requests, completions;
	uint64_t files, buffers;
	bool idle;
	const char *why; /* if not */
};

/* -EAGAIN: somebody is at it, and the kernel does not wait for him. */
int ring_info_read(struct dump *d, const struct file *f, char **ret_text, struct ring_info *ret);

/* The same once it is idle. While the program runs it may come to an end with what is under way. Explained. */
int ring_wait(struct dump *d, const struct file *f, char **ret_text, struct ring_info *ret);

/* -ENOTSUP, explained. */
int ring_refuse(const struct file *f, const char *why);
