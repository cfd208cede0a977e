/*
 * Two blocks of memory side by side, one of them in many pieces of unlike protection, the last of which is one mapping
 * with the other block. When they are alike again, each block can be moved as a whole, though nobody has touched it.
 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>

#include "zdtm.h"

#define SIZE  (4UL << 20)
#define PAGE  4096UL
#define PIECE (4 * PAGE)

/* Where it was it is no more. */
static char *move(char *block)
{
	char *to = mmap(NULL, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	check(to != MAP_FAILED);
	check(mremap(block, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
	return to;
}

int main(void)
{
	char *p = mmap(NULL, 2 * SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *blocks[2];

	check(p != MAP_FAILED);
	for (size_t i = 0; i < 2 * SIZE; i += PAGE)
		memset(p + i, (int)(i / PAGE % 255) + 1, PAGE);
	for (size_t i = 0; i < SIZE; i += PIECE)
		check(mprotect(p + i, PAGE, PROT_READ) == 0);

	zdtm_park();

	check(mprotect(p, SIZE, PROT_READ | PROT_WRITE) == 0);
	blocks[0] = move(p);
	blocks[1] = move(p + SIZE);
	for (size_t i = 0; i < 2 * SIZE; i += PAGE) {
		const char *page = blocks[i / SIZE] + i % SIZE;

		check(*page == (char)(i / PAGE % 255 + 1) && !memcmp(page, page + 1, PAGE - 1));
	}
	return zdtm_pass();
}
