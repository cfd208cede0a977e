/* malloc(3), where a page fault would come at the wrong moment. */
#pragma once

#include <stddef.h>

/* The next SIZE bytes (less than a MiB) of small allocations, and a stack, are there: no system call, no page fault. */
void heap_warm(size_t size);
