/* UDP datagrams of any sender, delivered on this machine by raw sockets: needs CAP_NET_RAW. */
#pragma once

#include "lib/inaddr.h"

struct forge {
	int v4, v6; /* raw sockets; -1: not made yet */
};

#define FORGE_NONE ((struct forge){ -1, -1 })

struct forged {
	union inaddr from, to; /* of one family, IPv4 without the clothes of IPv6; ports included */
	unsigned device;       /* to leave by, for addresses that need it; 0: any */
	uint8_t protocol;      /* IPPROTO_UDP, IPPROTO_UDPLITE */
	uint8_t ttl, tos;      /* a multicast of ttl 0 stays on the machine */
	const void *data;
	size_t size;
};

/* -errno; when it is on its way is not known. */
int forge_send(struct forge *f, const struct forged *what);
void forge_done(struct forge *f);
