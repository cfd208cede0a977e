/* What the kernel has in its memory and tells through no file (lib/kmem.h), read once it is asked for. */
#pragma once

#include "dump/dump.h"
#include "lib/kmem.h"

/* How the structures of this kernel are laid out, read once it is asked for. NULL: it does not tell. */
const struct btf *kernel_layouts(struct dump *d);

/* NULL: this kernel or our rights do not let us. */
const struct kmem *kernel_memory(struct dump *d);
void kernel_memory_done(struct dump *d);

/*
 * The error that the program is to be told next of the socket that our own descriptor FD is open on (SO_ERROR, which
 * would tell it to us instead, and never again); 0: none. -EOPNOTSUPP: that cannot be seen.
 */
int kernel_socket_error(struct dump *d, int fd);

/* What a task has open, known by where the kernel has it. */
struct open_file {
	uint64_t at, event; /* the open file description; of an eventfd, its counter */
	uint32_t id;
};

struct open_files {
	ARRAY(struct open_file) all;
};

/* What is carried of what T has open. -errno. */
int open_files_read(struct dump *d, const struct task *t, struct open_files *ret);
void open_files_done(struct open_files *o);

/* A file id; 0: T has it open no more. */
uint32_t open_file_at(const struct open_files *o, uint64_t at);
uint32_t open_eventfd_of(const struct open_files *o, uint64_t event);
