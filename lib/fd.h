/* Descriptors: whole reads and writes, whole small files. EINTR ends here. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Read or write exactly SIZE bytes; -ENODATA when the file ends before. */
int read_full(int fd, void *buf, size_t size);
int write_full(int fd, const void *buf, size_t size);
int pread_full(int fd, void *buf, size_t size, off_t at);
int pwrite_full(int fd, const void *buf, size_t size, off_t at);

/*
 * Read all of a file of unknown size (/proc) below DIRFD into a fresh
 * NUL-terminated buffer that the caller frees. Returns its length or -errno.
 */
ssize_t file_read(int dirfd, const char *path, char **ret_text);

/* The same of one that is a single record, as most of /proc/PID are: what it has comes in one read(2). */
ssize_t file_read_record(int dirfd, const char *path, char **ret_text);

/* Write TEXT to an existing file in one write(2), as /proc wants it. */
int file_write(int dirfd, const char *path, const char *text);

/* What there is to read, at most SIZE bytes: how many, or -errno. */
ssize_t read_most(int fd, void *buf, size_t size);

/* Where a magic link points, in a fresh string; -errno. */
int link_read(int dirfd, const char *path, char **ret_target);
/* For 0, 1 and 2: /dev/null, or, where that is not there, what can be neither read nor written. Closed at exec; -1. */
int null_open(void);
/*
 * The table of descriptors has room for N, if the limit lets it: to grow while threads share it makes each wait for
 * all processors (fs/file.c, expand_files()). Descriptor 0 is open (lib/caller.h).
 */
void fd_make_room(size_t n);
/* Has -errno to do with this moment only, so that it says nothing of what was asked for? */
bool error_passes(int error);
/* What -ENAMETOOLONG of it means. */
#define LINK_TOO_LONG                                                                   \
	"its path is longer than the 4095 bytes that the kernel tells: not supported; " \
	"move it to a shorter one"
