/*
 * The options of a socket, for the rooms that own sockets. They are set in two
 * steps: some decide what an address means and come before it is bound or
 * connected (SOCKOPTS_EARLY), the rest comes when it stands and its queues are filled.
 */
#pragma once

#include "proto/sockopt.pb-c.h"
#include "restore/restore.h"

enum sockopts_when { SOCKOPTS_EARLY, SOCKOPTS_LATE };

/*
 * Only options that a dump writes, each once, of LEVELS (0 ends the list). OPTS may
 * be NULL: none. 0 or -EBADMSG explained.
 */
int sockopts_check(const Img__File *file, const Img__SockOpts *opts, const uint32_t *levels);

/* The same for N levels, of which IPPROTO_IP, which is 0, may be one. */
int sockopts_check_levels(const Img__File *file, const Img__SockOpts *opts, const uint32_t *levels,
                          size_t n);

/* Set those of that step. 0 or -errno explained. */
int sockopts_set(const Img__File *file, int fd, const Img__SockOpts *opts, enum sockopts_when when);

/* One of them, or NULL. */
const Img__SockOpts__Value *sockopts_find(const Img__SockOpts *opts, uint32_t level, uint32_t name);

/*
 * Buffers of any size, for as long as a queue is filled; and as of a new socket
 * again (sockopts_set() comes after that). -errno.
 */
int sockopts_widen(int fd);
/* NAME: SO_SNDBUF, or SO_RCVBUF, which its caller has widened. */
int sockopts_unwiden(int fd, int name);
