/* Rings that one thread alone may use (IORING_SETUP_SINGLE_ISSUER): whose they are. */
#pragma once

#include "dump/dump.h"

/* What its thread has told of a ring, while the tree was asked. */
struct ring_issuer {
	uint32_t file; /* its file id */
	const struct task *task;
	int fd;
	bool defers;     /* IORING_SETUP_DEFER_TASKRUN */
	const char *why; /* it cannot be carried, or NULL */
};

struct ring_issuers {
	ARRAY(struct ring_issuer) all;
};

/* Is F, an io_uring, such a ring? */
bool ring_is_single(const struct file *f);

/* NULL: it is used by no main thread of a process that has it open. */
const struct ring_issuer *ring_issuer_of(const struct dump *d, const struct file *f);
