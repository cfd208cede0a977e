/* Is a file still what it was? */
#pragma once

#include <sys/stat.h>

#include "proto/regular.pb-c.h"
#include "restore/restore.h"

/*
 * ST, which MSG's path leads to (or its inode), is the file of the dump, or the
 * policy accepts what it has become; with FILES_ROLLBACK it is made so. -ENOTSUP,
 * explained: what has changed, and which policy accepts it.
 */
int file_compare(struct restore *r, const Img__File *file, const Img__Regular *msg,
                 const struct stat *st);
