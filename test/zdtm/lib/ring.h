/* An io_uring of a victim that makes one request after the other. */
#pragma once

#include <linux/io_uring.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "zdtm.h"

#define RING_ENTRIES 4u
#define RING_SINGLE  (1U << 12 | 1U << 13) /* IORING_SETUP_SINGLE_ISSUER, _DEFER_TASKRUN */
#define RING_NOARRAY (1U << 16)            /* IORING_SETUP_NO_SQARRAY */

static struct {
	int fd;
	struct io_uring_params p;
	uint8_t *ring;
	struct io_uring_sqe *sqes;
} u;

static inline uint32_t *at(uint32_t offset)
{
	return (uint32_t *)(void *)(u.ring + offset);
}

static inline void ring_make(uint32_t flags)
{
	u.p.flags = flags;
	u.p.sq_thread_idle = 10;
	u.fd = (int)syscall(SYS_io_uring_setup, RING_ENTRIES, &u.p);
	check(u.fd >= 0);
	u.ring = mmap(NULL,
	              u.p.cq_off.cqes + u.p.cq_entries * sizeof(struct io_uring_cqe) +
	                      RING_ENTRIES * 4,
	              PROT_READ | PROT_WRITE, MAP_SHARED, u.fd, IORING_OFF_SQ_RING);
	u.sqes = mmap(NULL, RING_ENTRIES * sizeof(*u.sqes), PROT_READ | PROT_WRITE, MAP_SHARED,
	              u.fd, IORING_OFF_SQES);
	check(u.ring != MAP_FAILED && u.sqes != MAP_FAILED);
}

static inline bool reg(unsigned call, const void *arg, unsigned n)
{
	return syscall(SYS_io_uring_register, u.fd, call, arg, n) >= 0;
}

struct ring_answer {
	int res;
	uint32_t flags;
};

static inline struct ring_answer ring_request(struct io_uring_sqe sqe)
{
	uint32_t tail = *at(u.p.sq_off.tail), i = tail % RING_ENTRIES, head = *at(u.p.cq_off.head);
	const struct io_uring_cqe *cqe;
	struct ring_answer answer;

	u.sqes[i] = sqe;
	if (!(u.p.flags & RING_NOARRAY))
		at(u.p.sq_off.array)[i] = i;
	__atomic_store_n(at(u.p.sq_off.tail), tail + 1, __ATOMIC_SEQ_CST);
	check(syscall(SYS_io_uring_enter, u.fd, 1, 1,
	              IORING_ENTER_GETEVENTS | IORING_ENTER_SQ_WAKEUP, NULL, 0) == 1);
	cqe = (struct io_uring_cqe *)(void *)(u.ring + u.p.cq_off.cqes) + head % u.p.cq_entries;
	answer = (struct ring_answer){ cqe->res, cqe->flags };
	__atomic_store_n(at(u.p.cq_off.head), head + 1, __ATOMIC_SEQ_CST);
	return answer;
}

/* A thread of the kernel that polls it sleeps. */
static inline void ring_rest(void)
{
	while (u.p.flags & IORING_SETUP_SQPOLL && !(*at(u.p.sq_off.flags) & IORING_SQ_NEED_WAKEUP))
		zdtm_nap();
}
