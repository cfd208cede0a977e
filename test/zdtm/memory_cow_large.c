/*
 * A parent and four children over memory that they share since they were forked,
 * the size of which in MiB is the first argument; with a second one, each of them
 * has written to some of it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zdtm.h"

#define PAGE     4096UL
#define CHILDREN 4
#define STEP     64 /* every so many pages one is written */

static unsigned *ready;

/* Page I of process WHO. */
static uint64_t word(size_t i, size_t who, int write)
{
	return write && i % STEP == who ? ~i - who : (i + 1) * 0x9e3779b97f4a7c15u;
}

static void fill(uint64_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < PAGE / 8; k++)
			p[i * PAGE / 8 + k] = word(i, CHILDREN + 1, 0) + k;
}

static void own(uint64_t *p, size_t n, size_t who)
{
	for (size_t i = who; i < n; i += STEP)
		for (size_t k = 0; k < PAGE / 8; k++)
			p[i * PAGE / 8 + k] = word(i, who, 1) + k;
}

static void verify(const uint64_t *p, size_t n, size_t who, int write)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < PAGE / 8; k += 64)
			check(p[i * PAGE / 8 + k] == word(i, who, write) + k);
}

static void child(uint64_t *p, size_t n, size_t who, int write)
{
	if (write)
		own(p, n, who);
	__atomic_add_fetch(ready, 1, __ATOMIC_SEQ_CST);
	while (!zdtm_released())
		zdtm_nap();
	verify(p, n, who, write);
	_exit(0);
}

int main(int argc, char **argv)
{
	size_t n = (argc > 1 ? strtoul(argv[1], NULL, 10) : 16) << 8;
	uint64_t *p =
		mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int status, write = argc > 2;
	pid_t pid[CHILDREN];

	ready = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	check(p != MAP_FAILED && ready != MAP_FAILED);
	fill(p, n);
	for (size_t i = 0; i < CHILDREN; i++) {
		pid[i] = fork();
		check(pid[i] >= 0);
		if (!pid[i])
			child(p, n, i, write);
	}
	if (write)
		own(p, n, CHILDREN);
	while (__atomic_load_n(ready, __ATOMIC_SEQ_CST) < CHILDREN)
		zdtm_nap();

	zdtm_park();

	verify(p, n, CHILDREN, write);
	for (size_t i = 0; i < CHILDREN; i++)
		check(waitpid(pid[i], &status, 0) == pid[i] && status == 0);
	return zdtm_pass();
}
