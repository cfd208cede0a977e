/* Memory of several shapes, and the plain loops that move it. */
#pragma once

#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "bench/measure.h"

#define PAGE     4096UL
#define BLOCK    (256UL << 10)
#define MIB      (1UL << 20)
#define HUGE     (2UL << 20)
#define MAPPINGS 10000UL

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

struct shape {
	const char *name;
	char *(*fresh)(size_t size); /* untouched */
	size_t stride;               /* every so many-th page is there */
	size_t mappings;             /* what it is cut into; 0: one */
};

static inline char *shape_map(size_t size, int how, int fd)
{
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, how, fd, 0);

	must(p != MAP_FAILED, "mmap");
	return p;
}

static inline char *small_pages(size_t size)
{
	char *p = shape_map(size, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	madvise(p, size, MADV_NOHUGEPAGE);
	return p;
}

static inline char *huge_pages(size_t size)
{
	char *p = shape_map(size + HUGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	p += -(uintptr_t)p % HUGE;
	madvise(p, size, MADV_HUGEPAGE);
	return p;
}

static inline char *shared_memory(size_t size)
{
	return shape_map(size, MAP_SHARED | MAP_ANONYMOUS, -1);
}

/* It stays open, as 3 where that is free. */
static inline char *memfd_memory(size_t size)
{
	int fd = memfd_create("bench", 0);

	must(fd >= 0 && ftruncate(fd, (off_t)size) == 0, "memfd");
	return shape_map(size, MAP_SHARED, fd);
}

static const struct shape shapes[] = {
	{ "4K pages", small_pages, 1, 0 },
	{ "huge pages", huge_pages, 1, 0 },
	{ "every 8th page", small_pages, 8, 0 },
	{ "10,000 mappings", small_pages, 1, MAPPINGS },
	{ "shared, anonymous", shared_memory, 1, 0 },
	{ "memfd", memfd_memory, 1, 0 },
};

static inline size_t shape_each(const struct shape *s, size_t size)
{
	return s->mappings ? (size / s->mappings + PAGE - 1) / PAGE * PAGE : 0;
}

/* What was mapped for SIZE bytes. */
static inline size_t shape_size(const struct shape *s, size_t size)
{
	return s->mappings ? shape_each(s, size) * s->mappings : size;
}

/* Into its mappings. */
static inline void shape_cut(const struct shape *s, char *p, size_t size)
{
	size_t each = shape_each(s, size);

	for (size_t i = 0; i < s->mappings; i += 2)
		must(mprotect(p + i * each, each, PROT_READ) == 0, "mprotect");
}

/* SIZE bytes of shape S, with what no compression helps. */
static inline char *shape_become(const struct shape *s, size_t size)
{
	uint64_t x = 88172645463325252u;
	char *p = s->fresh(shape_size(s, size));

	for (size_t at = 0; at < size; at += s->stride * PAGE)
		for (size_t i = 0; i < PAGE; i += 8) {
			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			memcpy(p + at + i, &x, 8);
		}
	shape_cut(s, p, size);
	return p;
}

/* What one thread moves: a part of the memory, to or from a file of its own. */
struct part {
	const struct shape *shape;
	const char *path;
	char *at;
	size_t size; /* of the memory, what is not there included */
	bool syncs, reads;
	pthread_t thread;
};

/* The pages of a block at AT. */
static inline int part_block(const struct part *p, size_t at, struct iovec v[])
{
	size_t step = p->shape->stride * PAGE;
	int n = 0;

	if (step == PAGE) {
		v[0] = (struct iovec){ p->at + at, p->size - at < BLOCK ? p->size - at : BLOCK };
		return 1;
	}
	for (; (size_t)n < BLOCK / PAGE && at < p->size; at += step)
		v[n++] = (struct iovec){ p->at + at, PAGE };
	return n;
}

static inline void part_write(const struct part *p)
{
	int fd = open(p->path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	struct iovec v[BLOCK / PAGE];

	must(fd >= 0, p->path);
	for (size_t at = 0; at < p->size; at += BLOCK * p->shape->stride)
		must(writev(fd, v, part_block(p, at, v)) > 0, "write");
	must(!p->syncs || fsync(fd) == 0, "fsync");
	close(fd);
}

/* Pages that lie alone are had one by one, by the kernel, as they are read. */
static inline void part_read(const struct part *p)
{
	int fd = open(p->path, O_RDONLY);
	struct iovec v[BLOCK / PAGE];

	must(fd >= 0, p->path);
	must(p->shape->stride > 1 || madvise(p->at, p->size, MADV_POPULATE_WRITE) == 0, "populate");
	for (size_t at = 0; at < p->size; at += BLOCK * p->shape->stride)
		must(readv(fd, v, part_block(p, at, v)) > 0, "read");
	close(fd);
}

static inline void *part_run(void *arg)
{
	const struct part *p = arg;

	if (p->reads)
		part_read(p);
	else
		part_write(p);
	return NULL;
}
