/*
 * Rings that one thread alone may use, dump half. Only this thread can ask what is
 * registered with them: the main threads are asked, call by call, in the middle of the dump.
 * A call answers who is not the one with EEXIST.
 *
 * Groups of provided buffers are found by their numbers, of which so many cannot be tried
 * here: it is told that those beyond GROUPS are not known.
 */
#include "dump/ring_issuer.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dump/memory_map.h"
#include "dump/ring_table.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/uring.h"
#include "proto/ring_issuer.pb-c.h"

#define GROUPS       256
#define PBUF_STATUS  26u /* IORING_REGISTER_PBUF_STATUS, 6.8 */
#define RESIZE_RINGS 33u /* IORING_REGISTER_RESIZE_RINGS, 6.13 */
#define NOWHERE      8   /* an address that nobody has */

struct asking {
	struct dump *d;
	struct task *task;
	uint64_t at; /* memory of it */
	int fd;
};

struct status {
	uint32_t group, head, resv[8];
};

bool ring_is_single(const struct file *f)
{
	auto_close int fd = file_steal(f);

	return fd >= 0 &&
	       syscall(SYS_io_uring_register, fd, IORING_REGISTER_EVENTFD, NOWHERE, 1) < 0 &&
	       errno == EEXIST;
}

const struct ring_issuer *ring_issuer_of(const struct dump *d, const struct file *f)
{
	if (d->ring_issuers)
		array_each (issuer, &d->ring_issuers->all)
			if (issuer->file == f->id)
				return issuer;
	return NULL;
}

/* ---- questions ---- */

static int64_t ask_register(struct asking *a, unsigned opcode, uint64_t arg)
{
	const uint64_t args[6] = { (uint64_t)a->fd, opcode, arg, 1 };
	int64_t result;
	int r = parasite_call(&mm_of(a->task)->parasite, SYS_io_uring_register, args, &result);

	return r < 0 ? r : result;
}

/* A resize is for rings that defer, before the kernel looks at its argument. */
static bool kernel_tells_deferring(void)
{
	struct io_uring_params p = { .flags = URING_SINGLE_ISSUER | URING_DEFER_TASKRUN };
	auto_close int fd = (int)syscall(SYS_io_uring_setup, 1, &p);

	return fd >= 0 && syscall(SYS_io_uring_register, fd, RESIZE_RINGS, NOWHERE, 1) < 0 &&
	       errno == EFAULT;
}

/* As probe_enter() of io_uring.c: nobody else can find it out. */
static bool polls(struct asking *a)
{
	const struct io_uring_getevents_arg arg = { .ts = NOWHERE };
	const uint64_t args[6] = { (uint64_t)a->fd, 0,
		                   UINT32_MAX,      IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG,
		                   a->at,           sizeof(arg) };
	int64_t result = 0;

	return pwrite_full(a->task->mem, &arg, sizeof(arg), (off_t)a->at) < 0 ||
	       parasite_call(&mm_of(a->task)->parasite, SYS_io_uring_enter, args, &result) < 0 ||
	       result >= 0;
}

static bool has_buffers(struct asking *a)
{
	if (ask_register(a, PBUF_STATUS, NOWHERE) != -EFAULT) /* a kernel that does not tell */
		return false;
	for (struct status status = {}; status.group < GROUPS; status.group++) {
		int64_t r = pwrite_full(a->task->mem, &status, sizeof(status), (off_t)a->at);

		if (r == 0)
			r = ask_register(a, PBUF_STATUS, a->at);
		if (r != -ENOENT)
			return true;
	}
	return false;
}

/* KNOWN: what is registered with it is, and was judged already. */
static const char *find_obstacle(struct asking *a, bool known, int64_t eventfd, int64_t resize)
{
	return eventfd == -EBUSY && !known ? "an eventfd is registered with it"
	       : eventfd != -EFAULT && eventfd != -EBUSY
	               ? "what is registered with it cannot be told"
	       : resize != -EFAULT && resize != -EINVAL ? "it cannot be told how it was made"
	       : !kernel_tells_deferring() ? "this kernel does not tell how it was made "
	                                     "(IORING_SETUP_DEFER_TASKRUN)"
	       : polls(a)                  ? "it polls for completions (IORING_SETUP_IOPOLL)"
	       : !known && has_buffers(a)  ? "it has provided buffers (IORING_REGISTER_PBUF_RING)"
	                                   : NULL;
}

static int ask_ring(struct asking *a, const struct file *f)
{
	int64_t eventfd = ask_register(a, IORING_REGISTER_EVENTFD, NOWHERE), resize;
	auto_(uring_facts_done) struct uring_facts facts = {};
	struct ring_issuer *issuer;

	if (eventfd == -EEXIST)
		return 0;
	if (!a->d->ring_issuers)
		a->d->ring_issuers = calloc(1, sizeof(*a->d->ring_issuers));
	issuer = a->d->ring_issuers ? array_add(&a->d->ring_issuers->all) : NULL;
	if (!issuer)
		return -ENOMEM;
	resize = ask_register(a, RESIZE_RINGS, NOWHERE);
	*issuer = (struct ring_issuer){ .file = f->id, .task = a->task, .fd = a->fd };
	issuer->defers = resize == -EFAULT;
	issuer->why = find_obstacle(a, ring_facts(a->d, f, &facts) == 0, eventfd, resize);
	return 0;
}

/* ---- the aspect ---- */

static bool has_ring(struct task *t)
{
	array_each (v, &mm_of(t)->vmas)
		if (vma_class(v) == VMA_RING)
			return true;
	return false;
}

static int ring_issuer_ask(struct dump *d, struct thread *th, struct script *s, struct ask *ret)
{
	ret->at = script_alloc(s, sizeof(struct status));
	return 0;
}

static int ring_issuer_talk(struct dump *d, struct thread *th, const struct ask *ask)
{
	struct asking a = { d, th->task, ask->at, -1 };

	array_each (e, &th->task->shares[TABLE_FILES]->fds) {
		const struct file *f = &d->files.v[e->file];
		int r;

		if (f->kind != KIND_io_uring || f->policy != FD_CARRY || ring_issuer_of(d, f) ||
		    !ring_is_single(f))
			continue;
		a.fd = e->fd;
		r = ask_ring(&a, f);
		if (r < 0)
			return fail(r, "%s: fd %d: ask about this io_uring", task_name(th->task),
			            a.fd);
	}
	return 0;
}

static int ring_issuer_take(struct dump *d, struct thread *th, const struct script *s,
                            const struct ask *ask)
{
	size_t n = d->ring_issuers ? d->ring_issuers->all.n : 0;
	auto_free Img__RingIssuer__Ring *rings = calloc(n + 1, sizeof(*rings));
	auto_free Img__RingIssuer__Ring **list = calloc(n + 1, sizeof(*list));
	Img__RingIssuer msg = IMG__RING_ISSUER__INIT;

	if (!rings || !list)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct ring_issuer *issuer = &d->ring_issuers->all.v[i];
		Img__RingIssuer__Ring *ring = &rings[msg.n_ring];

		if (issuer->task != th->task)
			continue;
		img__ring_issuer__ring__init(ring);
		ring->fd = (uint32_t)issuer->fd;
		ring->file = issuer->file;
		list[msg.n_ring++] = ring;
	}
	msg.ring = list;
	return msg.n_ring ? image_put(d->out, KIND_ring_issuer, (uint32_t)th->task->pid, &msg.base)
	                  : 0;
}

const struct dump_aspect dump_ring_issuer = {
	.scope = SCOPE_PROCESS,
	.concerns = has_ring,
	.ask = ring_issuer_ask,
	.talk = ring_issuer_talk,
	.take = ring_issuer_take,
};
