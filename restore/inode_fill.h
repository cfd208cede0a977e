/* Of an inode that is there: content, owner, mode, attributes. */
#pragma once

#include <time.h>

#include "proto/inode.pb-c.h"
#include "restore/restore.h"

/* errno, explained: WHAT could not be done to it. */
int inode_fail(const Img__Inode *msg, const char *what);

/* Size, content and what chattr(1) shows of FD, an empty regular file; of others nothing. -errno, explained. */
int inode_fill(struct restore *r, const Img__Inode *msg, int fd);

/* Owner, mode and extended attributes; FD may be O_PATH. -errno, explained. */
int inode_settle(const Img__Inode *msg, int fd);

/* NS since the epoch. */
struct timespec inode_time(uint64_t ns);
