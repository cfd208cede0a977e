/* The FIN that the peer has sent before the dump, told again. */
#pragma once

#include "lib/inaddr.h"

struct fin {
	union inaddr from, to; /* plain */
	uint32_t seq, ack;
	uint16_t window;
};

/* Send it to ourselves, as if it came from there. -errno. */
int fin_send(const struct fin *fin);
