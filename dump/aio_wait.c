/*
 * Nobody tells what requests of a context are under way. Those to files that are open with O_DIRECT
 * are the ones that a disk carries out by itself (others are carried out as they are submitted), and a disk
 * tells how many requests it is at, whoever they are from: when it is at none, and the tail of no ring
 * has moved for a moment, there are none. A file system that is on no one disk (btrfs, NFS) tells nothing: there
 * the moment is all.
 */
#include "dump/aio_wait.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "dump/memory_map.h"
#include "lib/cleanup.h"
#include "lib/fd.h"

#define NAP_NS   500000
#define QUIET_NS UINT64_C(5000000)    /* what is done is told by then */
#define MOST_NS  UINT64_C(2000000000) /* a disk that others use may never rest */
#define TAIL     12                   /* in struct aio_ring */

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

uint64_t aio_tails(const struct task *t)
{
	uint64_t sum = 0;

	array_each (v, &t->vmas) {
		uint32_t tail;

		if (vma_class(v) == VMA_AIO &&
		    pread_full(t->mem, &tail, sizeof(tail), (off_t)v->start + TAIL) == 0)
			sum = sum * 31 + tail;
	}
	return sum;
}

/* A number in a file of DEV, FIELD others stand before it; 0: there is none. */
static unsigned long block_number(dev_t dev, const char *name, unsigned field)
{
	auto_free char *text = NULL;
	char path[64], *at;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s", major(dev), minor(dev), name);
	if (file_read(AT_FDCWD, path, &text) <= 0)
		return 0;
	for (at = text; field; field--)
		strtoul(at, &at, 10);
	return strtoul(at, NULL, 10);
}

/* "stat" counts what waits for its turn, too, but not where statistics are switched off. */
static bool is_at_work(dev_t dev)
{
	return block_number(dev, "stat", 8) || block_number(dev, "inflight", 0) ||
	       block_number(dev, "inflight", 1);
}

static bool disks_work(const struct dump *d)
{
	dev_t last = 0;

	array_each (f, &d->files) {
		dev_t dev = S_ISBLK(f->st.st_mode) ? f->st.st_rdev : f->st.st_dev;

		if (!(f->flags & O_DIRECT) || dev == last ||
		    (!S_ISREG(f->st.st_mode) && !S_ISBLK(f->st.st_mode)))
			continue;
		if (is_at_work(dev))
			return true;
		last = dev;
	}
	return false;
}

int aio_wait(const struct dump *d, const struct task *t)
{
	uint64_t begin = now(), since = begin, seen = aio_tails(t);

	for (;;) {
		uint64_t at = now(), tail = aio_tails(t);

		if (tail != seen || disks_work(d))
			since = at;
		else if (at - since >= QUIET_NS)
			return 0;
		if (at - begin >= MOST_NS)
			return -EBUSY;
		seen = tail;
		nanosleep(&(struct timespec){ .tv_nsec = NAP_NS }, NULL);
	}
}
