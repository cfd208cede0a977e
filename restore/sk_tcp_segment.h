/* What the peer has sent before the dump, told again. */
#pragma once

#include <stdbool.h>

#include "lib/inaddr.h"

#define SEGMENT_MAX 32768 /* bytes of data */

struct segment {
	union inaddr from, to; /* plain */
	uint32_t seq, ack;
	uint16_t window;
	bool fin;
	bool urgent; /* the first byte is */
	const void *data;
	size_t size;
};

/* Send it to ourselves, as if it came from there. -errno. */
int segment_send(const struct segment *s);
