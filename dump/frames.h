/*
 * Frames of a window of the address space that are mapped more than once, and
 * who was first seen with each: for pages_share.c.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define FRAMES_WINDOW (UINT64_C(1) << 30) /* bytes */
#define FRAMES_FILE   (1u << 31)          /* beside the number of a page: of a mapping of a file */
#define FRAMES_CHUNK  512u                /* pages */

struct slot {
	uint64_t frame; /* 0: free */
	uint32_t page;  /* number in the window */
	uint32_t owner : 31;
	uint32_t used : 1; /* by others, too */
};

struct frames {
	struct slot *first[FRAMES_WINDOW / 4096 / FRAMES_CHUNK]; /* one frame of each page ... */
	struct slot *slots; /* ... a hash table of all others */
	size_t mask, n;     /* of the table; in use */
};

/* Empty it; must be zero at first. -ENOMEM. */
int frames_new(struct frames *f);
void frames_done(struct frames *f);

/* The slot of FRAME at PAGE, or a free one for it; NULL: no memory. Valid until frames_taken(). */
struct slot *frames_slot(struct frames *f, uint64_t frame, uint32_t page);
/* A free slot was filled. -ENOMEM. */
int frames_taken(struct frames *f, const struct slot *slot);
