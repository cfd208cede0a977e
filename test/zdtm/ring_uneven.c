/*
 * An io_uring whose requests had more completions than there were requests, or fewer. Arguments: more (multishot),
 * fewer (IOSQE_CQE_SKIP_SUCCESS), single, defer (more, of one that one thread alone may use), polled (more, by a
 * thread of the kernel), iopoll (messages of another ring), array (fewer and more, without an array of indexes);
 * hidden (as many, but a request is under way) and many (a few requests of one that defers had too many) are refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>

#include "ring.h"

#define EVENTS 7

static void put(struct io_uring_sqe sqe)
{
	uint32_t tail = *at(u.p.sq_off.tail), i = tail % RING_ENTRIES;

	u.sqes[i] = sqe;
	if (!(u.p.flags & RING_NOARRAY))
		at(u.p.sq_off.array)[i] = i;
	__atomic_store_n(at(u.p.sq_off.tail), tail + 1, __ATOMIC_SEQ_CST);
	check(syscall(SYS_io_uring_enter, u.fd, 1, 0, IORING_ENTER_SQ_WAKEUP, NULL, 0) == 1);
	while (__atomic_load_n(at(u.p.sq_off.head), __ATOMIC_SEQ_CST) != tail + 1)
		zdtm_nap();
}

static struct io_uring_cqe take(void)
{
	uint32_t head = *at(u.p.cq_off.head);
	struct io_uring_cqe cqe;

	while (head == __atomic_load_n(at(u.p.cq_off.tail), __ATOMIC_SEQ_CST))
		check(syscall(SYS_io_uring_enter, u.fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0) ==
		      0);
	cqe = ((struct io_uring_cqe *)(void *)(u.ring + u.p.cq_off.cqes))[head % u.p.cq_entries];
	__atomic_store_n(at(u.p.cq_off.head), head + 1, __ATOMIC_SEQ_CST);
	return cqe;
}

static void nothing(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		check(ring_request((struct io_uring_sqe){ .user_data = i }).res == 0);
}

/* One request, N completions, and it has ended: one more, and one for who has ended it. */
static void multishot(unsigned n)
{
	int event = eventfd(0, 0);
	uint64_t one = 1;

	put((struct io_uring_sqe){ .opcode = IORING_OP_POLL_ADD,
	                           .fd = event,
	                           .len = IORING_POLL_ADD_MULTI,
	                           .poll32_events = 1,
	                           .user_data = 50 });
	for (unsigned i = 0; i < n; i++) {
		struct io_uring_cqe cqe;

		check(write(event, &one, sizeof(one)) == sizeof(one));
		cqe = take();
		check(cqe.user_data == 50 && cqe.res == 1 && cqe.flags & IORING_CQE_F_MORE);
		check(read(event, &one, sizeof(one)) == sizeof(one));
		one = 1;
	}
	put((struct io_uring_sqe){ .opcode = IORING_OP_POLL_REMOVE, .addr = 50, .user_data = 51 });
	check(take().user_data + take().user_data == 50 + 51);
	check(close(event) == 0);
}

static void without(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		put((struct io_uring_sqe){ .flags = IOSQE_CQE_SKIP_SUCCESS });
}

/* Another ring, and what it has sent. */
static void messages(unsigned n)
{
	int fd = u.fd;
	struct io_uring_params p = u.p;
	uint8_t *ring = u.ring;
	struct io_uring_sqe *sqes = u.sqes;

	ring_make(0);
	for (unsigned i = 0; i < n; i++)
		check(ring_request(
			      (struct io_uring_sqe){
				      .opcode = IORING_OP_MSG_RING, .fd = fd, .len = i, .off = 52 })
		              .res == 0);
	check(close(u.fd) == 0);
	munmap(u.ring, 1);
	munmap(u.sqes, 1);
	u.fd = fd, u.p = p, u.ring = ring, u.sqes = sqes;
	for (unsigned i = 0; i < n; i++)
		check(take().user_data == 52);
}

/* A timeout is in no poll, and there were as many completions as requests. */
static void under_way(void)
{
	static const int64_t hours[2] = { 36000, 0 };

	without(1);
	multishot(2);
	put((struct io_uring_sqe){
		.opcode = IORING_OP_TIMEOUT, .addr = (uint64_t)hours, .len = 1 });
}

static uint32_t flags_of(const char *kind)
{
	return !strcmp(kind, "single") || !strcmp(kind, "array") ? RING_SINGLE & ~(1U << 13)
	       : !strcmp(kind, "defer") || !strcmp(kind, "many") ? RING_SINGLE
	       : !strcmp(kind, "polled")                         ? IORING_SETUP_SQPOLL
	       : !strcmp(kind, "iopoll")                         ? IORING_SETUP_IOPOLL
	                                                         : 0;
}

static void use(const char *kind)
{
	if (!strcmp(kind, "fewer")) {
		nothing(3);
		without(9);
	} else if (!strcmp(kind, "iopoll")) {
		nothing(1);
		messages(100);
	} else if (!strcmp(kind, "hidden")) {
		under_way();
	} else {
		if (strcmp(kind, "many"))
			nothing(20);
		multishot(EVENTS);
		if (!strcmp(kind, "polled") || !strcmp(kind, "array"))
			without(EVENTS + 3);
	}
}

int main(int argc, char **argv)
{
	const char *kind = argc > 1 ? argv[1] : "more";

	ring_make(flags_of(kind) | (!strcmp(kind, "array") ? RING_NOARRAY : 0));
	use(kind);
	ring_rest();

	zdtm_park();

	if (!strcmp(kind, "hidden"))
		return zdtm_pass();
	nothing(9);
	if (strcmp(kind, "iopoll")) {
		multishot(2);
		without(2);
	}
	nothing(1);
	check(*at(u.p.cq_off.head) == *at(u.p.cq_off.tail));
	ring_rest();
	return zdtm_pass();
}
