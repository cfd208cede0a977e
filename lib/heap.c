#include "lib/heap.h"

#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* since Linux 5.14 */
#endif

#define PAGE  4096
#define STACK (64 * 1024)
#define KEEP  (1 << 20) /* at the end of the heap, not given back to the kernel */

/*
 * One arena for all threads: a second one is made for the first other thread that there is, and extended by
 * mprotect(2), page by page. Kernels that do not know MADV_POPULATE_WRITE have page faults later.
 */
void heap_warm(size_t size)
{
	volatile char stack[STACK];
	void *volatile p; /* else there is no call */
	uintptr_t from;

	mallopt(M_ARENA_MAX, 1);
	mallopt(M_TRIM_THRESHOLD, KEEP);
	mallopt(M_MMAP_THRESHOLD, KEEP);
	p = malloc(size);
	from = (uintptr_t)p & ~(uintptr_t)(PAGE - 1);
	if (p)
		madvise((void *)from, (uintptr_t)p + size - from, MADV_POPULATE_WRITE);
	free(p);
	for (size_t i = 0; i < sizeof(stack); i += PAGE)
		stack[i] = 1;
}
