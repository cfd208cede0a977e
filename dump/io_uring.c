/*
 * io_uring, dump half: a ring that is idle. What it holds is memory that is mapped
 * here, too; completions that nobody has fetched and requests that are not submitted
 * yet are in it. Its numbers are in fdinfo, and what that does not tell is found out by
 * calls that change nothing: a registration that would fail in one way or another.
 *
 * Where the kernel lets us look into its memory all this is known, and what files are registered (ring_table.c). Else
 * IORING_SETUP_COOP_TASKRUN and _TASKRUN_FLAG, which save interrupts, are not, and _SUBMIT_ALL is always set.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "dump/dump.h"
#include "dump/ring_groups.h"
#include "dump/ring_info.h"
#include "dump/ring_issuer.h"
#include "dump/ring_poll.h"
#include "dump/ring_probe.h"
#include "dump/ring_shape.h"
#include "dump/ring_table.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/uring.h"
#include "lib/uring_groups.h"
#include "proto/io_uring.pb-c.h"

#define NO_MMAP    "its memory cannot be mapped (IORING_SETUP_NO_MMAP)"
#define LARGER     (IORING_SETUP_SQE128 | IORING_SETUP_CQE32)
#define LARGER_WHY "its entries are larger (IORING_SETUP_SQE128, IORING_SETUP_CQE32)"
#define CARRIED \
	(URING_COOP_TASKRUN | URING_TASKRUN_FLAG) /* what is not found out in another way, too */
#define SETUP_KNOWN                                                                             \
	(CARRIED | LARGER | URING_SINGLE_ISSUER | URING_DEFER_TASKRUN | IORING_SETUP_IOPOLL |   \
	 IORING_SETUP_SQPOLL | IORING_SETUP_SQ_AFF | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | \
	 IORING_SETUP_ATTACH_WQ | IORING_SETUP_R_DISABLED | IORING_SETUP_SUBMIT_ALL |           \
	 URING_NO_MMAP | URING_FD_ONLY | IORING_SETUP_NO_SQARRAY)
#define AT_WORK "its thread is at work"

static bool io_uring_owns(const struct file *f)
{
	return !strcmp(f->link, "anon_inode:[io_uring]");
}

/* ---- before the freeze, and again when frozen ---- */

/* Offsets are those of any ring of that size. */
static int ring_open(const struct file *f, const struct ring_info *info, struct uring *ret)
{
	int r = uring_make(ret, (uint32_t)info->sq_mask + 1, (uint32_t)info->cq_mask + 1, 0);

	if (r < 0)
		return r;
	close(ret->fd);
	ret->fd = file_steal(f);
	return ret->fd < 0 ? ret->fd : uring_map(ret);
}

static const char *obstacle_in_text(const char *text, const struct ring_info *info, bool known)
{
	const char *value;

	if (info->requests > URING_DONE_MAX || info->completions > URING_DONE_MAX)
		return "it has carried out too many requests to be rebuilt";
	if (strstr(text, "\nNAPI:\tenabled"))
		return "it polls network devices (IORING_REGISTER_NAPI)";
	value = known ? NULL : strstr(text, "\nUserFiles:");
	if (value && info->files && !strstr(value, "\nUserBufs:"))
		return "what files are registered with it cannot be told";
	if (value && info->files && strstr(value, "\nUserBufs:") != strchr(value + 1, '\n'))
		return "files are registered with it (IORING_REGISTER_FILES)";
	return NULL;
}

/* At the restore its thread makes the requests, by a script. */
static const char *single_obstacle(const struct ring_info *info)
{
	return info->requests / (info->sq_mask + 1) > URING_STEPS_MAX
	               ? "it has carried out too many requests for one that one thread alone may "
	                 "use (IORING_SETUP_SINGLE_ISSUER)"
	               : NULL;
}

static int poll_look(struct dump *d, const struct file *f, const struct ring_info *info)
{
	auto_(uring_done) struct uring u = URING_NONE;
	int r = ring_open(f, info, &u);

	if (r == 0)
		r = ring_poll_look(d, f, &u);
	return r == -EINVAL || r == -ENODEV ? ring_refuse(f, NO_MMAP)
	       : r < 0                      ? fail(r, "%s: map it", file_name(f))
	                                    : 0;
}

static const char *registered_put(struct dump *d, const struct file *f, const char *text,
                                  const struct ring_info *info, const struct uring_facts *facts,
                                  Img__IoUring *msg)
{
	const char *why = ring_table_put(d, f, text, info->buffers, facts, msg);

	msg->sq_entries = (uint32_t)info->sq_mask + 1;
	msg->cq_entries = (uint32_t)info->cq_mask + 1;
	msg->done = (uint32_t)info->requests;
	msg->surplus = (int32_t)(uint32_t)(info->completions - info->requests);
	msg->array = !(facts->setup & IORING_SETUP_NO_SQARRAY);
	return why ? why : ring_groups_put(d, f, facts, msg);
}

static void registered_done(Img__IoUring *msg)
{
	ring_table_done(msg);
	ring_groups_done(msg);
}

static const char *obstacle_in_facts(struct dump *d, const struct file *f, const char *text,
                                     const struct ring_info *info, const struct uring_facts *facts)
{
	Img__IoUring msg = IMG__IO_URING__INIT;
	const char *why = facts->tagged                  ? "what is registered with it bears tags "
	                                                   "(IORING_REGISTER_FILES2, IORING_REGISTER_BUFFERS2)"
	                  : facts->setup & LARGER        ? LARGER_WHY
	                  : facts->setup & URING_NO_MMAP ? NO_MMAP
	                  : facts->setup & ~SETUP_KNOWN
	                          ? "it was made in a way that this version does not know"
	                          : registered_put(d, f, text, info, facts, &msg);

	registered_done(&msg);
	return why;
}

static int ring_check(struct dump *d, const struct file *f, const char *text,
                      const struct ring_info *info)
{
	auto_(uring_facts_done) struct uring_facts facts = {};
	bool known = ring_facts(d, f, &facts) == 0;
	auto_close int fd = -1;
	const char *why = obstacle_in_text(text, info, known);

	if (!why && known)
		why = obstacle_in_facts(d, f, text, info, &facts);
	if (why)
		return ring_refuse(f, why);
	fd = file_steal(f);
	if (fd < 0)
		return fail(fd, "%s: pidfd_getfd", file_name(f));
	if (ring_probe_single(fd)) {
		why = ring_is_polled(text) ? "a thread of the kernel polls it "
		                             "(IORING_SETUP_SQPOLL), and one thread alone may "
		                             "use it (IORING_SETUP_SINGLE_ISSUER)"
		                           : single_obstacle(info);
		/* The rest its thread is asked, ring_issuer.c. */
		return why ? ring_refuse(f, why) : 0;
	}
	why = ring_probe_eventfd(fd, known);
	if (!why)
		why = ring_probe_enter(fd);
	if (!why && !known)
		why = ring_probe_buffer_groups(d, f, fd);
	if (why)
		return ring_refuse(f, why);
	return !d->frozen && !known && ring_is_polled(text) ? poll_look(d, f, info) : 0;
}

static int io_uring_check(struct dump *d, const struct file *f)
{
	auto_free char *text = NULL;
	struct ring_info info;
	int r = ring_wait(d, f, &text, &info);

	return r < 0 ? r : ring_check(d, f, text, &info);
}

/* ---- the record ---- */

/* Does T map F at one of these offsets so that its script can write there? */
static bool maps_ring(struct task *t, const struct file *f, uint64_t offset, uint64_t or_offset)
{
	array_each (v, &mm_of(t)->vmas)
		if (v->ino == f->st.st_ino && v->dev == f->st.st_dev && v->prot & PROT_WRITE &&
		    (v->offset == offset || v->offset == or_offset))
			return true;
	return false;
}

/* What its script writes to: the ring, and with provided buffers its requests. */
static bool maps_enough(struct task *t, const struct file *f, const Img__IoUring *msg)
{
	return maps_ring(t, f, IORING_OFF_SQ_RING, IORING_OFF_CQ_RING) &&
	       (uring_all_alike(msg) || maps_ring(t, f, IORING_OFF_SQES, IORING_OFF_SQES));
}

/* One that one thread alone may use, and what that has told. */
static int single_dump(struct dump *d, const struct file *f, bool known, Img__IoUring *msg)
{
	const struct ring_issuer *issuer = ring_issuer_of(d, f);

	if (!issuer && !ring_is_single(f))
		return 0;
	if (!issuer)
		return ring_refuse(
			f, "one thread alone may use it (IORING_SETUP_SINGLE_ISSUER), which is "
			   "not the main thread of a process that has it open");
	if (issuer->why)
		return ring_refuse(f, issuer->why);
	if (!maps_enough(task_find(d, issuer->task->pid), f, msg))
		return ring_refuse(f, "the process that uses it does not map it");
	array_each (t, &d->tasks)
		array_each (e, &t->fds)
			if (e->file == f->id - 1 && t != issuer->task)
				return ring_refuse(
					f, "one thread alone may use it "
					   "(IORING_SETUP_SINGLE_ISSUER), and more than one "
					   "process has it open");
	if (!known)
		lose("%s: groups of provided buffers (IORING_REGISTER_PBUF_RING) with numbers from "
		     "256 on "
		     "cannot be found; requests that name them will fail",
		     file_name(f));
	msg->setup |= URING_SINGLE_ISSUER | (issuer->defers ? URING_DEFER_TASKRUN : 0);
	return 0;
}

/* There were more completions than requests, or fewer: can they be made again? */
static int surplus_judge(const struct file *f, const Img__IoUring *msg)
{
	return uring_surplus_fits(msg)
	               ? 0
	               : ring_refuse(f, "one thread alone may use it (IORING_SETUP_SINGLE_ISSUER), "
	                                "and its requests had more than twice as many completions "
	                                "(multishot requests)");
}

/* Are there as many completions as it has room for? */
static bool is_full(const struct uring *u)
{
	return *uring_u32(u, u->params.cq_off.tail) - *uring_u32(u, u->params.cq_off.head) >=
	       u->params.cq_entries;
}

static int find_iopoll(const struct file *f, const struct uring *u, const struct uring_facts *facts,
                       Img__IoUring *msg)
{
	bool polls = !ring_is_single(f) /* whose thread is asked, ring_issuer.c */
	             && (facts ? facts->setup & IORING_SETUP_IOPOLL : ring_probe_iopoll(u->fd));

	if (polls && !facts && is_full(u))
		return ring_refuse(f,
		                   "whether it polls devices (IORING_SETUP_IOPOLL) cannot be told "
		                   "while it is full of completions");
	if (polls)
		msg->setup |= IORING_SETUP_IOPOLL;
	return 0;
}

static int ring_dump(struct dump *d, const struct file *f, const struct ring_info *info,
                     const struct uring_facts *facts, Img__IoUring *msg)
{
	auto_(uring_done) struct uring u = URING_NONE;
	int r = ring_open(f, info, &u);

	if (r == -EINVAL || r == -ENODEV)
		return ring_refuse(f, NO_MMAP);
	if (r < 0)
		return fail(r, "%s: map it", file_name(f));
	if (ring_is_polled(f->fdinfo) && !ring_poll_quiet(f, f->fdinfo, &u))
		return -EAGAIN;
	r = find_iopoll(f, &u, facts, msg);
	if (r < 0)
		return r;
	if (!facts)
		msg->array = ring_has_array(f, &u, info->requests);
	if (!ring_is_plain(&u, msg->array))
		return ring_refuse(f, LARGER_WHY);
	if (!facts && !info->requests)
		lose("%s: whether its entries are larger (IORING_SETUP_SQE128, "
		     "IORING_SETUP_CQE32), "
		     "which cannot be told of a ring that was not used yet",
		     file_name(f));
	if (!facts || facts->personalities)
		lose("%s: credentials that are registered with it (IORING_REGISTER_PERSONALITY) "
		     "cannot be "
		     "seen; requests that name them will fail",
		     file_name(f));
	msg->files = (uint32_t)info->files;
	msg->ring = (ProtobufCBinaryData){ uring_ring_size(&u, msg->array), u.ring };
	msg->sqes = (ProtobufCBinaryData){ uring_sqes_size(&u), u.sqes };
	return image_put(d->out, KIND_io_uring, f->id, &msg->base);
}

static int poll_dump(struct dump *d, const struct file *f, Img__IoUring *msg)
{
	const char *why = ring_is_polled(f->fdinfo) ? ring_poll_put(d, f, f->fdinfo, msg) : NULL;

	return why ? ring_refuse(f, why) : 0;
}

/*
 * What the program has handed over the thread that polls it takes while the program stands still, and only then it
 * is under way: INFO, of an idle ring, holds if it is the same once all has been taken.
 */
static bool is_at_rest(struct dump *d, const struct file *f, const char *text,
                       const struct ring_info *info)
{
	auto_(uring_done) struct uring u = URING_NONE;
	auto_free char *again = NULL;
	struct ring_info now;

	if (!ring_is_polled(text) || ring_open(f, info, &u) < 0)
		return true;
	return ring_poll_quiet(f, text, &u) && ring_info_read(d, f, &again, &now) == 0 &&
	       now.idle && now.requests == info->requests;
}

/* All that is to be done is done before anything is saved: files are written to by it. */
static int ring_rest(struct dump *d, const struct file *f)
{
	for (int waited = 0; waited < RING_FROZEN_MS; waited += 2) {
		auto_free char *text = NULL;
		struct ring_info info;
		int r = ring_wait(d, f, &text, &info);

		if (r < 0 || is_at_rest(d, f, text, &info))
			return r;
		nanosleep(&(struct timespec){ .tv_nsec = RING_NAP_NS }, NULL);
	}
	return ring_refuse(f, AT_WORK);
}

static int io_uring_begin(struct dump *d)
{
	array_each (f, &d->files) {
		int r = f->kind == KIND_io_uring && f->policy == FD_CARRY ? ring_rest(d, f) : 0;

		if (r < 0)
			return r;
		d->worked_on |= f->kind == KIND_io_uring;
	}
	return 0;
}

static int registered_dump(struct dump *d, const struct file *f, const char *text,
                           const struct ring_info *info, const struct uring_facts *facts,
                           Img__IoUring *msg)
{
	const char *why = registered_put(d, f, text, info, facts, msg);

	return why ? ring_refuse(f, why) : 0;
}

static void put_facts(const struct file *f, struct uring_facts *facts, Img__IoUring *msg)
{
	if (facts->bound)
		lose("%s: that threads which work for it are bound to CPUs "
		     "(IORING_REGISTER_IOWQ_AFF)",
		     file_name(f));
	msg->setup |= facts->setup & CARRIED;
	msg->poll_idle = facts->setup & IORING_SETUP_SQPOLL ? ring_poll_ms(facts->idle) : 0;
	msg->stops = !(facts->setup & IORING_SETUP_SUBMIT_ALL);
	msg->clock = facts->clock == CLOCK_MONOTONIC ? 0 : facts->clock;
	if (facts->workers[0] || facts->workers[1])
		msg->n_workers = 2, msg->workers = facts->workers;
	if (facts->file.n && (facts->first || facts->end != facts->file.n))
		msg->slot_first = facts->first, msg->slot_end = facts->end;
}

static int io_uring_try(struct dump *d, const struct file *f)
{
	auto_free char *text = NULL;
	auto_(uring_facts_done) struct uring_facts facts = {};
	Img__IoUring msg = IMG__IO_URING__INIT;
	struct ring_info info;
	int r = ring_wait(d, f, &text, &info);
	bool known = r == 0 && ring_facts(d, f, &facts) == 0;

	if (r == 0)
		r = registered_dump(d, f, text, &info, &facts, &msg);
	if (r == 0 && known)
		put_facts(f, &facts, &msg);
	if (r == 0)
		r = single_dump(d, f, known, &msg);
	if (r == 0)
		r = surplus_judge(f, &msg);
	if (r == 0)
		r = poll_dump(d, f, &msg);
	if (r == 0)
		r = ring_dump(d, f, &info, known ? &facts : NULL, &msg);
	registered_done(&msg);
	return r;
}

/* The thread that polls a ring takes what is there while the program stands still. */
static int io_uring_dump(struct dump *d, const struct file *f)
{
	int r = -EAGAIN;

	for (int waited = 0; r == -EAGAIN && waited < RING_FROZEN_MS; waited += 2) {
		r = io_uring_try(d, f);
		if (r == -EAGAIN)
			nanosleep(&(struct timespec){ .tv_nsec = RING_NAP_NS }, NULL);
	}
	return r == -EAGAIN ? ring_refuse(f, AT_WORK) : r;
}

static void io_uring_release(struct dump *d, bool killed)
{
	if (d->ring_issuers)
		array_done(&d->ring_issuers->all);
	free(d->ring_issuers);
	d->ring_issuers = NULL;
	ring_polls_done(d);
}

const struct dump_kind dump_io_uring = {
	.maps_itself = true,
	.needs_owner = true,
	.owns = io_uring_owns,
	.check = io_uring_check,
	.begin = io_uring_begin,
	.dump = io_uring_dump,
	.release = io_uring_release,
};
