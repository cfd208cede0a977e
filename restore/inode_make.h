/* Making a file or directory that is deleted: under its name if that is free, else under one of ours. */
#pragma once

#include "lib/array.h"
#include "proto/inode.pb-c.h"
#include "restore/restore.h"

/* Directories that were made, to be removed again; the last first. */
struct scaffold {
	struct restore *r;
	int noted; /* where (restore/leftover.h); -1: nothing is */
	ARRAY(char *) dirs;
};

/* Was it made by O_TMPFILE? */
static inline bool inode_is_nameless(const Img__Inode *msg)
{
	return msg->linkable || msg->born;
}

/*
 * A descriptor of it, empty: O_RDWR of a regular file, or as it was born, O_PATH of all else. A
 * directory bears its name until scaffold_remove(), for there may be more below it;
 * all else has lost it already. -errno, explained.
 */
int inode_make(struct scaffold *s, const Img__Inode *msg);
/* -errno, explained. FAILED: the restore ends, and whoever takes away what it leaves does that. */
int scaffold_remove(struct scaffold *s, bool failed);
