/* What masters (ptmx.c) and orphans of masters (tty.c) have in common. */
#pragma once

#include "restore/restore.h"

/* A master opened at PATH whose number is INDEX; -errno, explained. */
int pty_make(const char *path, unsigned index);

/*
 * Open those files of PAIR that are to be hung up, and leave them in the pool;
 * the last one is in *RET_LAST, -1: there are none. 0 or -errno, explained.
 */
int pty_open_files(struct restore *r, int master, uint32_t pair, int *ret_last);
