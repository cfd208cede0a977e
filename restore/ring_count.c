#include "restore/ring_count.h"

#include <errno.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/deadline.h"
#include "restore/ring_groups.h"

#define MESSAGES 64u /* at a time */
#define NAP_NS   1000000
#define NAPS_MAX 10000 /* for what a thread of the kernel takes at once */

static uint32_t load(const struct uring *u, uint32_t offset)
{
	return __atomic_load_n(uring_u32(u, offset), __ATOMIC_ACQUIRE);
}

void ring_index_all(struct uring *u, const Img__IoUring *msg)
{
	for (uint32_t i = 0; msg->array && i < msg->sq_entries; i++)
		uring_u32(u, u->params.sq_off.array)[i] = i;
}

/* What has no completion cannot be waited for but by looking. */
static int await(const struct uring *u, uint32_t requests, uint32_t completions)
{
	for (int i = 0; i < NAPS_MAX && !deadline_passed(); i++) {
		if (load(u, u->params.sq_off.head) == requests &&
		    load(u, u->params.cq_off.tail) == completions)
			return 0;
		nanosleep(&(struct timespec){ .tv_nsec = NAP_NS }, NULL);
	}
	return -EIO;
}

/* All completions are taken for fetched. */
static void fetch_all(struct uring *u)
{
	*uring_u32(u, u->params.cq_off.head) = load(u, u->params.cq_off.tail);
}

/* N of the requests that are prepared, with EACH completions; N is not more than it has entries. -errno. */
static int advance(struct uring *u, uint32_t n, uint32_t each, bool wait)
{
	uint32_t *tail = uring_u32(u, u->params.sq_off.tail);
	uint32_t completions = load(u, u->params.cq_off.tail) + n * each;
	int e;
	long r;

	__atomic_store_n(tail, *tail + n, __ATOMIC_RELEASE);
	r = syscall(SYS_io_uring_enter, u->fd, n, wait ? n * each : 0,
	            wait ? IORING_ENTER_GETEVENTS | IORING_ENTER_SQ_WAKEUP : 0, NULL, 0);
	e = r < 0 ? -errno : r != n ? -EIO : await(u, *tail, completions);
	fetch_all(u);
	return e;
}

/* Whatever is taken next is this one. */
static int advance_step(struct uring *u, const Img__IoUring *msg, const struct ring_step *step)
{
	struct io_uring_sqe *sqes = (struct io_uring_sqe *)(void *)u->sqes;
	bool wait = msg->setup & IORING_SETUP_SQPOLL || step->sqe.opcode == IORING_OP_READ;
	int e = 0;

	for (uint32_t i = 0; i < msg->sq_entries; i++)
		sqes[i] = step->sqe;
	for (uint32_t left = step->n; e == 0 && left;) {
		uint32_t n = left < msg->sq_entries ? left : msg->sq_entries;

		e = advance(u, n, step->each, wait);
		left -= n;
	}
	return e;
}

/* ---- messages ---- */

static int send_some(struct uring *from, struct uring *u, uint32_t n)
{
	uint32_t completions = load(u, u->params.cq_off.tail) + n;
	int e = advance(from, n, 1, true);

	if (e == 0)
		e = await(u, *uring_u32(u, u->params.sq_off.tail), completions);
	fetch_all(u);
	return e;
}

/* So many completions for U by no request of its own. */
static int send_all(struct uring *u, const Img__IoUring *msg, uint32_t n)
{
	const struct io_uring_sqe sqe = { .opcode = IORING_OP_MSG_RING, .fd = u->fd };
	uint32_t most = msg->cq_entries < MESSAGES ? msg->cq_entries : MESSAGES;
	auto_(uring_done) struct uring from = URING_NONE;
	int e = uring_make(&from, MESSAGES, 2 * MESSAGES, 0);

	if (e == 0)
		e = uring_map(&from);
	for (uint32_t i = 0; e == 0 && i < MESSAGES; i++) {
		((struct io_uring_sqe *)(void *)from.sqes)[i] = sqe;
		uring_u32(&from, from.params.sq_off.array)[i] = i;
	}
	while (e == 0 && n) {
		uint32_t some = n < most ? n : most;

		e = send_some(&from, u, some);
		n -= some;
	}
	return e;
}

int ring_count(struct uring *u, const Img__IoUring *msg, int nothing, unsigned how,
               const struct ring_hold *h)
{
	auto_(ring_steps_done) struct ring_steps steps = {};
	int e = ring_steps(msg, nothing, how, -1, &steps);

	array_each (step, &steps.all) {
		if (e == 0 && step->refill)
			e = ring_group_refill(h, step->refill);
		if (e == 0)
			e = advance_step(u, msg, step);
	}
	return e == 0 && msg->surplus > 0 ? send_all(u, msg, (uint32_t)msg->surplus) : e;
}
