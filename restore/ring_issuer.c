/*
 * Rings that one thread alone may use, restore half. They were made disabled, so that
 * whoever enables them is this thread; then it makes as many requests to do nothing as
 * there were: all are prepared, each call takes as many as the ring has entries, and after
 * each the completions are taken for fetched.
 */
#include <errno.h>
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/uring.h"
#include "proto/fds.pb-c.h"
#include "proto/memory.pb-c.h"
#include "proto/ring_issuer.pb-c.h"
#include "restore/io_uring.h"
#include "restore/restore.h"
#include "restore/ring_table.h"

/* Where M maps the ring FILE and may write; 0: nowhere. */
static uint64_t ring_address(const Img__Memory *m, uint32_t file)
{
	for (size_t i = 0; m && i < m->n_vmas; i++) {
		const Img__Vma *v = m->vmas[i];

		if (v->type == IMG__VMA__TYPE__RING && v->object == file && v->prot & PROT_WRITE &&
		    (v->offset == IORING_OFF_SQ_RING || v->offset == IORING_OFF_CQ_RING))
			return v->start;
	}
	return 0;
}

static const Img__Memory *memory_of(const struct restore *r, const struct rtask *t)
{
	return (const Img__Memory *)aspect_record(r, KIND_memory,
	                                          (uint32_t)t->shares[TABLE_VM]->pid);
}

static bool is_open(const struct restore *r, const struct rtask *t, uint32_t fd, uint32_t file)
{
	const Img__Fds *fds = (const Img__Fds *)images_one(r->images, KIND_fds,
	                                                   (uint32_t)t->shares[TABLE_FILES]->pid);

	for (size_t i = 0; fds && i < fds->n_fd; i++)
		if (fds->fd[i] == fd)
			return fds->file[i] == file;
	return false;
}

static int ring_issuer_check(struct restore *r, uint32_t owner, const ProtobufCMessage *base)
{
	const Img__RingIssuer *msg = (const Img__RingIssuer *)base;
	const struct rtask *t = rtask_find(r, (pid_t)owner);

	for (size_t i = 0; i < msg->n_ring; i++) {
		const Img__RingIssuer__Ring *ring = msg->ring[i];
		const Img__IoUring *record = io_uring_record(r, ring->file);

		if (!t || !record || !(record->setup & URING_SINGLE_ISSUER) ||
		    !is_open(r, t, ring->fd, ring->file) ||
		    !ring_address(memory_of(r, t), ring->file))
			return fail(-EBADMSG, "task %u: ring of fd %u: makes no sense", owner,
			            ring->fd);
	}
	return 0;
}

/* HEAD: where the head and the tail of the completions are, which follow each other. */
static void requests_emit(struct script *s, int fd, const Img__IoUring *msg, uint64_t head)
{
	for (uint32_t done = 0; done < msg->done;) {
		uint32_t left = msg->done - done,
			 n = left < msg->sq_entries ? left : msg->sq_entries;
		uint64_t both;

		done += n;
		both = (uint64_t)done << 32 | done;
		script_want(s, n, SYS_io_uring_enter, fd, n, 0, 0, 0, 0);
		script_op(s, OP_COPY, EXPECT_ANY, 0, 0,
		          (const uint64_t[6]){ script_put(s, &both, sizeof(both)), head });
	}
}

/* The same for all rings. */
static int head_offset(uint32_t *ret)
{
	auto_(uring_done) struct uring u = URING_NONE;
	int e = uring_make(&u, 1, 2, 0);

	if (e < 0)
		return fail(e, "io_uring: create");
	if (u.params.cq_off.tail != u.params.cq_off.head + sizeof(uint32_t))
		return fail(-ENOTSUP, "io_uring: this kernel's rings are laid out in another way");
	*ret = u.params.cq_off.head;
	return 0;
}

static int ring_issuer_emit(struct restore *r, struct rthread *th, const ProtobufCMessage *base,
                            struct script *s)
{
	const Img__RingIssuer *msg = (const Img__RingIssuer *)base;
	uint32_t head = 0;
	int e = head_offset(&head);

	for (size_t i = 0; e == 0 && i < msg->n_ring; i++) {
		const Img__RingIssuer__Ring *ring = msg->ring[i];
		const Img__IoUring *record = io_uring_record(r, ring->file);

		script_call(s, SYS_io_uring_register, ring->fd, IORING_REGISTER_ENABLE_RINGS, 0, 0);
		requests_emit(s, (int)ring->fd, record,
		              ring_address(memory_of(r, th->task), ring->file) + head);
		e = ring_table_emit(r, th->task, s, (int)ring->fd, record);
	}
	return e;
}

const struct restore_aspect restore_ring_issuer = {
	.check = ring_issuer_check,
	.emit[PHASE_PROCESS] = ring_issuer_emit,
};
