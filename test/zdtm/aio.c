/*
 * AIO contexts: an idle one, one with events that wait, one whose ring has come round. Their ids
 * stay, events come in order and with their data, new requests work until the ring is full.
 * "direct": requests are under way all the time. "poll": some wait for a file to be ready, among them one whose struct
 * iocb has been used for something else since, and one that an eventfd counts; "gone": one waits for a file that
 * is closed.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "zdtm.h"

#define REQUESTS 100
#define DEPTH    8
#define SIZE     (1 << 20)

static char bufs[REQUESTS][8];

static aio_context_t setup(void)
{
	aio_context_t ctx = 0;

	check(syscall(SYS_io_setup, REQUESTS, &ctx) == 0);
	return ctx;
}

/* Read 8 bytes of FD at 8 * N, event data N. */
static void submit(aio_context_t ctx, int fd, int n)
{
	struct iocb cb = {
		.aio_data = (uint64_t)n,
		.aio_lio_opcode = IOCB_CMD_PREAD,
		.aio_fildes = (uint32_t)fd,
		.aio_buf = (uint64_t)bufs[n],
		.aio_nbytes = 8,
		.aio_offset = 8 * n,
	};
	struct iocb *list = &cb;

	check(syscall(SYS_io_submit, ctx, 1, &list) == 1);
}

static void fetch(aio_context_t ctx, int n)
{
	struct io_event e = {};

	check(syscall(SYS_io_getevents, ctx, 1, 1, &e, NULL) == 1);
	check(e.data == (uint64_t)n && e.res == 8 && bufs[n][0] == (char)n);
}

static void empty(aio_context_t ctx)
{
	struct timespec none = {};
	struct io_event e;

	check(syscall(SYS_io_getevents, ctx, 0, 1, &e, &none) == 0);
}

/* Whatever is under way on the disk while it is dumped: each request has its event. */
static int direct(void)
{
	aio_context_t ctx = setup();
	int fd = open("file", O_RDWR | O_CREAT | O_DIRECT, 0600), n = 0;
	char *buf = aligned_alloc(4096, DEPTH * SIZE);
	struct io_event events[DEPTH];
	bool busy[DEPTH] = {};

	if (fd < 0)
		return 77; /* the bats file has looked */
	check(pwrite(fd, memset(buf, 'x', DEPTH * SIZE), DEPTH * SIZE, 0) == DEPTH * SIZE);
	zdtm_parked();
	for (bool last = false;;) {
		struct timespec most = { .tv_sec = 20 };
		long got;

		last = last || zdtm_released();
		for (int i = 0; !last && i < DEPTH; i++) {
			struct iocb cb = { .aio_data = (uint64_t)i,
				           .aio_lio_opcode = IOCB_CMD_PREAD,
				           .aio_fildes = (uint32_t)fd,
				           .aio_buf = (uint64_t)(buf + i * SIZE),
				           .aio_nbytes = SIZE,
				           .aio_offset = i * SIZE };
			struct iocb *list = &cb;

			if (busy[i])
				continue;
			memset(buf + i * SIZE, 0, SIZE);
			check(syscall(SYS_io_submit, ctx, 1, &list) == 1);
			busy[i] = true;
			n++;
		}
		if (!n)
			break;
		got = syscall(SYS_io_getevents, ctx, 1, DEPTH, events, &most);
		check(got > 0);
		for (long i = 0; i < got; i++) {
			check(events[i].res == SIZE && busy[events[i].data]);
			check(buf[events[i].data * SIZE + SIZE - 1] == 'x');
			busy[events[i].data] = false;
			n--;
		}
	}
	return zdtm_pass();
}

static void submit_poll(aio_context_t ctx, struct iocb *cb, int fd, uint64_t data, int event)
{
	*cb = (struct iocb){ .aio_data = data,
		             .aio_lio_opcode = IOCB_CMD_POLL,
		             .aio_fildes = (uint32_t)fd,
		             .aio_buf = POLLIN };
	if (event >= 0) {
		cb->aio_flags = IOCB_FLAG_RESFD;
		cb->aio_resfd = (uint32_t)event;
	}
	check(syscall(SYS_io_submit, ctx, 1, &cb) == 1);
}

static void fetch_poll(aio_context_t ctx, const struct iocb *cb, uint64_t data)
{
	struct io_event e = {};

	check(syscall(SYS_io_getevents, ctx, 1, 1, &e, NULL) == 1);
	check(e.data == data && e.obj == (uint64_t)cb && (e.res & POLLIN));
}

/* The last one of them is cancelled in the end. */
static int polling(bool gone)
{
	aio_context_t ctx = setup(), other = setup();
	static struct iocb cbs[4];
	int ends[4][2], event = eventfd(0, EFD_NONBLOCK),
			file = open("file", O_RDWR | O_CREAT, 0600);
	struct io_event e;
	uint64_t n;

	for (int i = 0; i < 4; i++)
		check(pipe(ends[i]) == 0);
	check(pwrite(file, memset(bufs[1], 1, 8), 8, 8) == 8);
	submit(ctx, file, 1); /* its event waits */
	submit_poll(ctx, &cbs[0], ends[0][0], 100, -1);
	submit_poll(ctx, &cbs[1], ends[1][0], 101, event);
	submit_poll(other, &cbs[2], dup(ends[2][0]), 102, -1);
	submit_poll(other, &cbs[3], ends[3][0], 103, -1);
	memset(&cbs[1], 0x5a, sizeof(cbs[1]));
	if (gone)
		check(close(ends[3][0]) == 0);

	zdtm_park();

	if (gone)
		return zdtm_pass();
	fetch(ctx, 1);
	empty(ctx);
	empty(other);
	check(*(unsigned char *)&cbs[1] == 0x5a &&
	      ((unsigned char *)&cbs[1])[sizeof(cbs[1]) - 1] == 0x5a);
	check(read(event, &n, sizeof(n)) < 0);
	for (int i = 0; i < 3; i++)
		check(write(ends[i][1], "x", 1) == 1);
	fetch_poll(ctx, &cbs[0], 100);
	fetch_poll(ctx, &cbs[1], 101);
	check(read(event, &n, sizeof(n)) == sizeof(n) && n == 1);
	fetch_poll(other, &cbs[2], 102);
	check(syscall(SYS_io_cancel, other, &cbs[3], &e) < 0 && errno == EINPROGRESS);
	check(syscall(SYS_io_getevents, other, 1, 1, &e, NULL) == 1 && e.data == 103);
	return zdtm_pass();
}

int main(int argc, char **argv)
{
	aio_context_t idle = setup(), some = setup(), round = setup();
	int fd = open("file", O_RDWR | O_CREAT, 0600);

	if (argc > 1 && strcmp(argv[1], "direct"))
		return polling(!strcmp(argv[1], "gone"));
	if (argc > 1)
		return direct();
	for (int i = 0; i < REQUESTS; i++)
		check(pwrite(fd, memset(bufs[0], i, 8), 8, 8 * i) == 8);
	for (int i = 0; i < 5; i++)
		submit(some, fd, i);
	fetch(some, 0);
	fetch(some, 1);
	/* a ring has room for some more than it was asked for: 255 or so here */
	for (int i = 0; i < 240; i++) {
		submit(round, fd, i % REQUESTS);
		fetch(round, i % REQUESTS);
	}
	for (int i = 0; i < 50; i++)
		submit(round, fd, i);

	zdtm_park();

	empty(idle);
	for (int i = 2; i < 5; i++)
		fetch(some, i);
	empty(some);
	for (int i = 50; i < REQUESTS; i++)
		submit(round, fd, i);
	for (int i = 0; i < REQUESTS; i++)
		fetch(round, i);
	empty(round);
	for (int k = 0; k < 10; k++) {
		for (int i = 0; i < REQUESTS; i++)
			submit(idle, fd, i);
		for (int i = 0; i < REQUESTS; i++)
			fetch(idle, i);
	}
	check(syscall(SYS_io_destroy, idle) == 0 && syscall(SYS_io_destroy, some) == 0);
	return zdtm_pass();
}
