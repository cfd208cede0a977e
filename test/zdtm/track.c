/*
 * A hostile writer: all the ways in which memory changes, at random, round and round, in two
 * processes with two threads each. It checks nothing: its test stops it and looks. With an argument:
 * much memory, of which little changes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zdtm.h"

#define PAGE  4096UL
#define AREA  (2UL << 20)
#define AREAS (sizeof(areas) / sizeof(areas[0]))

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE  103
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static struct area {
	int fd; /* -1: anonymous */
	int advice;
	char *at;
} areas[] = {
	{ -1, MADV_NOHUGEPAGE, NULL }, { -1, MADV_HUGEPAGE, NULL }, { -1, MADV_MERGEABLE, NULL },
	{ -1, MADV_DONTFORK, NULL },   { -1, MADV_NORMAL, NULL },   { 0, MADV_NORMAL, NULL },
	{ 0, MADV_NORMAL, NULL },
};
static int zeros, disk;
static pid_t other; /* the other process, which has the same at the same places */
static _Thread_local uint64_t seed;

static uint64_t below(uint64_t n)
{
	seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
	return seed % n;
}

/* A range of pages in A. */
static char *range(const struct area *a, size_t *ret_size)
{
	uint64_t first = below(AREA / PAGE), n = 1 + below(below(8) ? 4 : AREA / PAGE);

	n = first + n > AREA / PAGE ? AREA / PAGE - first : n;
	*ret_size = n * PAGE;
	return a->at + first * PAGE;
}

static void map(struct area *a, char *at, size_t size)
{
	int flags = MAP_PRIVATE | MAP_FIXED | (a->fd < 0 ? MAP_ANONYMOUS : 0);

	check(mmap(at, size, PROT_READ | PROT_WRITE, flags, a->fd, a->fd < 0 ? 0 : at - a->at) ==
	      at);
	madvise(at, size, a->advice);
}

/* ---- the ways: what fails where memory is forbidden or gone has no effect ---- */

/* A store from which no signal comes: through the kernel, if that must be. */
static void by_write(struct area *a, char *at, size_t size)
{
	uint64_t word = below(UINT64_MAX);
	struct iovec from = { &word, sizeof(word) }, to = { at + below(512) * 8, sizeof(word) };

	process_vm_writev(getpid(), &from, 1, &to, 1, 0);
}

static void by_store(struct area *a, char *at, size_t size)
{
	static volatile uint64_t own[4096]; /* in the bss, too */

	own[below(4096)]++;
	by_write(a, at, size);
}

static void by_read(struct area *a, char *at, size_t size)
{
	check(pread(zeros, at, size < 3 * PAGE ? size : 100, 0) >= 0 || errno == EFAULT);
}

static void by_direct_read(struct area *a, char *at, size_t size)
{
	if (pread(disk, at, PAGE, (off_t)(below(16) * PAGE)) < 0)
		check(errno == EFAULT || errno == EINVAL);
}

static void by_other(struct area *a, char *at, size_t size)
{
	uint64_t words[64] = { below(UINT64_MAX), 1, 2, 3 };
	struct iovec from = { words, sizeof(words) }, to = { at, sizeof(words) };

	process_vm_writev(other, &from, 1, &to, 1, 0);
}

static void by_mem(struct area *a, char *at, size_t size)
{
	int fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	uint64_t word = below(UINT64_MAX);

	if (pwrite(fd, &word, sizeof(word), (off_t)(uintptr_t)at) < 0)
		check(errno == EIO || errno == EFAULT);
	close(fd);
}

static void by_pipe(struct area *a, char *at, size_t size)
{
	int fds[2];

	check(!pipe2(fds, O_CLOEXEC));
	check(write(fds[1], &seed, sizeof(seed)) == sizeof(seed));
	if (read(fds[0], at, sizeof(seed)) < 0)
		check(errno == EFAULT);
	close(fds[0]);
	close(fds[1]);
}

static void dontneed(struct area *a, char *at, size_t size)
{
	madvise(at, size, MADV_DONTNEED);
}

static void lazy_free(struct area *a, char *at, size_t size)
{
	madvise(at, size, MADV_FREE);
}

static void unmap(struct area *a, char *at, size_t size)
{
	munmap(at, size);
	if (below(2))
		zdtm_nap();
	map(a, at, size);
}

/* Not all that lies there can be moved by one call, on each kernel. */
static void move_to(struct area *a, char *from, char *to, size_t size)
{
	if (mremap(from, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to) != to)
		map(a, to, size);
}

/* Elsewhere and back, with what is in it. */
static void move(struct area *a, char *at, size_t size)
{
	char *there = mremap(at, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, a->at + AREA);

	if (there == MAP_FAILED) {
		map(a, at, size);
		return;
	}
	if (below(2))
		zdtm_nap();
	move_to(a, there, at, size);
}

static void swap_places(struct area *a, char *at, size_t size)
{
	char *first = a->at;

	if (at < first + size)
		return;
	if (mremap(first, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, a->at + AREA) == MAP_FAILED) {
		map(a, first, size);
		return;
	}
	move_to(a, at, first, size);
	move_to(a, a->at + AREA, at, size);
}

static void shrink_and_grow(struct area *a, char *at, size_t size)
{
	size_t rest = (size_t)(a->at + AREA - at);

	if (mremap(at, rest, PAGE, 0) == MAP_FAILED)
		return;
	if (mremap(at, PAGE, rest, 0) == MAP_FAILED)
		map(a, at + PAGE, rest - PAGE);
}

static void protect(struct area *a, char *at, size_t size)
{
	static const int prots[] = { PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE,
		                     PROT_READ | PROT_WRITE };

	mprotect(at, size, prots[below(4)]);
}

static void allow(struct area *a, char *at, size_t size)
{
	mprotect(a->at, AREA, PROT_READ | PROT_WRITE);
}

static void huge(struct area *a, char *at, size_t size)
{
	madvise(a->at, AREA, MADV_COLLAPSE);
}

static void page_out(struct area *a, char *at, size_t size)
{
	madvise(at, size, MADV_PAGEOUT);
}

static void populate(struct area *a, char *at, size_t size)
{
	madvise(at, size, MADV_POPULATE_WRITE);
}

static void guard(struct area *a, char *at, size_t size)
{
	madvise(at, size, MADV_GUARD_INSTALL);
	if (below(2))
		zdtm_nap();
	madvise(at, size, MADV_GUARD_REMOVE);
}

static void lock(struct area *a, char *at, size_t size)
{
	mlock(at, size);
	by_write(a, at, size);
	munlock(at, size);
}

/* A child that shares all pages for a while; both write. */
static void fork_one(struct area *a, char *at, size_t size)
{
	pid_t pid;

	if (below(8))
		return;
	pid = fork();
	check(pid >= 0);
	by_write(a, at, size);
	if (!pid) {
		zdtm_nap();
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

static void heap(struct area *a, char *at, size_t size)
{
	static char *blocks[64];
	char **block = &blocks[below(64)];

	free(*block);
	*block = malloc(1 + below(100000));
	if (*block)
		**block = (char)seed;
}

static void work(void)
{
	static void (*const ways[])(struct area * a, char *at, size_t size) = {
		by_write, by_write, by_store, by_read,   by_direct_read,  by_other, by_mem,
		by_pipe,  dontneed, unmap,    lazy_free, shrink_and_grow, move,     swap_places,
		protect,  allow,    huge,     page_out,  populate,        guard,    lock,
		fork_one, heap,     by_write, by_other,  by_write,        by_mem,   allow,
	};
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	struct area *a = &areas[below(AREAS)];
	size_t size;
	char *at = range(a, &size);

	/* Maps are changed by one at a time. */
	pthread_mutex_lock(&mutex);
	ways[below(sizeof(ways) / sizeof(ways[0]))](a, at, size);
	pthread_mutex_unlock(&mutex);
	by_write(a, at, size);
}

static void *thread(void *arg)
{
	seed = 88172645463325252UL + (uintptr_t)arg;
	while (!zdtm_released()) {
		for (int i = 0; i < 20; i++)
			work();
		usleep(500);
	}
	return NULL;
}

static int file_new(const char *name, int flags)
{
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
	char page[PAGE];

	check(fd >= 0);
	for (size_t i = 0; i < AREA / PAGE; i++) {
		memset(page, (int)i + 1, PAGE);
		check(write(fd, page, PAGE) == PAGE);
	}
	close(fd);
	fd = open(name, O_RDONLY | flags);
	return fd >= 0 ? fd : open(name, O_RDONLY);
}

/* For tests of something else: much memory, one page of which is written to again and again. */
static int quiet(void)
{
	char *at = mmap(NULL, 8 * AREA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	check(at != MAP_FAILED);
	memset(at, 1, 8 * AREA);
	zdtm_parked();
	while (!zdtm_released()) {
		at[5 * PAGE]++;
		usleep(1000);
	}
	return zdtm_pass();
}

int main(int argc, char **argv)
{
	pthread_t other_thread;
	int fd = file_new("file", 0), memfd = memfd_create("areas", 0);
	pid_t parent = getpid();

	if (argc > 1)
		return quiet();
	disk = file_new("disk", O_DIRECT);
	zeros = open("/dev/urandom", O_RDONLY);
	check(memfd >= 0 && !ftruncate(memfd, AREA) && zeros >= 0);
	areas[AREAS - 2].fd = fd;
	areas[AREAS - 1].fd = memfd;
	for (size_t i = 0; i < AREAS; i++) {
		/* Room behind it, to move something to. */
		char *at = mmap(NULL, 3 * AREA, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		check(at != MAP_FAILED);
		areas[i].at = (char *)(((uintptr_t)at + AREA - 1) & ~(AREA - 1));
		map(&areas[i], areas[i].at, AREA);
	}
	check(prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY) == 0 || errno == EINVAL);
	other = fork();
	check(other >= 0);
	if (!other)
		other = parent;
	seed = (uint64_t)getpid();
	check(!pthread_create(&other_thread, NULL, thread, (void *)(uintptr_t)getpid()));
	if (other != parent)
		zdtm_parked();
	thread((void *)(uintptr_t)(getpid() + 100000));
	pthread_join(other_thread, NULL);
	if (other == parent)
		_exit(0);
	check(waitpid(other, NULL, 0) == other);
	return zdtm_pass();
}
