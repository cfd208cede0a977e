/*
 * What an inotify or fanotify descriptor watches, by the names that the kernel has in its memory (lib/kmem.h): for
 * file systems whose handles cannot be opened, and so that nothing has to be opened to find it.
 */
#pragma once

#include <sys/types.h>

#include "lib/array.h"
#include "lib/kmem.h"

struct watched {
	uint64_t ino;
	uint32_t sdev; /* as the kernel writes it */
	char *path; /* below the root of its file system, from the first slash on; "": that is it */
};

struct watched_list {
	ARRAY(struct watched) all; /* by sdev and ino */
};

/*
 * Of our own descriptor FD. What the kernel has forgotten the name of is not in the list; what is there may
 * have been renamed since. -EOPNOTSUPP: this kernel is another one; -errno.
 */
int watched_read(const struct kmem *k, int fd, struct watched_list *ret);
void watched_done(struct watched_list *l);

/* The first with that inode; those that are the same follow it. NULL: there is none. */
const struct watched *watched_find(const struct watched_list *l, uint32_t sdev, uint64_t ino);
