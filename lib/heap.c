#include "lib/heap.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#define KEEP (1 << 20) /* at the end of the heap, not given back to the kernel */

void heap_warm(size_t size)
{
	void *volatile p;

	mallopt(M_TRIM_THRESHOLD, KEEP);
	mallopt(M_MMAP_THRESHOLD, KEEP);
	p = malloc(size);
	if (p)
		memset(p, 1, size);
	free(p);
}
