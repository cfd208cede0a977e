/* The numbers (PID, TID) that the tree is to have again. */
#pragma once

#include "restore/restore.h"

struct clone_args;

/*
 * Before anybody is forked: a tree that cannot be whole is not begun. The zombies of one that was killed a moment ago
 * wait for init, which may be busy: two seconds for those, and for what nobody seems to have any more. Whoever else
 * has a number will keep it. 0, or -EBUSY, explained.
 */
int numbers_await(struct restore *r);

/* Who has the number that we need? -EBUSY, explained. */
int number_explain(pid_t pid);

/*
 * clone3(2) of a process with the number at set_tid, which may be that of a
 * zombie for a moment more. The pid, 0 in the child, or -1 and errno.
 */
long clone_when_free(struct clone_args *args);
