/*
 * Works on its memory all the time, in every way that matters to whoever brings
 * it: reads, protects, moves, throws away, unmaps, forks. What it finds must always be
 * what it left there.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zdtm.h"

#define REGIONS 24
#define SIZE    (4UL << 20)
#define WORDS   (SIZE / 8)

struct region {
	uint64_t *at, seed;
};

static struct region regions[REGIONS];

/* Pages where i / 512 is a multiple of 5 are zero. */
static uint64_t word(uint64_t seed, size_t i)
{
	return i / 512 % 5 ? (seed + i) * 0x9e3779b97f4a7c15u : 0;
}

static void fill(struct region *r)
{
	for (size_t i = 0; i < WORDS; i++)
		if (i / 512 % 5)
			r->at[i] = word(r->seed, i);
}

static uint64_t *map(void)
{
	uint64_t *at = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	check(at != MAP_FAILED);
	return at;
}

static void verify(const struct region *r, size_t step)
{
	for (size_t i = 0; i < WORDS; i += step)
		check(r->at[i] == word(r->seed, i));
}

static void move(struct region *r)
{
	uint64_t *to = mmap(NULL, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	check(to != MAP_FAILED);
	r->at = mremap(r->at, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	check(r->at == to);
	verify(r, 257);
}

/* The second half; what is thrown away stays away. */
static void throw_away(struct region *r)
{
	check(madvise(r->at + WORDS / 2, SIZE / 2, MADV_DONTNEED) == 0);
	for (size_t i = WORDS / 2; i < WORDS; i += 512)
		check(r->at[i] == 0);
	for (size_t i = 0; i < WORDS / 2; i += 512)
		check(r->at[i] == word(r->seed, i));
	fill(r);
}

static void renew(struct region *r)
{
	check(munmap(r->at, SIZE) == 0);
	r->at = map();
	for (size_t i = 0; i < WORDS; i += 512)
		check(r->at[i] == 0);
	r->seed += 7;
	fill(r);
}

/* The child sees what was there, whatever the parent writes meanwhile. */
static void fork_and_write(struct region *r)
{
	struct region was = *r;
	int status;
	pid_t pid = fork();

	check(pid >= 0);
	if (pid == 0) {
		verify(&was, 127);
		_exit(0);
	}
	r->seed += 3;
	fill(r);
	check(waitpid(pid, &status, 0) == pid && status == 0);
	verify(r, 511);
}

/* One mapping becomes many, and one again: no event tells of that. */
static void protect(struct region *r)
{
	char *at = (char *)r->at;

	for (size_t i = 0; i < SIZE; i += 16384)
		check(mprotect(at + i, 4096, PROT_READ) == 0);
	zdtm_nap();
	verify(r, 129);
	check(mprotect(at, SIZE, PROT_READ | PROT_WRITE) == 0);
}

static void *read_all(void *arg)
{
	for (size_t i = 0; !zdtm_released(); i++)
		verify(&regions[i % 4], 333);
	return NULL;
}

int main(void)
{
	static void (*const ways[])(struct region *) = { protect, move, throw_away, renew,
		                                         fork_and_write };
	pthread_t reader;

	for (size_t i = 0; i < REGIONS; i++) {
		regions[i] = (struct region){ map(), i + 1 };
		fill(&regions[i]);
	}
	/* The first four are for the thread alone. */
	check(pthread_create(&reader, NULL, read_all, NULL) == 0);
	zdtm_parked();
	for (size_t i = 0; !zdtm_released(); i++)
		ways[i / 3 % 5](&regions[4 + i % (REGIONS - 4)]);
	check(pthread_join(reader, NULL) == 0);
	for (size_t i = 0; i < REGIONS; i++)
		verify(&regions[i], 1);
	return zdtm_pass();
}
