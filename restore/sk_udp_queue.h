/* The datagrams that waited in a socket. */
#pragma once

#include "proto/sk_udp.pb-c.h"
#include "restore/restore.h"

/* Only what a dump writes. -EBADMSG explained. */
int udp_queue_check(const Img__File *file, const Img__SkUdp *msg);

/*
 * Into FD, a new socket that is not bound to anything and is neither afterwards. What
 * cannot be delivered on this machine is reported as lost; a lack of memory or of numbers is an error.
 * -errno explained.
 */
int udp_queue_fill(const Img__File *file, int fd, const Img__SkUdp *msg);
