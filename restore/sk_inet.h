/* What the rooms of IPv4 and IPv6 sockets have in common. */
#pragma once

#include "lib/inaddr.h"
#include "restore/restore.h"
#include "restore/sockopt.h"

/* Options of an image: of these levels and the protocol's own. -EBADMSG explained. */
int sk_inet_check_options(const Img__File *file, const Img__SockOpts *opts, uint32_t protocol);

/* bind(2). -errno explained: a port that is taken names its owner. */
int sk_inet_bind(const Img__File *file, int fd, const union inaddr *local, int protocol);
