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

/*
 * Append the options of one level of F, of which FD is a descriptor of ours.
 * -errno, explained; -ENOTSUP: one of them cannot be carried. Nothing of the socket
 * is changed.
 */
int sockopts_read(struct dump *d, const struct file *f, int fd, uint32_t level,
                  struct sockopts *into);

/*
 * The same without a word, and for several threads at once, when what new sockets like F
 * have is known by sockopts_prepare() (explained); -EAGAIN: it is not.
 */
int sockopts_try(const struct dump *d, const struct file *f, int fd, uint32_t level,
                 struct sockopts *into);
int sockopts_prepare(struct dump *d, const struct file *f);

/* An option that the kernel tells otherwise than by getsockopt(2). 0 or -ENOMEM. */
int sockopts_add(struct sockopts *into, uint32_t level, uint32_t name, const void *value,
                 size_t size);

/* As a field of a record, valid as long as OPTS; NULL: no memory. */
Img__SockOpts *sockopts_message(struct sockopts *opts);

void sockopts_done(struct sockopts *opts);

/* What new sockets have, remembered in D. */
void sockopts_forget(struct dump *d);
