#include "lib/uring.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/fd.h"

#define PAGE        4096u
#define PAGEMAP_SET (UINT64_C(1) << 63)
#define SQE_SIZE    sizeof(struct io_uring_sqe)

int uring_make(struct uring *u, uint32_t sq_entries, uint32_t cq_entries, uint32_t flags)
{
	u->params = (struct io_uring_params){ .flags = flags | IORING_SETUP_CQSIZE,
		                              .cq_entries = cq_entries };
	u->fd = (int)syscall(SYS_io_uring_setup, sq_entries, &u->params);
	return u->fd < 0 ? -errno : 0;
}

/* The array of indexes follows the completions; of a ring without one there is no offset. */
size_t uring_ring_size(const struct uring *u, bool array)
{
	size_t cqes =
		u->params.cq_off.cqes + (size_t)u->params.cq_entries * sizeof(struct io_uring_cqe);

	return array ? u->params.sq_off.array + (size_t)u->params.sq_entries * sizeof(uint32_t)
	             : cqes;
}

size_t uring_sqes_size(const struct uring *u)
{
	return (size_t)u->params.sq_entries * SQE_SIZE;
}

/* How many pages from AT on are there: the kernel maps all that a region has at once. */
static int pages_there(const uint8_t *at, size_t max, size_t *ret)
{
	auto_close int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry;

	if (fd < 0)
		return -errno;
	for (*ret = 0; *ret < max; (*ret)++) {
		int r = pread_full(fd, &entry, sizeof(entry),
		                   (off_t)(((uintptr_t)at / PAGE + *ret) * sizeof(entry)));

		if (r < 0)
			return r;
		if (!(entry & PAGEMAP_SET))
			break;
	}
	return 0;
}

/* Twice as much as it has, if nobody has asked for larger entries. */
static size_t ring_room(const struct uring *u)
{
	return 2 * pages_of(uring_ring_size(u, false) + uring_sqes_size(u)) * PAGE;
}

static size_t sqes_room(const struct uring *u)
{
	return 2 * pages_of(uring_sqes_size(u)) * PAGE;
}

static int map(int fd, size_t size, uint64_t offset, uint8_t **ret, size_t *ret_pages)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd,
	               (off_t)offset);

	if (p == MAP_FAILED)
		return -errno;
	*ret = p;
	return pages_there(p, size / PAGE, ret_pages);
}

int uring_map(struct uring *u)
{
	int r = map(u->fd, ring_room(u), IORING_OFF_SQ_RING, &u->ring, &u->ring_pages);

	return r < 0 ? r : map(u->fd, sqes_room(u), IORING_OFF_SQES, &u->sqes, &u->sqes_pages);
}

void uring_done(struct uring *u)
{
	if (u->ring)
		munmap(u->ring, ring_room(u));
	if (u->sqes)
		munmap(u->sqes, sqes_room(u));
	closep(&u->fd);
	*u = URING_NONE;
}
