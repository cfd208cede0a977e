/*
 * Rings that one thread alone may use, restore half. They were made disabled, so that
 * whoever enables them is this thread; then it makes as many requests to do nothing as
 * there were: all are prepared, each call takes as many as the ring has entries, and after
 * each the completions are taken for fetched. Some of them are others (ring_groups.h): then all
 * are the one that is first in the ring, or that many from where the next one is.
 */
#include <errno.h>
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/uring.h"
#include "lib/uring_groups.h"
#include "proto/fds.pb-c.h"
#include "proto/memory.pb-c.h"
#include "proto/ring_issuer.pb-c.h"
#include "restore/io_uring.h"
#include "restore/restore.h"
#include "restore/ring_groups.h"
#include "restore/ring_table.h"

/* Where M maps the ring FILE from one of these offsets on and may write; 0: nowhere. */
static uint64_t ring_address(const Img__Memory *m, uint32_t file, uint64_t offset,
                             uint64_t or_offset)
{
	for (size_t i = 0; m && i < m->n_vmas; i++) {
		const Img__Vma *v = m->vmas[i];

		if (v->type == IMG__VMA__TYPE__RING && v->object == file && v->prot & PROT_WRITE &&
		    (v->offset == offset || v->offset == or_offset))
			return v->start;
	}
	return 0;
}

static uint64_t head_address(const Img__Memory *m, uint32_t file)
{
	return ring_address(m, file, IORING_OFF_SQ_RING, IORING_OFF_CQ_RING);
}

static uint64_t sqes_address(const Img__Memory *m, uint32_t file)
{
	return ring_address(m, file, IORING_OFF_SQES, IORING_OFF_SQES);
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
		    !head_address(memory_of(r, t), ring->file) ||
		    (!uring_all_alike(record) && !sqes_address(memory_of(r, t), ring->file)))
			return fail(-EBADMSG, "task %u: ring of fd %u: makes no sense", owner,
			            ring->fd);
	}
	return 0;
}

struct single {
	const Img__IoUring *msg;
	struct script *s;
	int fd;
	uint64_t
		head; /* address of the head and the tail of the completions, which follow each other */
	uint64_t sqes;       /* of its requests */
	uint32_t done, seen; /* requests, completions */
};

/* That many requests are this one: with an array of indexes all of them are the first. */
static void sqe_emit(struct single *o, const struct ring_step *step)
{
	uint32_t all = o->msg->array ? 1 : o->msg->sq_entries, n = step->n < all ? step->n : all;
	uint64_t from = script_put(o->s, &step->sqe, sizeof(step->sqe));

	for (uint32_t i = 0; i < n; i++)
		for (uint32_t at = 0; at < sizeof(step->sqe); at += 8)
			script_op(o->s, OP_COPY, EXPECT_ANY, 0, 0,
			          (const uint64_t[6]){
					  from + at,
					  o->sqes + (o->done + i) % all * sizeof(step->sqe) + at });
}

/* Messages to itself come in when it waits for them, if it defers; they are not to be more than there is room for. */
static void requests_emit(struct single *o, uint32_t n, uint32_t each)
{
	uint32_t most = o->msg->sq_entries;

	if (each > 1 && most > o->msg->cq_entries / each)
		most = o->msg->cq_entries / each;
	for (uint32_t end = o->done + n; o->done < end;) {
		uint32_t left = end - o->done, some = left < most ? left : most;
		uint64_t both;

		o->done += some;
		o->seen += some * each;
		both = (uint64_t)o->seen << 32 | o->seen;
		script_want(o->s, some, SYS_io_uring_enter, o->fd, some, 0, 0, 0, 0);
		if (each > 1)
			script_want(o->s, 0, SYS_io_uring_enter, o->fd, 0, 0,
			            IORING_ENTER_GETEVENTS, 0, 0);
		script_op(o->s, OP_COPY, EXPECT_ANY, 0, 0,
		          (const uint64_t[6]){ script_put(o->s, &both, sizeof(both)), o->head });
	}
}

static int all_emit(struct single *o)
{
	auto_(ring_steps_done) struct ring_steps steps = {};
	int e = ring_steps(o->msg, 0, IOSQE_FIXED_FILE, o->fd, &steps);
	uint64_t saved = 0;

	if (e < 0)
		return e;
	ring_groups_emit(o->s, o->fd, o->msg);
	ring_groups_emit_fill(o->s, o->msg, false, &saved);
	array_each (step, &steps.all) {
		if (!uring_all_alike(o->msg))
			sqe_emit(o, step);
		requests_emit(o, step->n, step->each);
	}
	ring_groups_emit_fill(o->s, o->msg, true, &saved);
	if (ring_groups_take(o->msg))
		script_call(o->s, SYS_io_uring_register, o->fd, IORING_UNREGISTER_FILES, 0, 0);
	return 0;
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
		const Img__Memory *m = memory_of(r, th->task);
		struct single one = { .msg = io_uring_record(r, ring->file),
			              .s = s,
			              .fd = (int)ring->fd,
			              .head = head_address(m, ring->file) + head,
			              .sqes = sqes_address(m, ring->file) };

		script_call(s, SYS_io_uring_register, ring->fd, IORING_REGISTER_ENABLE_RINGS, 0, 0);
		e = all_emit(&one);
		if (e == 0)
			e = ring_table_emit(r, th->task, s, one.fd, one.msg);
	}
	return e;
}

const struct restore_aspect restore_ring_issuer = {
	.check = ring_issuer_check,
	.emit[PHASE_PROCESS] = ring_issuer_emit,
};
