/* The datagram that a socket holds back, as it is not whole yet (UDP_CORK, MSG_MORE). */
#pragma once

#include "proto/sk_udp.pb-c.h"
#include "restore/restore.h"

/* Only what a dump writes? */
bool udp_cork_sound(const Img__SkUdp *msg);

/*
 * Into FD, which is all that it is to be. Where the machine has no way to its destination it is reported as lost.
 * -errno explained.
 */
int udp_cork_fill(const Img__File *file, int fd, const Img__SkUdp *msg);
