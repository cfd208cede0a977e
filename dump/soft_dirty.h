/*
 * Soft-dirty marks: the kernel marks a page when it is written to or mapped anew, until all marks of the
 * address space are cleared (Documentation/admin-guide/mm/soft-dirty.rst, CONFIG_MEM_SOFT_DIRTY). There is one set
 * of them for everybody who looks.
 */
#pragma once

#include <stdbool.h>

struct soft_dirty {
	bool known, works;
};

/* Once: does this kernel have them? Tried on a page of our own; our marks are cleared. */
bool soft_dirty_works(struct soft_dirty *s);

/* All marks of a process; PROC is its directory in /proc. -errno. */
int soft_dirty_clear(int proc);
