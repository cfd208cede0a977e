/*
 * crtool itself as a task, d->own: it holds files of the tree that nobody has open, or that may not be looked at
 * where they are.
 */
#pragma once

#include "dump/dump.h"

/* It is there from here on, and its descriptors stay open, until own_task_done(). 0 or -errno. */
int own_task(struct dump *d);
void own_task_done(struct dump *d);

/*
 * A descriptor of d->own, O_PATH, for the file that V of T maps, found by its path: for who may not follow
 * map_files (proc(5): CAP_CHECKPOINT_RESTORE). -EPERM, explained: it is not there (any more).
 */
int own_open_mapped(struct dump *d, const struct task *t, const struct vma *v);
