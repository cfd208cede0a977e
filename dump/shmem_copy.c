/*
 * Shared anonymous memory of a caller who may not follow map_files (proc(5)): the
 * object cannot be opened, only be seen through the mappings of the tree. A
 * memfd of ours with the same content stands in for it, made while the tree stands still.
 *
 * To read what is not there would make it, at the charge of the target: mincore(2),
 * called in it, tells what is. That does not know of pages in swap: where any swap is in
 * use, all are read. What nobody of the tree has mapped any more is not seen, and
 * cannot be reached by the tree either.
 */
#define _GNU_SOURCE
#include "dump/shmem_copy.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dump/memory_map.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"

#define PAGE   UINT64_C(4096)
#define BUFFER (256 * PAGE)

bool shmem_copied(const struct vma *v)
{
	return v->shared && !(v->flags & VMF(ht)) && vma_class(v) == VMA_SHMEM &&
	       (!strncmp(v->name, "/dev/zero", 9) || !strncmp(v->name, "[anon_shmem:", 12));
}

static bool same_object(const struct vma *a, const struct vma *b)
{
	return a->shared && a->dev == b->dev && a->ino == b->ino;
}

/* Of the object, as far as the tree can reach it. */
static uint64_t reach(const struct dump *d, const struct vma *v)
{
	uint64_t end = 0;

	array_each (t, &d->tasks)
		array_each (w, &t->vmas)
			if (same_object(v, w) && w->offset + (w->end - w->start) > end)
				end = w->offset + (w->end - w->start);
	return end;
}

int shmem_stand_in(const struct dump *d, const struct vma *v)
{
	auto_close int fd = memfd_create("crtool", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)reach(d, v)) < 0)
		return -errno;
	return take_fd(&fd);
}

static bool swap_in_use(void)
{
	struct sysinfo info;

	return sysinfo(&info) < 0 || info.totalswap != info.freeswap;
}

/* SIZE bytes at START of the target to OFFSET of the stand-in. */
static int copy(const struct task *t, uint64_t start, uint64_t size, int fd, uint64_t offset,
                char *buf)
{
	for (uint64_t done = 0; done < size;) {
		size_t n = size - done < BUFFER ? size - done : BUFFER;
		int r = pread_full(t->mem, buf, n, (off_t)(start + done));

		if (r == 0)
			r = pwrite_full(fd, buf, n, (off_t)(offset + done));
		if (r < 0)
			return r;
		done += n;
	}
	return 0;
}

/* What of SIZE bytes at START is there, a byte for each page into PRESENT. */
static int ask_present(struct task *t, uint64_t start, uint64_t size, uint64_t at,
                       unsigned char *present)
{
	const uint64_t args[6] = { start, size, at };
	int64_t result = 0;
	int r = parasite_call(&t->parasite, SYS_mincore, args, &result);

	if (r == 0 && result < 0)
		r = (int)result;
	return r < 0 ? r : pread_full(t->mem, present, size / PAGE, (off_t)at);
}

/* Is the page at OFFSET in the stand-in already, by way of another mapping? */
static bool have(int fd, uint64_t offset)
{
	return lseek(fd, (off_t)offset, SEEK_DATA) == (off_t)offset;
}

static int copy_part(struct task *t, const struct vma *v, uint64_t start,
                     const unsigned char *present, uint64_t pages, int fd, char *buf)
{
	uint64_t offset = v->offset + (start - v->start);

	for (uint64_t i = 0, n; i < pages; i += n) {
		bool wanted = present[i] & 1 && !have(fd, offset + i * PAGE);
		int r;

		for (n = 1; wanted && i + n < pages && present[i + n] & 1; n++)
			continue;
		if (!wanted)
			continue;
		r = copy(t, start + i * PAGE, n * PAGE, fd, offset + i * PAGE, buf);
		if (r < 0)
			return r;
	}
	return 0;
}

int shmem_copy(struct task *t, const struct vma *v, int fd, uint64_t at)
{
	unsigned char present[SHMEM_COPY_ROOM];
	auto_free char *buf = malloc(BUFFER);
	bool all = swap_in_use();

	if (!buf)
		return -ENOMEM;
	for (uint64_t start = v->start, size; start < v->end; start += size) {
		int r = 0;

		size = v->end - start < SHMEM_COPY_ROOM * PAGE ? v->end - start
		                                               : SHMEM_COPY_ROOM * PAGE;
		memset(present, 1, sizeof(present));
		if (!all)
			r = ask_present(t, start, size, at, present);
		if (r == 0)
			r = copy_part(t, v, start, present, size / PAGE, fd, buf);
		if (r < 0)
			return fail(r, "%s: mapping %llx-%llx (%s): read it", task_name(t),
			            (unsigned long long)v->start, (unsigned long long)v->end,
			            v->name);
	}
	return 0;
}
