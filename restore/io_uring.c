/*
 * io_uring, restore half. The kernel counts requests and completions where nobody can
 * write: a new ring comes to the same numbers by as many requests to do nothing. What
 * the memory held takes its place then; the program maps it where it was, as any file.
 *
 * One that a thread of the kernel polls is made by its process, as this thread is one of the
 * process's and has the rights of whoever made it; its requests are made at the end, when
 * the process waits to be let go. So are those of a ring with provided buffers, which are registered by then.
 */
#include "restore/io_uring.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/uring.h"
#include "lib/uring_groups.h"
#include "proto/fds.pb-c.h"
#include "restore/creds.h"
#include "restore/ring_count.h"
#include "restore/ring_groups.h"
#include "restore/ring_table.h"

#define EITHER   (URING_COOP_TASKRUN | URING_TASKRUN_FLAG) /* of all sorts of rings */
#define SLEEP_MS 1000                                      /* more than it polls */

static bool is_power_of_2(uint32_t n)
{
	return n && !(n & (n - 1));
}

static bool is_single(const Img__IoUring *msg)
{
	return msg->setup & URING_SINGLE_ISSUER;
}

static bool is_polled(const Img__IoUring *msg)
{
	return msg->setup & IORING_SETUP_SQPOLL;
}

/* Whoever makes its requests cannot open a file for them. */
static bool takes_fixed(const Img__IoUring *msg)
{
	return ring_groups_take(msg) && (is_single(msg) || is_polled(msg));
}

bool ring_is_late(const Img__IoUring *msg)
{
	return is_single(msg) || is_polled(msg) || msg->n_group;
}

/* Besides msg->setup. */
static uint32_t setup_of(const Img__IoUring *msg)
{
	return (msg->stops ? 0 : IORING_SETUP_SUBMIT_ALL) |
	       (msg->array ? 0 : IORING_SETUP_NO_SQARRAY);
}

static bool setup_makes_sense(const struct restore *r, const Img__File *file,
                              const Img__IoUring *msg)
{
	if (is_single(msg))
		return !(msg->setup & ~(URING_SINGLE_ISSUER | URING_DEFER_TASKRUN | EITHER)) &&
		       msg->done / msg->sq_entries <= URING_STEPS_MAX;
	return !(msg->setup &
	         ~(IORING_SETUP_SQPOLL | IORING_SETUP_SQ_AFF | IORING_SETUP_IOPOLL | EITHER)) &&
	       (is_polled(msg) ? file_in_one_table(r, file->id)
	                       : !(msg->setup & IORING_SETUP_SQ_AFF));
}

static int io_uring_check(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__IoUring *msg = (const Img__IoUring *)base;

	if (!is_power_of_2(msg->sq_entries) || !is_power_of_2(msg->cq_entries) ||
	    msg->sq_entries > URING_SQ_MAX || msg->cq_entries > URING_CQ_MAX ||
	    msg->cq_entries < msg->sq_entries || msg->done > URING_DONE_MAX ||
	    msg->sqes.len != (size_t)msg->sq_entries * sizeof(struct io_uring_sqe) ||
	    !setup_makes_sense(r, file, msg) || !uring_surplus_fits(msg) ||
	    !ring_table_sound(r, msg) || !ring_groups_sound(msg))
		return fail(-EBADMSG, "file %u: io_uring: makes no sense", file->id);
	return 0;
}

/* Before requests take buffers: rings seem full, the file that they read is registered. */
static int takes_begin(struct ring_hold *h, int nothing)
{
	int r = ring_groups_fill(h, false);

	if (r == 0 && takes_fixed(h->msg) &&
	    syscall(SYS_io_uring_register, h->fd, IORING_REGISTER_FILES, &nothing, 1) < 0)
		r = -errno;
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

/* What the kernel has to say in its flags (that a thread which polls sleeps) it says itself. */
static int memory_put(struct uring *u, const Img__File *file, const Img__IoUring *msg)
{
	size_t flags = u->params.sq_off.flags;

	if (!same_kernel_state(u, msg))
		return fail(-EBADMSG, "file %u: io_uring: its ring makes no sense", file->id);
	memcpy(u->sqes, msg->sqes.data, msg->sqes.len);
	memcpy(u->ring, msg->ring.data, flags);
	flags += sizeof(uint32_t);
	memcpy(u->ring + flags, msg->ring.data + flags, msg->ring.len - flags);
	return 0;
}

/* For ring_issuer.c: all requests are the first one; a file that is read for nothing is registered as number 0. */
static int single_prepare(struct uring *u, const Img__IoUring *msg)
{
	struct ring_hold hold = { u->fd, -1, msg, NULL };
	auto_close int nothing = -1;

	*uring_u32(u, u->params.sq_off.tail) = msg->done;
	for (uint32_t i = 0; !uring_all_alike(msg) && msg->array && i < msg->sq_entries; i++)
		uring_u32(u, u->params.sq_off.array)[i] = 0;
	if (!ring_groups_take(msg))
		return 0;
	nothing = ring_nothing_open();
	return nothing < 0 ? nothing : takes_begin(&hold, nothing);
}

static int io_uring_open(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__IoUring *msg = (const Img__IoUring *)base;
	auto_(uring_done) struct uring u = URING_NONE;
	uint32_t how = is_single(msg) ? msg->setup | IORING_SETUP_R_DISABLED : msg->setup;
	int e = uring_make(&u, msg->sq_entries, msg->cq_entries, how | setup_of(msg));

	if (e < 0)
		return fail(e, "io_uring %u: create", file->id);
	e = uring_map(&u);
	if (e == 0 && msg->ring.len != uring_ring_size(&u, msg->array))
		return fail(-EBADMSG, "file %u: io_uring: this kernel's rings are of another size",
		            file->id);
	if (e == 0)
		ring_index_all(&u, msg);
	if (e == 0)
		e = ring_groups_register(u.fd, msg);
	if (e == 0 && is_single(msg))
		e = single_prepare(&u, msg);
	else if (e == 0 && !ring_is_late(msg))
		e = ring_count(&u, msg, -1, 0, NULL);
	if (e < 0)
		return fail(e, "io_uring %u: count to %" PRIu32, file->id, msg->done);
	e = ring_is_late(msg) ? 0 : memory_put(&u, file, msg);
	if (e < 0)
		return e;
	e = pool_set_flags(u.fd, file);
	return e < 0 ? fail(e, "io_uring %u: set its flags", file->id) : take_fd(&u.fd);
}

const Img__IoUring *io_uring_record(const struct restore *r, uint32_t file)
{
	return (const Img__IoUring *)images_one(r->images, KIND_io_uring, file);
}

/* Memory can be registered by the process alone that it belongs to. */
static int io_uring_emit(struct restore *r, struct rtask *t, int fd, const Img__File *file,
                         const ProtobufCMessage *base, struct script *s)
{
	const Img__IoUring *msg = (const Img__IoUring *)base;

	if (is_single(msg))
		return 0;
	ring_groups_emit(s, fd, msg);
	return ring_table_emit(r, t, s, fd, msg);
}

/* ---- those that their process makes ---- */

static bool io_uring_late(const struct restore *r, const ProtobufCMessage *base)
{
	return is_polled((const Img__IoUring *)base);
}

static int io_uring_make(struct restore *r, struct rtask *t, const Img__File *file,
                         const ProtobufCMessage *base, struct script *s)
{
	const Img__IoUring *msg = (const Img__IoUring *)base;
	const struct io_uring_params params = {
		.flags = msg->setup | IORING_SETUP_CQSIZE | setup_of(msg),
		.cq_entries = msg->cq_entries,
		.sq_thread_idle = msg->poll_idle,
		.sq_thread_cpu = msg->poll_cpu,
	};

	creds_borrow(r, t->threads.v, s);
	script_want(s, 0, SYS_io_uring_setup, msg->sq_entries,
	            script_put(s, &params, sizeof(params)));
	creds_return(r, t->threads.v, s);
	ring_groups_emit_early(s, 0, msg);
	if (file->flags & O_NONBLOCK)
		script_call(s, SYS_fcntl, 0, F_SETFL, O_NONBLOCK);
	return 0;
}

/* Who has it, and under which number; NULL: nobody. */
static struct rtask *holder_of(struct restore *r, uint32_t file, int *ret_fd)
{
	array_each (t, &r->tasks) {
		const Img__Fds *fds =
			(const Img__Fds *)images_one(r->images, KIND_fds, (uint32_t)t->pid);

		for (size_t i = 0; fds && i < fds->n_fd; i++)
			if (fds->file[i] == file) {
				*ret_fd = (int)fds->fd[i];
				return t;
			}
	}
	return NULL;
}

/* From who has it, a descriptor of ours. */
static int fetch(struct restore *r, uint32_t file)
{
	int fd = -1;
	const struct rtask *t = holder_of(r, file, &fd);

	return t ? file_fetch(t, fd) : -ENOENT;
}

/* ---- at the end ---- */

/* U becomes the ring that its process has. */
static int take_over(struct restore *r, int fd, const Img__File *file, const Img__IoUring *msg,
                     struct uring *u)
{
	auto_close int theirs = is_polled(msg) ? fetch(r, file->id) : -1;
	int e = theirs == -1 || theirs >= 0 ? 0 : theirs;

	if (e == 0)
		e = uring_make(u, msg->sq_entries, msg->cq_entries,
		               msg->array ? 0 : IORING_SETUP_NO_SQARRAY);
	if (e == 0 && dup3(is_polled(msg) ? theirs : fd, u->fd, O_CLOEXEC) < 0)
		e = -errno;
	return e < 0 ? e : uring_map(u);
}

/* What was not submitted yet is not to be taken now: a thread that sleeps does not look. */
static void await_sleep(const struct uring *u, const Img__IoUring *msg)
{
	const uint8_t *ring = msg->ring.data;
	uint32_t most = (msg->poll_idle ? msg->poll_idle : 1000) + SLEEP_MS;

	if (!memcmp(ring + u->params.sq_off.head, ring + u->params.sq_off.tail, sizeof(uint32_t)))
		return;
	for (uint32_t ms = 0; ms < most; ms++) {
		if (__atomic_load_n(uring_u32(u, u->params.sq_off.flags), __ATOMIC_ACQUIRE) &
		    IORING_SQ_NEED_WAKEUP)
			return;
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
}

static int register_eventfd(struct restore *r, const struct uring *u, const Img__IoUring *msg)
{
	auto_close int fd = fetch(r, msg->eventfd);

	return fd < 0                                                                    ? fd
	       : syscall(SYS_io_uring_register, u->fd, ring_event_call(msg), &fd, 1) < 0 ? -errno
	                                                                                 : 0;
}

/* The memory of who has it, where rings of buffers are. */
static int open_memory(struct restore *r, uint32_t file)
{
	int unused, fd;
	const struct rtask *t = holder_of(r, file, &unused);
	char path[32];

	if (!t)
		return -ENOENT;
	snprintf(path, sizeof(path), "/proc/%d/mem", t->pid);
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int advance_taking(struct restore *r, struct uring *u, const Img__File *file,
                          const Img__IoUring *msg)
{
	auto_close int nothing = ring_nothing_open(),
		       mem = nothing < 0 ? nothing : open_memory(r, file->id);
	auto_(ring_hold_done) struct ring_hold hold = { u->fd, mem, msg, NULL };
	bool fixed = takes_fixed(msg);
	int e = mem < 0 ? mem : 0;

	hold.saved = calloc(msg->n_group + 1, sizeof(*hold.saved));
	if (e == 0)
		e = hold.saved ? takes_begin(&hold, nothing) : -ENOMEM;
	if (e == 0)
		e = ring_count(u, msg, fixed ? 0 : nothing, fixed ? IOSQE_FIXED_FILE : 0, &hold);
	if (e == 0 && fixed &&
	    syscall(SYS_io_uring_register, u->fd, IORING_UNREGISTER_FILES, NULL, 0) < 0)
		e = -errno;
	return e < 0 ? e : ring_groups_fill(&hold, true);
}

/* Its requests, which nobody has made yet. */
static int make_requests(struct restore *r, struct uring *u, const Img__File *file,
                         const Img__IoUring *msg)
{
	int e;

	ring_index_all(u, msg);
	e = msg->n_group ? advance_taking(r, u, file, msg) : ring_count(u, msg, -1, 0, NULL);
	if (e == 0 && msg->eventfd)
		e = register_eventfd(r, u, msg);
	if (is_polled(msg))
		await_sleep(u, msg);
	return e;
}

/* One that its thread alone may use has made its requests now; that of a thread of the kernel makes them. */
static int io_uring_finish(struct restore *r, int fd, const Img__File *file,
                           const ProtobufCMessage *base)
{
	const Img__IoUring *msg = (const Img__IoUring *)base;
	auto_(uring_done) struct uring u = URING_NONE;
	int e = 0;

	if (!ring_is_late(msg))
		return 0;
	e = take_over(r, fd, file, msg, &u);
	if (e < 0)
		return fail(e, "io_uring %u: map it", file->id);
	if (msg->ring.len != uring_ring_size(&u, msg->array))
		return fail(-EBADMSG, "file %u: io_uring: this kernel's rings are of another size",
		            file->id);
	e = is_single(msg) ? ring_groups_fill(&(struct ring_hold){ u.fd, -1, msg, NULL }, true)
	                   : make_requests(r, &u, file, msg);
	return e < 0 ? fail(e, "io_uring %u: count to %" PRIu32, file->id, msg->done)
	             : memory_put(&u, file, msg);
}

const struct restore_kind restore_io_uring = {
	.check = io_uring_check,
	.open = io_uring_open,
	.late = io_uring_late,
	.make = io_uring_make,
	.emit = io_uring_emit,
	.finish = io_uring_finish,
};
