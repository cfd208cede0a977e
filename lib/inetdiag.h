/* What sock_diag(7) lists of IPv4 and IPv6 sockets: one dump for all, in the network namespace of the caller. */
#pragma once

#include <linux/inet_diag.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/sockdiag.h"

#define INETDIAG_ALL (~0U) /* states */

/*
 * EACH for every socket of that family and protocol in one of STATES (bits of TCP states),
 * with what EXT asks for besides (1 << (INET_DIAG_... - 1)) in ATTRS; one that does not
 * return 0 ends it. What that returned, 0, or -errno.
 */
int inetdiag_each(int family, int protocol, uint32_t states, uint8_t ext,
                  int (*each)(const struct inet_diag_msg *msg, const struct nlattr *attrs,
                              size_t size, void *arg),
                  void *arg);
