/*
 * Groups of provided buffers of an io_uring, as the kernel has them in its memory (lib/kmem.h): rings of
 * buffers (IORING_REGISTER_PBUF_RING) and lists of them (IORING_OP_PROVIDE_BUFFERS).
 */
#pragma once

#include "lib/kmem.h"
#include "proto/io_uring.pb-c.h"

struct uring_buffer {
	uint64_t addr;
	uint32_t len, id;
};

struct uring_group {
	uint32_t id;
	uint32_t entries; /* of a ring; 0: it is a list */
	uint32_t head;    /* of a ring: where the next buffer is taken, 16 bits that go round */
	bool parts;       /* of a ring: a part of a buffer may be taken (IOU_PBUF_RING_INC) */
	ARRAY(uint64_t) frames; /* of a ring: numbers of the physical pages that it is in */
	ARRAY(struct uring_buffer) buffers; /* of a list, the next one first */
};

struct uring_groups {
	ARRAY(struct uring_group) all; /* by id */
};

/*
 * Of our own descriptor FD, of a ring that nobody changes meanwhile. -EOPNOTSUPP: this kernel is another
 * one; -errno. To be freed by uring_groups_done().
 */
int uring_groups_read(const struct kmem *k, int fd, struct uring_groups *ret);
void uring_groups_done(struct uring_groups *g);

/* Requests that the groups of MSG are made by; it must have carried out as many. */
uint64_t uring_groups_requests(const Img__IoUring *msg);
/* Requests that a script writes one by one for that; URING_STEPS_MAX is enough. */
uint64_t uring_groups_written(const Img__IoUring *msg);

/* Does a ring of MSG come to its numbers by requests to do nothing alone, which are all the same? */
bool uring_all_alike(const Img__IoUring *msg);
/*
 * Can it be brought to as many completions more, or fewer, than requests? One that one thread alone may use sends
 * itself some (IORING_OP_MSG_RING), one for each request; all others are sent as many as need be.
 */
bool uring_surplus_fits(const Img__IoUring *msg);
/* Requests that it sends itself some by. */
uint32_t uring_messages(const Img__IoUring *msg);
