/*
 * The options of a socket, for the rooms that own sockets: what lib/sockopt.def
 * lists and what is not as a new socket of the same family, type and protocol
 * has it.
 *
 *	auto_(sockopts_done) struct sockopts opts = {};
 *	int r = sockopts_read(d, f, fd, SOL_SOCKET, &opts);
 *	...
 *	msg.options = sockopts_message(&opts);
 */
#pragma once

#include "dump/dump.h"
#include "proto/sockopt.pb-c.h"

struct sockopts {
	ARRAY(Img__SockOpts__Value) all;
	Img__SockOpts__Value **list;
	Img__SockOpts msg;
};

/* Before the freeze: has F, of which FD is a descriptor of ours, options or a filter that are refused? Explained. */
int sockopts_refused(struct dump *d, const struct file *f, int fd, uint32_t level);
int sockopts_filter_check(const struct file *f, int fd);

/*
 * What is known of a socket without asking it: the size of the value, as getsockopt(2) answers;
 * -ENODATA: it is to be asked; -ENOENT: it is of no interest. NULL: nothing.
 */
struct sockopt_source {
	int (*value)(const void *arg, uint32_t level, uint32_t name, void *value);
	const void *arg;
};

/*
 * Append the options of one level of F, of which FD is a descriptor of ours.
 * -errno, explained; -ENOTSUP: one of them cannot be carried. Nothing of the socket
 * is changed.
 */
int sockopts_read(struct dump *d, const struct file *f, int fd, uint32_t level,
                  struct sockopts *into);
int sockopts_read_from(struct dump *d, const struct file *f, int fd, uint32_t level,
                       const struct sockopt_source *source, struct sockopts *into);

/*
 * The same without a word, and for several threads at once, when what new sockets like F
 * have is known by sockopts_prepare() (explained); -EAGAIN: it is not.
 */
int sockopts_try(const struct dump *d, const struct file *f, int fd, uint32_t level,
                 const struct sockopt_source *source, struct sockopts *into);
int sockopts_prepare(struct dump *d, const struct file *f);

/* An option that the kernel tells otherwise than by getsockopt(2). 0 or -ENOMEM. */
int sockopts_add(struct sockopts *into, uint32_t level, uint32_t name, const void *value,
                 size_t size);

/* The same in the place that it has in the table, instead of what is known of it. */
int sockopts_put(struct sockopts *into, uint32_t level, uint32_t name, const void *value,
                 size_t size);

/* The value of an option that is an int, of those that were read; USUAL: it is as of a new socket. */
int sockopts_int(const struct sockopts *opts, uint32_t level, uint32_t name, int usual);

/* Forget that one. */
void sockopts_drop(struct sockopts *opts, uint32_t level, uint32_t name);

/* As a field of a record, valid as long as OPTS; NULL: no memory. */
Img__SockOpts *sockopts_message(struct sockopts *opts);

void sockopts_done(struct sockopts *opts);

/* What new sockets have, remembered in D. */
void sockopts_forget(struct dump *d);
