/* The directory that a checkpoint is written to. */
#pragma once

/* R, explained: WHAT has happened to FILE. */
int place_fail(int dirfd, int r, const char *file, const char *what);

/*
 * It is empty, but for what a writer left that was killed, and from now on
 * *RET_LOCK, to be closed also after a failure, keeps others out. Explained:
 * -EEXIST: a checkpoint is there; -ENOTEMPTY: anything else is; -EBUSY: another writer.
 */
int place_take(int dirfd, int *ret_lock);

/* The same of one that has a checkpoint, which is to be changed. */
int place_hold(int dirfd, int *ret_lock);
