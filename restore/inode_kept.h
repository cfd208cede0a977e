/* Content that was kept of files with a name (dump --file-contents). */
#pragma once

#include "restore/restore.h"

/* Write what was kept over the file PATH, size and times included. -errno, explained. */
int inode_roll_back(struct restore *r, uint32_t id, const char *path);

/* Make the file PATH again, which is gone. 1: done; 0: nothing was kept of it. -errno, explained. */
int inode_put_back(struct restore *r, const char *path);

/* Is it one that was put back? Its inode is another one then. */
bool inode_is_back(const struct restore *r, const char *path);

/* Of a restore that has failed, those that were put back go. */
void inode_kept_done(struct restore *r);
