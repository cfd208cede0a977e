/*
 * An io_uring: requests go on behind those that were made, completions that nobody has
 * fetched wait, what is prepared and not submitted stays so. Arguments: plain, noarray, late
 * (its first use comes after), one (it was used once), round (it has come round), async (threads of
 * the kernel have worked for it), buffers, slots (a table for files, empty), fork, soon, writes and polled_writes (it
 * is at work all the time); those that are refused: see refusals.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zdtm.h"

#ifndef IORING_SETUP_NO_SQARRAY
#define IORING_SETUP_NO_SQARRAY (1U << 16)
#endif
#define ENTRIES 8u

static struct {
	int fd;
	struct io_uring_params p;
	uint8_t *ring;
	struct io_uring_sqe *sqes;
	uint32_t tail; /* ours: what is prepared */
} u;

static uint32_t *at(uint32_t offset)
{
	return (uint32_t *)(void *)(u.ring + offset);
}

static void make(uint32_t flags)
{
	size_t size;

	u.p.flags = flags;
	u.p.sq_thread_idle = 20;
	u.p.sq_thread_cpu = 1;
	u.fd = (int)syscall(SYS_io_uring_setup, ENTRIES, &u.p);
	if (u.fd < 0 && (errno == ENOSYS || errno == EPERM || errno == EINVAL))
		_exit(77);
	check(u.fd >= 0);
	size = u.p.cq_off.cqes + u.p.cq_entries * sizeof(struct io_uring_cqe) +
	       u.p.sq_entries * sizeof(uint32_t);
	u.ring = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, u.fd,
	              IORING_OFF_SQ_RING);
	u.sqes = mmap(NULL, ENTRIES * sizeof(*u.sqes), PROT_READ | PROT_WRITE, MAP_SHARED, u.fd,
	              IORING_OFF_SQES);
	check(u.ring != MAP_FAILED && u.sqes != MAP_FAILED);
}

static struct io_uring_sqe *prepare(uint8_t opcode, uint64_t data)
{
	uint32_t i = u.tail++ % ENTRIES;
	struct io_uring_sqe *sqe = &u.sqes[i];

	*sqe = (struct io_uring_sqe){ .opcode = opcode, .fd = -1, .user_data = data };
	if (!(u.p.flags & IORING_SETUP_NO_SQARRAY))
		at(u.p.sq_off.array)[(u.tail - 1) % ENTRIES] = i;
	__atomic_store_n(at(u.p.sq_off.tail), u.tail, __ATOMIC_RELEASE);
	return sqe;
}

/* A thread that polls the ring takes them itself, unless it sleeps. */
static void submit(unsigned n)
{
	if (u.p.flags & IORING_SETUP_SQPOLL) {
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (__atomic_load_n(at(u.p.sq_off.flags), __ATOMIC_ACQUIRE) & IORING_SQ_NEED_WAKEUP)
			check(syscall(SYS_io_uring_enter, u.fd, 0, 0, IORING_ENTER_SQ_WAKEUP, NULL,
			              0) == 0);
		return;
	}
	check(syscall(SYS_io_uring_enter, u.fd, n, 0, 0, NULL, 0) == n);
}

static void fetch(uint64_t data, int res)
{
	uint32_t head = *at(u.p.cq_off.head);
	struct io_uring_cqe *cqe;

	if (head == __atomic_load_n(at(u.p.cq_off.tail), __ATOMIC_ACQUIRE))
		check(syscall(SYS_io_uring_enter, u.fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0) ==
		      0);
	cqe = (struct io_uring_cqe *)(void *)(u.ring + u.p.cq_off.cqes) + head % u.p.cq_entries;
	if (cqe->user_data != data || cqe->res != res)
		fprintf(stderr, "request %llu ended with %d, not %llu with %d\n",
		        (unsigned long long)cqe->user_data, cqe->res, (unsigned long long)data,
		        res);
	check(cqe->user_data == data && cqe->res == res);
	__atomic_store_n(at(u.p.cq_off.head), head + 1, __ATOMIC_RELEASE);
}

static void empty(void)
{
	while (u.p.flags & IORING_SETUP_SQPOLL &&
	       __atomic_load_n(at(u.p.sq_off.head), __ATOMIC_ACQUIRE) != u.tail)
		zdtm_nap();
	check(*at(u.p.cq_off.head) == *at(u.p.cq_off.tail));
	check(*at(u.p.sq_off.head) == u.tail && *at(u.p.sq_off.tail) == u.tail);
}

static void nothing(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		prepare(IORING_OP_NOP, i);
		submit(1);
		fetch(i, 0);
	}
}

static void read_file(int fd, char *buf, uint64_t data, uint8_t flags)
{
	struct io_uring_sqe *sqe = prepare(IORING_OP_READ, data);

	sqe->fd = fd;
	sqe->addr = (uint64_t)buf;
	sqe->len = 5;
	sqe->flags = flags;
	submit(1);
}

/* Fixed buffer 1. */
static void read_fixed(int fd, char *buf)
{
	struct io_uring_sqe *sqe = prepare(IORING_OP_READ_FIXED, 77);

	memset(buf, 0, 5);
	sqe->fd = fd;
	sqe->addr = (uint64_t)buf;
	sqe->len = 5;
	sqe->buf_index = 1;
	submit(1);
	fetch(77, 5);
	check(!memcmp(buf, "hello", 5));
}

static void reg(unsigned opcode, void *arg, unsigned n)
{
	check(syscall(SYS_io_uring_register, u.fd, opcode, arg, n) == 0);
}

/* A request that ends by itself. */
static void timeout(void)
{
	static struct {
		int64_t sec, nsec;
	} half = { 0, 500000000 };
	struct io_uring_sqe *sqe = prepare(IORING_OP_TIMEOUT, 6);

	sqe->addr = (uint64_t)&half;
	sqe->len = 1;
	submit(1);
}

static void sleeps(void)
{
	while (u.p.flags & IORING_SETUP_SQPOLL &&
	       !(__atomic_load_n(at(u.p.sq_off.flags), __ATOMIC_ACQUIRE) & IORING_SQ_NEED_WAKEUP))
		zdtm_nap();
}

/* What a thread of the kernel does for us it may do with our rights only: read the file of another user. */
static void drop_rights(void)
{
	int fd = open("secret", O_RDWR | O_CREAT, 0600);

	check(fd >= 0 && close(fd) == 0 && setgid(65534) == 0 && setuid(65534) == 0);
}

static void no_rights(void)
{
	struct io_uring_sqe *sqe = prepare(IORING_OP_OPENAT, 90);

	sqe->fd = AT_FDCWD;
	sqe->addr = (uint64_t) "secret";
	sqe->open_flags = O_RDONLY;
	submit(1);
	fetch(90, -EACCES);
}

static void watched(int ep)
{
	struct epoll_event event;

	check(epoll_wait(ep, &event, 1, 20000) == 1 && event.data.u64 == 5);
}

/* A polled ring has come to rest, so that it can be saved. */
static int watch(void)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = 5 };
	int ep = epoll_create1(0);

	check(ep >= 0 && epoll_ctl(ep, EPOLL_CTL_ADD, u.fd, &event) == 0);
	return ep;
}

static void poll_forever(void)
{
	static int ends[2];
	struct io_uring_sqe *sqe = prepare(IORING_OP_POLL_ADD, 5);

	check(pipe(ends) == 0);
	sqe->fd = ends[0];
	sqe->poll32_events = 1;
	submit(1);
}

/* A group of buffers, of the one sort or the other. */
static void provide(char *buf)
{
	struct io_uring_sqe *sqe = prepare(IORING_OP_PROVIDE_BUFFERS, 9);

	sqe->fd = 2; /* so many */
	sqe->addr = (uint64_t)buf;
	sqe->len = 16;
	submit(1);
	fetch(9, 0);
}

static void provide_ring(void)
{
	static struct io_uring_buf_reg buffers = { .ring_entries = 8, .bgid = 300 };

	buffers.ring_addr = (uint64_t)mmap(NULL, 4096, PROT_READ | PROT_WRITE,
	                                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	reg(IORING_REGISTER_PBUF_RING, &buffers, 1);
}

/* A request that is waiting, until the test has seen enough. */
static int refused(const char *kind)
{
	static char space[32];

	if (!strcmp(kind, "poll"))
		poll_forever();
	else if (!strcmp(kind, "provided"))
		provide(space);
	else if (!strcmp(kind, "provided_ring"))
		provide_ring();
	else if (!strcmp(kind, "closed"))
		check(close(u.fd) == 0);
	zdtm_park();
	return zdtm_pass();
}

static int flags_of(const char *kind)
{
	static const struct {
		const char *kind;
		uint32_t flags;
	} flags[] = { { "noarray", IORING_SETUP_NO_SQARRAY },
		      { "polled", IORING_SETUP_SQPOLL },
		      { "polled_pending", IORING_SETUP_SQPOLL },
		      { "polled_user", IORING_SETUP_SQPOLL },
		      { "polled_cpu", IORING_SETUP_SQPOLL | IORING_SETUP_SQ_AFF },
		      { "polled_late", IORING_SETUP_SQPOLL },
		      { "polled_fork", IORING_SETUP_SQPOLL },
		      { "polled_writes", IORING_SETUP_SQPOLL },
		      { "iopoll", IORING_SETUP_IOPOLL },
		      { "disabled", IORING_SETUP_R_DISABLED },
		      { "wide", IORING_SETUP_CQE32 | IORING_SETUP_SQE128 } };

	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		if (!strcmp(flags[i].kind, kind))
			return (int)flags[i].flags;
	return 0;
}

static bool is_refused(const char *kind)
{
	static const char *const kinds[] = { "poll", "closed",   "disabled",
		                             "wide", "provided", "provided_ring" };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (!strcmp(kinds[i], kind))
			return true;
	return false;
}

/* It takes no requests but such to devices, and such to do nothing. */
static int iopoll(void)
{
	struct io_uring_getevents_arg arg = { .ts = 8 };

	nothing(13);
	prepare(IORING_OP_NOP, 44);
	submit(1); /* its completion waits */

	zdtm_park();

	fetch(44, 0);
	nothing(20);
	empty();
	check(syscall(SYS_io_uring_enter, u.fd, 0, 0, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG,
	              &arg, sizeof(arg)) == 0);
	return zdtm_pass();
}

/* The next completion, whichever it is of: threads of the kernel may overtake each other. */
static uint64_t fetch_any(int res)
{
	uint32_t head = *at(u.p.cq_off.head);
	const struct io_uring_cqe *cqe =
		(struct io_uring_cqe *)(void *)(u.ring + u.p.cq_off.cqes) + head % u.p.cq_entries;
	uint64_t data;

	while (head == __atomic_load_n(at(u.p.cq_off.tail), __ATOMIC_ACQUIRE))
		check(syscall(SYS_io_uring_enter, u.fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0) ==
		      0);
	check(cqe->res == res);
	data = cqe->user_data;
	__atomic_store_n(at(u.p.cq_off.head), head + 1, __ATOMIC_RELEASE);
	return data;
}

/* By threads of the kernel, which go on while we are stopped. Each round fills the file with other bytes. */
static void write_on(int fd)
{
	static char much[1 << 20], back[1 << 20];

	for (char round = 1; !zdtm_released(); round++) {
		unsigned seen = 0;

		memset(much, round, sizeof(much));
		for (unsigned i = 0; i < ENTRIES; i++) {
			struct io_uring_sqe *sqe = prepare(IORING_OP_WRITE, i);

			sqe->fd = fd;
			sqe->addr = (uint64_t)much;
			sqe->len = sizeof(much);
			sqe->off = i * sizeof(much);
			sqe->flags = IOSQE_ASYNC;
		}
		submit(ENTRIES);
		for (unsigned i = 0; i < ENTRIES; i++)
			seen |= 1u << fetch_any(sizeof(much));
		check(seen == (1u << ENTRIES) - 1);
		for (unsigned i = 0; i < ENTRIES; i++) {
			check(pread(fd, back, sizeof(back), i * sizeof(back)) == sizeof(back));
			check(!memcmp(back, much, sizeof(much)));
		}
	}
}

static void wait_child(pid_t pid)
{
	int status;

	check(waitpid(pid, &status, 0) == pid && status == 0);
}

int main(int argc, char **argv)
{
	const char *kind = argc > 1 ? argv[1] : "plain";
	char *buf = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct iovec iov[3] = { { buf, 64 }, { buf + 1024, 64 }, {} };
	int fd = open("file", O_RDWR | O_CREAT, 0600), none[3] = { -1, -1, -1 };
	bool late = strstr(kind, "late"), writes = strstr(kind, "writes"),
	     polled = !strncmp(kind, "polled", 6);
	pid_t child = 0;
	int ep;

	check(buf != MAP_FAILED && fd >= 0 && pwrite(fd, "hello", 5, 0) == 5);
	if (!strcmp(kind, "polled_user"))
		drop_rights();
	make((uint32_t)flags_of(kind));
	ep = watch();
	if (is_refused(kind))
		return refused(kind);
	if (!strcmp(kind, "iopoll"))
		return iopoll();
	if (!strcmp(kind, "soon"))
		timeout();
	if (!strcmp(kind, "one"))
		nothing(1);
	if (!strcmp(kind, "round"))
		nothing(1000);
	if (!strcmp(kind, "async")) {
		read_file(fd, buf, 3, IOSQE_ASYNC);
		fetch(3, 5);
	}
	if (!strcmp(kind, "buffers"))
		reg(IORING_REGISTER_BUFFERS, iov, 3);
	if (!strcmp(kind, "slots"))
		reg(IORING_REGISTER_FILES, none, 3);
	if (!late && !writes && strcmp(kind, "soon") && strcmp(kind, "one")) {
		nothing(3);
		read_file(fd, buf, 42, 0); /* its completion waits */
		read_file(-1, buf, 43, 0);
		sleeps();
		if (!polled || strstr(kind, "pending"))
			prepare(IORING_OP_NOP, 44); /* and this is not submitted */
	}
	if (strstr(kind, "fork"))
		child = fork();
	sleeps();

	if (strstr(kind, "fork") && !child) {
		while (!zdtm_released())
			zdtm_nap();
		_exit(0);
	}
	if (writes) {
		zdtm_parked();
		write_on(fd);
		empty();
		return zdtm_pass();
	}
	zdtm_park();

	if (!strcmp(kind, "polled_fork"))
		wait_child(child);
	if (!strcmp(kind, "polled_fork"))
		return zdtm_pass();
	if (!strcmp(kind, "soon"))
		fetch(6, -ETIME);
	else if (!late && strcmp(kind, "one")) {
		check(!memcmp(buf, "hello", 5));
		memset(buf, 0, 5);
		watched(ep);
		fetch(42, 5);
		fetch(43, -EBADF);
		if (polled && !strstr(kind, "pending"))
			prepare(IORING_OP_NOP, 44);
		submit(1);
		fetch(44, 0);
	}
	empty();
	nothing(20);
	read_file(fd, buf, 45, 0);
	fetch(45, 5);
	check(!memcmp(buf, "hello", 5));
	if (!strcmp(kind, "buffers"))
		read_fixed(fd, buf + 1024);
	if (!strcmp(kind, "slots")) {
		struct io_uring_files_update update = { .offset = 2, .fds = (uint64_t)&fd };

		check(syscall(SYS_io_uring_register, u.fd, IORING_REGISTER_FILES_UPDATE, &update,
		              1) == 1);
		read_file(2, buf, 46, IOSQE_FIXED_FILE);
		fetch(46, 5);
	}
	empty();
	if (!strcmp(kind, "polled_user"))
		no_rights();
	if (polled)
		sleeps(); /* or it polls for ever */
	if (child)
		wait_child(child);
	return zdtm_pass();
}
