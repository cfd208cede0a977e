/* What the rooms of IPv4 and IPv6 sockets have in common. */
#pragma once

#include "lib/inaddr.h"
#include "restore/restore.h"
#include "restore/sockopt.h"

/* Options of an image: of these levels and the protocol's own. -EBADMSG explained. */
int sk_inet_check_options(const Img__File *file, const Img__SockOpts *opts, uint32_t protocol);

/* bind(2). -errno explained: a port that is taken names its owner. */
int sk_inet_bind(const Img__File *file, int fd, const union inaddr *local, int protocol);

/* A connection of datagrams: only where they go. -errno explained. */
int sk_inet_connect(const Img__File *file, int fd, const union inaddr *peer);

/* As connect(2) to no one: also lets go of a port that was not asked for. -errno. */
int sk_inet_disconnect(int fd);

/* shutdown(2) for what those bits say: 1 reading, 2 writing. -errno. */
int sk_inet_shutdown(int fd, uint32_t how);

/* An address of a link names an interface by number: that of DEVICE now, if it has one. */
void sk_inet_scope(union inaddr *a, const Img__SockOpts *opts);
