/*
 * What a UDP socket holds back (UDP_CORK, MSG_MORE): one datagram that is not whole yet. The kernel has it in buffers,
 * one for each packet that the network will see, and tells nobody (lib/kmem.h).
 */
#pragma once

#include "lib/inaddr.h"
#include "lib/kmem.h"

struct udp_cork {
	union inaddr from,
		to;   /* of one family, IPv4 without the clothes of IPv6; from has no port */
	int ttl, tos; /* hop limit, traffic class; -1: those of the socket */
	uint8_t *data;
	size_t size;
};

/*
 * Of our own descriptor FD, which nobody uses meanwhile. 1: there is one, to be freed by udp_cork_done(); 0: there is
 * none. -EOPNOTSUPP: this kernel is another one, or it was begun in a way that is not known. -errno.
 */
int udp_cork_read(const struct kmem *k, int fd, struct udp_cork *ret);
void udp_cork_done(struct udp_cork *c);
