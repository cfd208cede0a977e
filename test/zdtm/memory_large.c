/*
 * So much memory that several threads save and fill it; small and huge pages; threads of its own. With "shared" it
 * is shared memory.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "zdtm.h"

#define SIZE (48UL << 20)
#define PAGE 4096UL

static char *map(int sharing, int advice)
{
	char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, sharing | MAP_ANONYMOUS, -1, 0);

	check(p != MAP_FAILED);
	check(madvise(p, SIZE, advice) == 0);
	return p;
}

/* A number per word that tells where it belongs; every seventh page stays zero. */
static uint64_t word(const char *p, size_t i)
{
	return i / PAGE % 7 ? ((uint64_t)(uintptr_t)p + i) * 0x9e3779b97f4a7c15u : 0;
}

static void fill(char *p)
{
	for (size_t i = 0; i < SIZE; i += 8)
		*(uint64_t *)(p + i) = word(p, i);
}

static void *verify(void *arg)
{
	const char *p = arg;

	while (!zdtm_released())
		zdtm_nap();
	for (size_t i = 0; i < SIZE; i += 8)
		check(*(const uint64_t *)(p + i) == word(p, i));
	return NULL;
}

int main(int argc, char **argv)
{
	int sharing = argc > 1 && !strcmp(argv[1], "shared") ? MAP_SHARED : MAP_PRIVATE;
	char *small = map(sharing, MADV_NOHUGEPAGE), *huge = map(sharing, MADV_HUGEPAGE);
	pthread_t threads[2];

	fill(small);
	fill(huge);
	check(pthread_create(&threads[0], NULL, verify, small) == 0);
	check(pthread_create(&threads[1], NULL, verify, huge) == 0);

	zdtm_park();

	for (int i = 0; i < 2; i++)
		check(pthread_join(threads[i], NULL) == 0);
	return zdtm_pass();
}
