/*
 * A hostile writer: numbers in their order, one a page, round and round through memory of all kinds,
 * each written only after the number of the last round was found there. So memory that is not of
 * one and the same moment is noticed, in the round after the restore. With "huge", some of it is huge pages of the
 * pool.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "zdtm.h"

#define PAGE  4096UL
#define AREA  (4UL << 20)
#define PAGES (AREA / PAGE)

static struct {
	int map, advice;
	char *at;
} areas[] = {
	{ MAP_PRIVATE, MADV_NOHUGEPAGE, NULL },
	{ MAP_PRIVATE, MADV_HUGEPAGE, NULL },
	{ MAP_PRIVATE, MADV_DONTFORK, NULL },
	{ MAP_SHARED, MADV_NORMAL, NULL },
	{ MAP_PRIVATE, MADV_WIPEONFORK, NULL },
	{ MAP_PRIVATE, MADV_MERGEABLE, NULL },
	{ MAP_PRIVATE, MADV_UNMERGEABLE, NULL },
	{ MAP_PRIVATE | MAP_HUGETLB, MADV_NORMAL, NULL },
	{ MAP_SHARED | MAP_HUGETLB, MADV_NORMAL, NULL },
};
static size_t n_areas = 7; /* of them */

/* Neighbours in time are in different areas. */
static uint64_t *place(uint64_t number)
{
	uint64_t n = number % (n_areas * PAGES);

	return (uint64_t *)(areas[n % n_areas].at + n / n_areas * PAGE);
}

static void write_number(uint64_t number)
{
	uint64_t *at = place(number);

	check(*at == (number < n_areas * PAGES ? 0 : number - n_areas * PAGES));
	*at = number;
}

/* Nobody who waits learns of the copies. */
static void check_children(int flags)
{
	errno = 0;
	check(waitpid(-1, NULL, WNOHANG | flags) < 0 && errno == ECHILD);
}

int main(int argc, char **argv)
{
	uint64_t number;

	if (argc > 1 && !strcmp(argv[1], "huge"))
		n_areas = sizeof(areas) / sizeof(areas[0]);
	number = n_areas * PAGES; /* 0 is what was there before */
	for (size_t i = 0; i < n_areas; i++) {
		areas[i].at = mmap(NULL, AREA, PROT_READ | PROT_WRITE, areas[i].map | MAP_ANONYMOUS,
		                   -1, 0);
		check(areas[i].at != MAP_FAILED);
		madvise(areas[i].at, AREA, areas[i].advice); /* KSM may be missing */
	}
	for (uint64_t n = 0; n < n_areas * PAGES; n++)
		write_number(n);
	zdtm_parked();
	while (!zdtm_released()) {
		for (int i = 0; i < 100; i++)
			write_number(number++);
		check_children(0);
	}
	for (uint64_t n = 0; n < n_areas * PAGES; n++) /* a whole round */
		write_number(number++);
	check_children(__WALL);
	return zdtm_pass();
}
