/*
 * restore --lazy: the tree runs before its memory is there. A process of our
 * own, outside of the tree, brings what is touched at once and the rest in the
 * background, by userfaultfd(2); it ends when all is there, and nothing is left.
 */
#pragma once

#include "restore/lazy_mm.h"
#include "restore/memory.h"

/* Of a task. */
struct lazy {
	size_t op;             /* of the script: makes the descriptor */
	int uffd;              /* of ours, once it is taken; -1 */
	struct sources ranges; /* VMAs as sources: what is registered */
	struct sources pages;
};

/* What T need not have at once moves from LIST to its lazy memory, and is marked (lazy_choose.c). */
int lazy_choose(struct restore *r, struct rtask *t, const Img__Memory *m, uint8_t *marks,
                struct sources *list);

/* In T, when it has read the rest. */
void lazy_emit(struct restore *r, struct rtask *t, struct script *s);

/* By the coordinator, when all stand behind that. Explained. */
int lazy_take(struct restore *r);

/* The same when nobody touches memory any more before the tree runs: there is somebody who brings it. Explained. */
int lazy_start(struct restore *r);

void lazy_done(struct restore *r);

struct lazy_way {
	bool on_demand;           /* nothing that nobody touches, as long as the tree lives */
	bool fail_soon;           /* as if (tests) */
	struct lazy_chain *chain; /* who keeps the descriptors, too (lazy_hold.h) */
	const struct far *far;    /* who has what comes afterwards, or NULL */
};

/* Bring it; 0, or -errno, explained: then the tree must not run on. (lazy_serve.c) */
int lazy_serve(struct images *im, struct lazy_mms *mms, const struct lazy_way *way);
