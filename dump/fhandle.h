/* File handles as fdinfo shows them of what is watched (inotify, fanotify), and the paths that lead there. */
#pragma once

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>

struct dump;
struct file;
struct watched_list;

struct fhandle {
	uint64_t ino;
	uint32_t sdev; /* as the kernel writes it */
	struct file_handle head;
	unsigned char bytes[MAX_HANDLE_SZ];
};

/* Where the file system of the handle before is: they come in runs of one. */
struct fhandle_mount {
	struct dump *dump; /* set by the caller */
	char *path;        /* owned; NULL: none yet */
	uint32_t sdev;
	const struct file *watcher; /* whose handles these are, set by the caller */
	struct watched_list *names; /* what it watches; NULL: not asked yet */
	bool tell;                  /* once that it is searched for; set by the caller */
};

/* "ino:35d sdev:fe00000 ... fhandle-bytes:8 fhandle-type:1 f_handle:5d03000000000000" in a line of fdinfo; -EPROTO. */
int fhandle_parse(const char *line, struct fhandle *ret);

/*
 * A path to that very file, in a fresh string: its handle is opened, or else the kernel is asked for its
 * name, or the file system is searched for it, which who watches there is told. -ENOENT: none was found.
 */
int fhandle_path(struct fhandle_mount *m, const struct fhandle *h, char **ret_path);
void fhandle_done(struct fhandle_mount *m);

/* A path of any mount of the file system SDEV, in a fresh string. -ENOENT: there is none. */
int fhandle_mount_path(uint32_t sdev, char **ret_path);
