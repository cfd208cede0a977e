/*
 * Those who stay beside a tree whose memory is still to come. When the last descriptor of a userfaultfd(2)
 * is closed the kernel forgets it, and what is not there yet becomes zeros, of which nobody would
 * ever know. So three processes have them, parent, child and grandchild, of which the last one serves:
 *
 * - should that be killed, its parent kills the tree, and says so;
 * - should that parent be killed, too, in the same moment, the first one does. It has another name, so that
 *   who kills by name does not find it;
 * - should one of the first two be killed alone, who serves forks, and goes on as the child.
 */
#pragma once

#include <stdbool.h>

#include "restore/lazy_mm.h"

struct restore;

struct lazy_chain {
	struct restore *r;
	int above[2]; /* pidfds of the two above who serves */
	int kept[2];  /* a socket to itself: holds what nobody above has (lazy_keep()) */
};

/* By the coordinator: they are there when this returns. Explained. */
int lazy_hold(struct restore *r, struct lazy_mms *mms);

/* By who serves, again and again: are the others there? 0, maybe in another process, or -errno. */
int lazy_look(struct lazy_chain *c);

/* UFFD has come in since, and belongs to MMS by now: the others are to hold it, too, as far as there is room. */
void lazy_keep(struct lazy_chain *c, const struct lazy_mms *mms, int uffd);
