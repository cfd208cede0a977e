/* What an inode bears besides what stat(2) and xattr(7) tell: chattr(1), F_SET_RW_HINT. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct marks {
	uint32_t flags;   /* FS_*_FL of FS_IOC_GETFLAGS, those that can be set for a file in use */
	uint64_t rw_hint; /* RWH_* */
	bool sealed;      /* it is immutable or append-only, which is not among the flags */
};

/* Those of the regular file FD; a file system that has none tells none. */
struct marks marks_read(int fd);
/* 0 or -errno. */
int marks_write(int fd, const struct marks *m);
/*
 * Does chattr(1) say of the file at PATH, or DIR if that is "", that nobody can open it with FLAGS? What says so
 * and how to take that away, to be followed by its path, or NULL. Who had it open before may go on.
 */
const char *marks_forbid(int dir, const char *path, int flags);
/* The same of a directory: nobody can make a file in it and remove that. */
const char *marks_forbid_names(int dir, const char *path);
/* Would marks_read() say so? */
bool marks_sound(const struct marks *m);
