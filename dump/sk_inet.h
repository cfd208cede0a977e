/* What the rooms of IPv4 and IPv6 sockets have in common: all is asked of a stolen descriptor. */
#pragma once

#include "dump/dump.h"
#include "dump/sockopt.h"
#include "lib/inaddr.h"

/* getsockopt(2) of an int. -errno. */
int sk_option(int fd, int level, int name, int *ret);

/* What F, a socket of AF_INET or AF_INET6, is; false: it is none. */
bool sk_inet_is(const struct file *f, int *ret_type, int *ret_protocol);

/* Of the network namespace that crtool is in, else -ENOTSUP explained. */
int sk_inet_check_netns(const struct file *f, int fd);

/* The options of all levels that sockets of PROTOCOL have. -errno explained. */
int sk_inet_options(struct dump *d, const struct file *f, int fd, int protocol,
                    struct sockopts *into);

/* getsockname(2): 1, or 0 when it has no address of its own at all. -errno. */
int sk_inet_local(int fd, union inaddr *ret);
