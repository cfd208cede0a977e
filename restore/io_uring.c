/*
 * io_uring, restore half. The kernel counts requests and completions where nobody can
 * write: a new ring comes to the same numbers by as many requests to do nothing. What
 * the memory held takes its place then; the program maps it where it was, as any file.
 */
#include "restore/io_uring.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/uring.h"

#define DONE_MAX    (1u << 27) /* as at dump */
#define FILES_MAX   1048576u   /* IORING_MAX_FIXED_FILES */
#define BUFFERS_MAX 16384u     /* IORING_MAX_REG_BUFFERS */

static bool is_power_of_2(uint32_t n)
{
	return n && !(n & (n - 1));
}

static int io_uring_check(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__IoUring *msg = (const Img__IoUring *)base;

	if (!is_power_of_2(msg->sq_entries) || !is_power_of_2(msg->cq_entries) ||
	    msg->sq_entries > URING_SQ_MAX || msg->cq_entries > URING_CQ_MAX ||
	    msg->cq_entries < msg->sq_entries || msg->done > DONE_MAX ||
	    msg->sqes.len != (size_t)msg->sq_entries * sizeof(struct io_uring_sqe) ||
	    (msg->setup && msg->setup != URING_SINGLE_ISSUER &&
	     msg->setup != (URING_SINGLE_ISSUER | URING_DEFER_TASKRUN)) ||
	    (msg->setup && msg->done / msg->sq_entries > URING_STEPS_MAX) ||
	    msg->n_buffer != msg->n_length || msg->n_buffer > BUFFERS_MAX || msg->files > FILES_MAX)
		return fail(-EBADMSG, "file %u: io_uring: makes no sense", file->id);
	return 0;
}

/* N requests to do nothing; N is not more than it has entries. -errno. */
static int advance(struct uring *u, uint32_t n)
{
	const struct io_sqring_offsets *sq = &u->params.sq_off;
	const struct io_cqring_offsets *cq = &u->params.cq_off;
	uint32_t *tail = uring_u32(u, sq->tail);
	long r;

	__atomic_store_n(tail, *tail + n, __ATOMIC_RELEASE);
	r = syscall(SYS_io_uring_enter, u->fd, n, 0, 0, NULL, 0);
	if (r < 0)
		return -errno;
	if (r != n)
		return -EIO;
	*uring_u32(u, cq->head) = __atomic_load_n(uring_u32(u, cq->tail), __ATOMIC_ACQUIRE);
	return 0;
}

/* IORING_OP_NOP is 0, as all of a request that does nothing. */
static void index_all(struct uring *u, const Img__IoUring *msg)
{
	for (uint32_t i = 0; msg->array && i < msg->sq_entries; i++)
		uring_u32(u, u->params.sq_off.array)[i] = i;
}

static int advance_all(struct uring *u, const Img__IoUring *msg)
{
	uint32_t left = msg->done;
	int r = 0;

	while (r == 0 && left) {
		uint32_t n = left < msg->sq_entries ? left : msg->sq_entries;

		r = advance(u, n);
		left -= n;
	}
	return r;
}

/* What the kernel itself has written must be the same in the image. */
static bool same_kernel_state(const struct uring *u, const Img__IoUring *msg)
{
	const uint32_t offsets[] = { u->params.sq_off.head,         u->params.cq_off.tail,
		                     u->params.sq_off.ring_mask,    u->params.cq_off.ring_mask,
		                     u->params.sq_off.ring_entries, u->params.cq_off.ring_entries };

	for (size_t i = 0; i < ARRAY_SIZE(offsets); i++)
		if (memcmp(u->ring + offsets[i], msg->ring.data + offsets[i], sizeof(uint32_t)) !=
		    0)
			return false;
	return true;
}

static int memory_put(struct uring *u, const Img__File *file, const Img__IoUring *msg)
{
	if (!same_kernel_state(u, msg))
		return fail(-EBADMSG, "file %u: io_uring: its ring makes no sense", file->id);
	memcpy(u->ring, msg->ring.data, msg->ring.len);
	memcpy(u->sqes, msg->sqes.data, msg->sqes.len);
	return 0;
}

static int io_uring_open(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__IoUring *msg = (const Img__IoUring *)base;
	auto_(uring_done) struct uring u = URING_NONE;
	uint32_t disabled = msg->setup ? msg->setup | IORING_SETUP_R_DISABLED : 0;
	int e = uring_make(&u, msg->sq_entries, msg->cq_entries,
	                   IORING_SETUP_SUBMIT_ALL | disabled |
	                           (msg->array ? 0 : IORING_SETUP_NO_SQARRAY));

	if (e < 0)
		return fail(e, "io_uring %u: create", file->id);
	e = uring_map(&u);
	if (e == 0 && msg->ring.len != uring_ring_size(&u, msg->array))
		return fail(-EBADMSG, "file %u: io_uring: this kernel's rings are of another size",
		            file->id);
	if (e == 0)
		index_all(&u, msg);
	if (e == 0 && msg->setup)
		*uring_u32(&u, u.params.sq_off.tail) = msg->done; /* made by ring_issuer.c */
	else if (e == 0)
		e = advance_all(&u, msg);
	if (e < 0)
		return fail(e, "io_uring %u: count to %" PRIu32, file->id, msg->done);
	e = msg->setup ? 0 : memory_put(&u, file, msg);
	if (e < 0)
		return e;
	e = pool_set_flags(u.fd, file);
	return e < 0 ? fail(e, "io_uring %u: set its flags", file->id) : take_fd(&u.fd);
}

const Img__IoUring *io_uring_record(const struct restore *r, uint32_t file)
{
	return (const Img__IoUring *)images_one(r->images, KIND_io_uring, file);
}

void io_uring_emit_tables(struct script *s, int fd, const Img__IoUring *msg)
{
	uint64_t list = script_alloc(s, msg->n_buffer * sizeof(struct iovec) + 1);
	struct iovec *iov = script_at(s, list);
	uint64_t files = script_alloc(s, msg->files * sizeof(int) + 1);

	for (size_t i = 0; iov && i < msg->n_buffer; i++)
		iov[i] = (struct iovec){ (void *)(uintptr_t)msg->buffer[i], msg->length[i] };
	if (msg->n_buffer)
		script_call(s, SYS_io_uring_register, fd, IORING_REGISTER_BUFFERS, list,
		            msg->n_buffer);
	if (script_at(s, files))
		memset(script_at(s, files), 0xff, msg->files * sizeof(int));
	if (msg->files)
		script_call(s, SYS_io_uring_register, fd, IORING_REGISTER_FILES, files, msg->files);
}

/* Memory can be registered by the process alone that it belongs to. */
static int io_uring_emit(struct restore *r, struct rtask *t, int fd, const Img__File *file,
                         const ProtobufCMessage *base, struct script *s)
{
	const Img__IoUring *msg = (const Img__IoUring *)base;

	if (!msg->setup)
		io_uring_emit_tables(s, fd, msg);
	return 0;
}

/* Of one that its thread alone may use: that has made its requests now. */
static int io_uring_finish(struct restore *r, int fd, const Img__File *file,
                           const ProtobufCMessage *base)
{
	const Img__IoUring *msg = (const Img__IoUring *)base;
	auto_(uring_done) struct uring u = URING_NONE;
	int e = msg->setup ? uring_make(&u, msg->sq_entries, msg->cq_entries,
	                                msg->array ? 0 : IORING_SETUP_NO_SQARRAY)
	                   : 0;

	if (!msg->setup)
		return 0;
	if (e == 0 && dup3(fd, u.fd, O_CLOEXEC) < 0)
		e = -errno;
	e = e < 0 ? e : uring_map(&u);
	return e < 0 ? fail(e, "io_uring %u: map it", file->id) : memory_put(&u, file, msg);
}

const struct restore_kind restore_io_uring = {
	.check = io_uring_check,
	.open = io_uring_open,
	.emit = io_uring_emit,
	.finish = io_uring_finish,
};
