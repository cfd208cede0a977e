/* Descriptors of ours for sockets of the tree: taken over once, and kept while it is frozen. */
#pragma once

#include <unistd.h>

#include "dump/dump.h"

/* file_steal(), or the one that is kept of F, which is not to be closed: auto_(borrowed_done). */
struct borrowed {
	int fd; /* or -errno */
	bool kept;
};
struct borrowed file_borrow(const struct file *f);
static inline void borrowed_done(struct borrowed *b)
{
	if (!b->kept && b->fd >= 0)
		close(b->fd);
}
/* Keep *FD, one of F, which is taken then; or not. By several threads at once. */
void files_may_keep(struct dump *d);
void files_make_room(const struct dump *d); /* for all that are known; before there are threads */
void file_keep(struct dump *d, struct file *f, int *fd);
void file_unkeep(struct dump *d, struct file *f);
/* May so many be kept open for each task, besides those that it has anyway? */
bool files_may_keep_each(const struct dump *d, size_t n);
/* So many may be kept besides all those. */
size_t files_left(const struct dump *d);
/* Close all that are kept: the tree is about to run on. */
void files_give_back(struct dump *d);

/* Fill f->sock of F, of which FD is a descriptor of ours; or of one that may be a socket. */
void file_ask_socket(struct file *f, int fd);
void file_steal_and_ask(struct dump *d, struct file *f);
