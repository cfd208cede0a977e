/*
 * What is registered with an io_uring: files, which are told apart though they are of one path, an
 * eventfd that counts completions, the clock and the number of threads that work for it. Arguments: plain, polled (by a
 * thread of the kernel), single (one thread alone may use it), async (its eventfd is for requests that are not done at
 * once), fork, gone (a registered file is open no more), tagged, bound (threads that work for it have a CPU).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ring.h"

#define SLOTS      5
#define CLOCK_CALL 29u /* IORING_REGISTER_CLOCK */

static void make(const char *kind)
{
	ring_make(!strcmp(kind, "polled")   ? IORING_SETUP_SQPOLL
	          : !strcmp(kind, "single") ? RING_SINGLE
	                                    : 0);
}

/* What a request answers. */
static int request(struct io_uring_sqe sqe)
{
	return ring_request(sqe).res;
}

/* One byte, from where slot SLOT stands. */
static char read_slot(int slot, unsigned how)
{
	static char c;

	check(request((struct io_uring_sqe){ .opcode = IORING_OP_READ,
	                                     .fd = slot,
	                                     .off = UINT64_MAX,
	                                     .addr = (uint64_t)&c,
	                                     .len = 1,
	                                     .flags = (uint8_t)(IOSQE_FIXED_FILE | how) }) == 1);
	return c;
}

/* It comes a little after the completion; where completions wait for this thread it may come twice. */
static bool counted(int event, uint64_t want)
{
	uint64_t n = 0, more;

	do {
		if (read(event, &more, sizeof(more)) == sizeof(more))
			n += more;
		else if (n < want)
			zdtm_nap();
	} while (n < want);
	return u.p.flags & RING_SINGLE ? !want == !n : n == want;
}

static void tag(int fd)
{
	uint64_t tags[] = { 7 };
	struct io_uring_rsrc_register files = { .nr = 1,
		                                .data = (uint64_t)&fd,
		                                .tags = (uint64_t)tags };

	check(reg(IORING_REGISTER_FILES2, &files, sizeof(files)));
}

static int open_at(off_t pos)
{
	int fd = open("file", O_RDWR | O_CREAT, 0600);

	check(fd >= 0 && lseek(fd, pos, SEEK_SET) == pos);
	return fd;
}

/* What was registered before, for requests that ask for an empty slot and such that are not done at once. */
static void other_ways(unsigned workers[2], struct io_uring_file_index_range *range)
{
	uint32_t boottime[4] = { CLOCK_BOOTTIME };

	check(reg(CLOCK_CALL, boottime, 0) || errno == EINVAL); /* 6.12 */
	check(reg(IORING_REGISTER_IOWQ_MAX_WORKERS, workers, 2));
	check(reg(IORING_REGISTER_FILE_ALLOC_RANGE, range, 0));
}

int main(int argc, char **argv)
{
	const char *kind = argc > 1 ? argv[1] : "plain";
	bool async = !strcmp(kind, "async");
	int first = open_at(1), second = open_at(3), event = eventfd(0, EFD_NONBLOCK);
	int other = eventfd(0, EFD_NONBLOCK), slots[SLOTS] = { -1, second, first, -1, -1 };
	unsigned workers[2] = { 3, 5 };
	struct io_uring_file_index_range range = { .off = 3, .len = 2 };
	uint64_t one_cpu = 2;
	pid_t child = -1;

	check(write(first, "bcdefgh", 7) == 7 && lseek(first, 1, SEEK_SET) == 1);
	make(kind);
	if (!strcmp(kind, "bound")) {
		check(reg(IORING_REGISTER_IOWQ_AFF, &one_cpu, sizeof(one_cpu)));
		zdtm_park();
		return zdtm_pass();
	}
	if (!strcmp(kind, "tagged")) {
		tag(first);
		zdtm_park();
		return zdtm_pass();
	}
	check(reg(IORING_REGISTER_FILES, slots, SLOTS));
	other_ways(workers, &range);
	check(reg(async ? IORING_REGISTER_EVENTFD_ASYNC : IORING_REGISTER_EVENTFD, &event, 1));
	check(read_slot(1, 0) == 'd' && counted(event, async ? 0 : 1));
	if (!strcmp(kind, "gone"))
		check(close(second) == 0);
	if (!strcmp(kind, "fork"))
		child = fork();
	ring_rest();
	if (!child) {
		while (!zdtm_released())
			zdtm_nap();
		_exit(0);
	}

	zdtm_park();

	check(counted(event, 0));
	if (!strcmp(kind, "gone"))
		return zdtm_pass();
	check(read_slot(1, 0) == 'e' && read_slot(2, 0) == 'b');
	check(lseek(second, 0, SEEK_CUR) == 5 && lseek(first, 0, SEEK_CUR) == 2);
	check(counted(event, async ? 0 : 2) && counted(other, 0));
	check(read_slot(1, IOSQE_ASYNC) == 'f' && counted(event, 1));
	check(request((struct io_uring_sqe){ .opcode = IORING_OP_OPENAT,
	                                     .fd = AT_FDCWD,
	                                     .addr = (uint64_t) "file",
	                                     .file_index = UINT32_MAX }) == 3);
	workers[0] = workers[1] = 0;
	check(reg(IORING_REGISTER_IOWQ_MAX_WORKERS, workers, 2) && workers[0] == 3 &&
	      workers[1] == 5);
	ring_rest();
	if (child > 0)
		check(waitpid(child, NULL, 0) == child);
	return zdtm_pass();
}
