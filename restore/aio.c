/*
 * AIO contexts, restore half. The id of a context is the address of its ring, and
 * follows it: a new one is moved to where the old one was. Its head and tail
 * are the kernel's, too; they come to where they were by requests that are done
 * at once (reads of /dev/null), as many of them fetched as head tells. Then the
 * events that nobody had fetched take the place of ours. Requests that wait are made again when descriptors are there.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/aio_abi.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "proto/aio.pb-c.h"
#include "proto/fds.pb-c.h"
#include "proto/memory.pb-c.h"
#include "restore/restore.h"

#define RING_HEAD  32 /* struct aio_ring of fs/aio.c */
#define EVENT_SIZE sizeof(struct io_event)
#define CHUNK      32 /* requests of one call */

static uint32_t pending(const Img__Aio__Context *c)
{
	return (c->tail + c->nr - c->head) % c->nr;
}

/* The kernel makes twice as many and two, and at least so many for each CPU; then whole pages of them. */
static uint32_t requests(const Img__Aio__Context *c)
{
	return (c->nr - 2) / 2;
}

static bool is_mapped(const Img__Memory *m, const Img__Aio__Context *c)
{
	for (size_t i = 0; m && i < m->n_vmas; i++)
		if (m->vmas[i]->type == IMG__VMA__TYPE__AIO && m->vmas[i]->start == c->address &&
		    m->vmas[i]->size == c->size)
			return true;
	return false;
}

static bool is_open(const Img__Fds *fds, uint32_t fd)
{
	for (size_t i = 0; fds && i < fds->n_fd; i++)
		if (fds->fd[i] == fd)
			return true;
	return false;
}

static bool polls_sound(const struct restore *r, uint32_t owner, const Img__Aio__Context *c)
{
	const struct rtask *t = rtask_find(r, (pid_t)owner);
	const Img__Fds *fds =
		t ? (const Img__Fds *)images_one(r->images, KIND_fds,
	                                         (uint32_t)t->shares[TABLE_FILES]->pid)
		  : NULL;

	for (size_t i = 0; i < c->n_poll; i++) {
		const Img__Aio__Poll *p = c->poll[i];

		if (p->events > UINT16_MAX || !is_open(fds, p->fd) ||
		    (p->counted ? !is_open(fds, p->eventfd) : p->eventfd != 0))
			return false;
	}
	return c->n_poll <= requests(c);
}

static int aio_check(struct restore *r, uint32_t owner, const ProtobufCMessage *base)
{
	const Img__Aio *msg = (const Img__Aio *)base;
	const Img__Memory *m = (const Img__Memory *)images_one(r->images, KIND_memory, owner);

	for (size_t i = 0; i < msg->n_context; i++) {
		const Img__Aio__Context *c = msg->context[i];

		if (!is_mapped(m, c) || (i && c->address <= msg->context[i - 1]->address) ||
		    c->nr != (c->size - RING_HEAD) / EVENT_SIZE || c->head >= c->nr ||
		    c->tail >= c->nr || c->events.len != pending(c) * EVENT_SIZE ||
		    !polls_sound(r, owner, c))
			return fail(-EBADMSG, "task %u: AIO context %" PRIx64 " makes no sense",
			            owner, c->address);
		if (requests(c) < 4 * (uint32_t)sysconf(_SC_NPROCESSORS_CONF))
			return fail(-ENOTSUP,
			            "task %u: AIO context %" PRIx64
			            ": on a machine with that many CPUs its ring would be larger",
			            owner, c->address);
	}
	return 0;
}

/* N requests that are done when the call returns. */
struct nothing {
	uint64_t list, events; /* in the arena */
};

static int nothing_make(struct restore *r, struct script *s, struct nothing *ret)
{
	struct iocb cb = { .aio_lio_opcode = IOCB_CMD_PREAD, .aio_nbytes = 1 };
	uint64_t list[CHUNK], at;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return fail(-errno, "/dev/null");
	fd = pool_add(r, fd);
	if (fd < 0)
		return fd;
	cb.aio_fildes = (uint32_t)fd;
	cb.aio_buf = script_alloc(s, 8);
	at = script_put(s, &cb, sizeof(cb));
	for (size_t i = 0; i < CHUNK; i++)
		list[i] = at;
	ret->list = script_put(s, list, sizeof(list));
	ret->events = script_alloc(s, CHUNK * EVENT_SIZE);
	return 0;
}

static void advance(struct script *s, uint64_t context, const struct nothing *nothing, uint32_t n,
                    bool fetch)
{
	while (n) {
		uint32_t chunk = n < CHUNK ? n : CHUNK;

		script_want(s, chunk, SYS_io_submit, context, chunk, nothing->list);
		if (fetch)
			script_want(s, chunk, SYS_io_getevents, context, chunk, chunk,
			            nothing->events, 0);
		n -= chunk;
	}
}

/* The events go from a file of ours to where they were, the ring has an end. */
static int fill(struct restore *r, const Img__Aio__Context *c, struct script *s)
{
	uint64_t first = pending(c) < c->nr - c->head ? pending(c) : c->nr - c->head;
	uint64_t size = first * EVENT_SIZE, ring = c->address + RING_HEAD;
	auto_close int fd = memfd_create("crtool", MFD_CLOEXEC);
	int number, e = fd < 0 ? -errno : pwrite_full(fd, c->events.data, c->events.len, 0);

	if (e < 0)
		return fail(e, "AIO context %" PRIx64 ": its events", c->address);
	number = pool_add(r, take_fd(&fd));
	if (number < 0)
		return number;
	script_op(s, OP_FULL, EXPECT_SUCCESS, 0, SYS_pread64,
	          (const uint64_t[6]){ (uint64_t)number, ring + c->head * EVENT_SIZE, size, 0 });
	if (c->events.len > size)
		script_op(
			s, OP_FULL, EXPECT_SUCCESS, 0, SYS_pread64,
			(const uint64_t[6]){ (uint64_t)number, ring, c->events.len - size, size });
	return 0;
}

static int context_emit(struct restore *r, const Img__Aio__Context *c,
                        const struct nothing *nothing, struct script *s)
{
	uint64_t id = script_alloc(s, sizeof(uint64_t));

	script_call(s, SYS_io_setup, requests(c), id);
	script_op(s, OP_FETCH, EXPECT_SUCCESS, 0, 0, (const uint64_t[6]){ id, 0 });
	script_want(s, (int64_t)c->address, SYS_mremap, 0, c->size, c->size,
	            MREMAP_MAYMOVE | MREMAP_FIXED, c->address);
	advance(s, c->address, nothing, c->head, true);
	advance(s, c->address, nothing, pending(c), false);
	return c->events.len ? fill(r, c, s) : 0;
}

static int aio_emit(struct restore *r, struct rthread *th, const ProtobufCMessage *base,
                    struct script *s)
{
	const Img__Aio *msg = (const Img__Aio *)base;
	struct nothing nothing;
	int e = nothing_make(r, s, &nothing);

	/* All these places are taken before the kernel chooses one. */
	for (size_t i = 0; i < msg->n_context; i++)
		script_want(s, (int64_t)msg->context[i]->address, SYS_mmap,
		            msg->context[i]->address, msg->context[i]->size, PROT_NONE,
		            MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	for (size_t i = 0; e == 0 && i < msg->n_context; i++)
		e = context_emit(r, msg->context[i], &nothing, s);
	return e;
}

static void copy(struct script *s, uint64_t from, uint64_t to, size_t size)
{
	for (size_t at = 0; at < size; at += 8)
		script_op(s, OP_COPY, EXPECT_ANY, 0, 0, (const uint64_t[6]){ from + at, to + at });
}

/* From where it was, for the moment: the program may have something else there by now. */
static void poll_emit(const Img__Aio__Context *c, const Img__Aio__Poll *p, struct script *s)
{
	const struct iocb cb = { .aio_data = p->data,
		                 .aio_lio_opcode = IOCB_CMD_POLL,
		                 .aio_fildes = p->fd,
		                 .aio_buf = p->events,
		                 .aio_flags = p->counted ? IOCB_FLAG_RESFD : 0,
		                 .aio_resfd = p->eventfd };
	uint64_t kept = script_alloc(s, sizeof(cb));

	copy(s, p->iocb, kept, sizeof(cb));
	copy(s, script_put(s, &cb, sizeof(cb)), p->iocb, sizeof(cb));
	script_want(s, 1, SYS_io_submit, c->address, 1, script_put(s, &p->iocb, sizeof(p->iocb)));
	copy(s, kept, p->iocb, sizeof(cb));
}

static int polls_emit(struct restore *r, struct rthread *th, const ProtobufCMessage *base,
                      struct script *s)
{
	const Img__Aio *msg = (const Img__Aio *)base;

	for (size_t i = 0; i < msg->n_context; i++)
		for (size_t k = 0; k < msg->context[i]->n_poll; k++)
			poll_emit(msg->context[i], msg->context[i]->poll[k], s);
	return 0;
}

const struct restore_aspect restore_aio = {
	.check = aio_check,
	.emit[PHASE_BUILD] = aio_emit,
	.emit[PHASE_PROCESS] = polls_emit,
};
