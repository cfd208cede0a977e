/* Connections that have ended. */
#pragma once

#include "proto/sk_tcp.pb-c.h"

/*
 * Make FD, a new socket, one whose connection has ended as MSG says: what was received can be read, then the program
 * is told of ERROR (errno(3)), if it is one that can be had, or that it was reset; 0: of none. -errno.
 */
int tcp_dead_make(int fd, const Img__SkTcp *msg, int error);
