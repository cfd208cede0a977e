/*
 * Files and directories that no path leads to: deleted ones are carried by
 * content, those that have other names are found again by their handle. Each
 * inode is carried once, whoever holds it.
 */
#pragma once

#include "dump/dump.h"
#include "proto/inode.pb-c.h"

/* What a task holds: a descriptor, a mapping, its executable, a directory. */
struct holding {
	const struct task *task;
	const char *at;   /* below /proc/PID: "fd/7", "cwd" */
	const char *link; /* where that points */
	bool leads;       /* it is known that the link leads there */
	const char *name; /* for messages */
	const struct stat *st;
	const struct file *file; /* it is open; NULL: not, or by O_PATH */
};

/* Is what PATH leads to the inode of ST? */
bool inode_leads_to(const char *path, const struct stat *st);

struct holding file_holding(const struct file *f);

/* Before the freeze: can it be found, or carried? -ENOTSUP, explained. */
int inode_look(struct dump *d, const struct holding *h);

/*
 * The path that leads to it, in a fresh string, and 0 in *RET_ID; or else the
 * path where it was and the id of its Inode record, which is written when it is
 * seen for the first time. Explained.
 */
int inode_put(struct dump *d, const struct holding *h, char **ret_path, uint32_t *ret_id);

/* The id of a record of its content as it is now, besides: it has its name, PATH. Explained. */
int inode_keep(struct dump *d, const struct holding *h, char *path, uint32_t *ret_id);

/* What MSG says of a file that O_TMPFILE may have made. */
void inode_put_birth(struct dump *d, const struct holding *h, Img__Inode *msg);

/* A source of its content, so that nobody of the tree is told that it is read, if that can be. -errno. */
struct source;
int inode_open_content(struct dump *d, const struct holding *h, struct source *ret);
/* What that keeps in D goes. */
void inode_open_done(struct dump *d);

/* A description of our own to read from; it leaves no trace in atime if that can be. -errno. */
int inode_open_again(const struct holding *h);

void inodes_done(struct dump *d);
