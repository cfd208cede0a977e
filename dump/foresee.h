/* Can the tree be made again? */
#pragma once

#include "dump/dump.h"

/* The record of T, but for its threads; what it has of others is theirs. */
void task_describe(const struct task *t, Img__Task *ret);

/*
 * While t->shares are known: 0, or -errno explained. Who leads which session, who has fallen to whom
 * and who shares what with whom may be so that no restore can make it (restore/tree.c).
 */
int tree_foresee(struct dump *d);
