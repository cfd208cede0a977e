/*
 * io_uring(7) rings, as the kernel lays them out: what it tells when one is made holds
 * for every ring of as many entries. A region may be smaller than what one maps of it.
 */
#pragma once

#include <linux/io_uring.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef IORING_SETUP_NO_SQARRAY
#define IORING_SETUP_NO_SQARRAY (1U << 16)
#endif

#define URING_COOP_TASKRUN  (1U << 8)  /* IORING_SETUP_COOP_TASKRUN, 5.19 */
#define URING_TASKRUN_FLAG  (1U << 9)  /* IORING_SETUP_TASKRUN_FLAG, 5.19 */
#define URING_SINGLE_ISSUER (1U << 12) /* IORING_SETUP_SINGLE_ISSUER, 6.0 */
#define URING_DEFER_TASKRUN (1U << 13) /* IORING_SETUP_DEFER_TASKRUN, 6.1 */
#define URING_NO_MMAP       (1U << 14) /* IORING_SETUP_NO_MMAP, 6.5 */
#define URING_FD_ONLY       (1U << 15) /* IORING_SETUP_REGISTERED_FD_ONLY, 6.5 */

#define URING_RING_MMAP 1u /* IOU_PBUF_RING_MMAP, 6.4 */
#define URING_RING_INC  2u /* IOU_PBUF_RING_INC, 6.12 */

#define URING_STEPS_MAX 8192u /* times that a ring which one thread alone may use has come round */
#define URING_DONE_MAX \
	(1u << 27)          /* requests, completions: a new ring needs as many, some seconds */
#define URING_SQ_MAX 32768u /* IORING_MAX_ENTRIES of the kernel */
#define URING_CQ_MAX 65536u

struct uring {
	int fd;                        /* owned; -1: none */
	struct io_uring_params params; /* entries and offsets */
	uint8_t *ring, *sqes;          /* mapped; NULL: not */
	size_t ring_pages, sqes_pages; /* of the region that are there */
};

#define URING_NONE ((struct uring){ .fd = -1 })

/* Make one of that many entries, not mapped. -errno. */
int uring_make(struct uring *u, uint32_t sq_entries, uint32_t cq_entries, uint32_t flags);
/* Map what u->fd has, by the offsets of u->params. -errno. */
int uring_map(struct uring *u);
void uring_done(struct uring *u);

/* Bytes of the ring, its array of indexes included if it has one; of its requests. */
size_t uring_ring_size(const struct uring *u, bool array);
size_t uring_sqes_size(const struct uring *u);

/* The number at OFFSET of the ring. */
static inline uint32_t *uring_u32(const struct uring *u, uint32_t offset)
{
	return (uint32_t *)(void *)(u->ring + offset);
}

/* Where that group of provided buffers is mapped: IORING_OFF_PBUF_RING, 6.4. */
static inline uint64_t uring_group_offset(uint32_t group)
{
	return UINT64_C(0x80000000) | (uint64_t)group << 16;
}

static inline size_t pages_of(size_t size)
{
	return (size + 4095) / 4096;
}
