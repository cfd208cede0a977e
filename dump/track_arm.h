/* What is known of an address space that is tracked, or is to be (dump/track.h). */
#pragma once

#include "dump/track.h"
#include "dump/tracker.h"

struct tracked {
	struct tracker_slot slot;
	const struct tracker *by; /* who has it by now: its slot AT; NULL: nobody */
	size_t at;
	int uffd;               /* -1: it cannot be, or slot.soft */
	bool pinned;            /* the kernel may hold pages of it */
	struct spans unwritten; /* since it was armed, ... */
	bool relative;          /* ... which was when the parent was made */
	bool armed;
};

/* While frozen: find what was not written to, and (opt->track) arm all anew. M is NULL if T is not tracked. */
int tracked_arm(struct dump *d, const struct task *t, struct tracked *m);
