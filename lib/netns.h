/* Network namespaces that have a name: ip-netns(8) keeps them as files. */
#pragma once

#include <stddef.h>

/*
 * The file that stands for the network namespace of the process whose directory in
 * /proc is PROC. 1: in RET; 0: that is the one of the caller; -ENOENT: it has no name. -errno.
 */
int netns_find(int proc, char *ret, size_t size);

/* The calling thread, and whatever it forks, goes there. -errno; -EINVAL: the file is none. */
int netns_enter(const char *path);
