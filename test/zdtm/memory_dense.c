/*
 * Long runs of small pages: across neighbours that differ in their protection, and in one mapping with pages
 * that lie alone. With "one" it is one mapping.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "zdtm.h"

#define MIB  (1UL << 20)
#define PAGE 4096UL
#define SIZE (128 * MIB)
#define PART (4 * MIB)

static const int prots[] = { PROT_READ | PROT_WRITE, PROT_READ, PROT_NONE, PROT_READ | PROT_EXEC };

/* From the last part on every third page is there, but its last MiB; of another one every fortieth. */
static int is_there(size_t i)
{
	if (i >= SIZE / 4 && i < SIZE / 4 + PART)
		return i / PAGE % 40 == 0;
	return i < SIZE - PART || i >= SIZE - MIB || i / PAGE % 3 == 0;
}

static uint64_t word(const char *p, size_t i)
{
	return is_there(i) ? ((uint64_t)(uintptr_t)p + i) * 0x9e3779b97f4a7c15u : 0;
}

int main(int argc, char **argv)
{
	char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t n = argc > 1 && !strcmp(argv[1], "one") ? 0 : sizeof(prots) / sizeof(*prots);

	check(p != MAP_FAILED && madvise(p, SIZE, MADV_NOHUGEPAGE) == 0);
	for (size_t i = 0; i < SIZE; i += 8)
		if (is_there(i))
			*(uint64_t *)(p + i) = word(p, i);
	for (size_t i = 0; i < n; i++)
		check(mprotect(p + i * PART, PART, prots[i]) == 0);

	zdtm_park();

	check(mprotect(p, n * PART, PROT_READ) == 0);
	for (size_t i = 0; i < SIZE; i += 8)
		check(*(const uint64_t *)(p + i) == word(p, i));
	/* It is writable again where it was, and elsewhere once it is allowed. */
	check(mprotect(p, n * PART, PROT_READ | PROT_WRITE) == 0);
	for (size_t i = 0; i < SIZE; i += PAGE)
		p[i]++;
	return zdtm_pass();
}
