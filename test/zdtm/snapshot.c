/*
 * A hostile writer: numbers in their order, one a page, round and round through memory of all kinds,
 * each written only after the number of the last round was found there. So memory that is not of
 * one and the same moment is noticed, in the round after the restore.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "zdtm.h"

#define PAGE  4096UL
#define AREA  (4UL << 20)
#define AREAS (sizeof(areas) / sizeof(areas[0]))
#define PAGES (AREA / PAGE)

static struct {
	int map, advice;
	char *at;
} areas[] = {
	{ MAP_PRIVATE, MADV_NOHUGEPAGE, NULL },  { MAP_PRIVATE, MADV_HUGEPAGE, NULL },
	{ MAP_PRIVATE, MADV_DONTFORK, NULL },    { MAP_SHARED, MADV_NORMAL, NULL },
	{ MAP_PRIVATE, MADV_WIPEONFORK, NULL },  { MAP_PRIVATE, MADV_MERGEABLE, NULL },
	{ MAP_PRIVATE, MADV_UNMERGEABLE, NULL },
};

/* Neighbours in time are in different areas. */
static uint64_t *place(uint64_t number)
{
	uint64_t n = number % (AREAS * PAGES);

	return (uint64_t *)(areas[n % AREAS].at + n / AREAS * PAGE);
}

static void write_number(uint64_t number)
{
	uint64_t *at = place(number);

	check(*at == (number < AREAS * PAGES ? 0 : number - AREAS * PAGES));
	*at = number;
}

/* Nobody who waits learns of the copies. */
static void check_children(int flags)
{
	errno = 0;
	check(waitpid(-1, NULL, WNOHANG | flags) < 0 && errno == ECHILD);
}

int main(void)
{
	uint64_t number = AREAS * PAGES; /* 0 is what was there before */

	for (size_t i = 0; i < AREAS; i++) {
		areas[i].at = mmap(NULL, AREA, PROT_READ | PROT_WRITE, areas[i].map | MAP_ANONYMOUS,
		                   -1, 0);
		check(areas[i].at != MAP_FAILED);
		madvise(areas[i].at, AREA, areas[i].advice); /* KSM may be missing */
	}
	for (uint64_t n = 0; n < AREAS * PAGES; n++)
		write_number(n);
	zdtm_parked();
	while (!zdtm_released()) {
		for (int i = 0; i < 100; i++)
			write_number(number++);
		check_children(0);
	}
	for (uint64_t n = 0; n < AREAS * PAGES; n++) /* a whole round */
		write_number(number++);
	check_children(__WALL);
	return zdtm_pass();
}
