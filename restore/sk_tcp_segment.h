/* What the peer has sent before the dump, told again. */
#pragma once

#include <net/if.h>
#include <stdbool.h>

#include "lib/inaddr.h"

#define SEGMENT_MAX 32768 /* bytes of data */

struct segment {
	union inaddr from, to; /* plain */
	uint32_t seq, ack;
	uint16_t window;
	bool fin, reset;
	bool urgent; /* the first byte is */
	const void *data;
	size_t size;
};

/* Send it to ourselves, as if it came from there. -errno. */
int segment_send(const struct segment *s);

/*
 * It comes by the loopback device, and who is bound to another one (SO_BINDTODEVICE) would not hear it: the peer would
 * be told that nobody is here. So FD is bound to none meanwhile. -errno.
 */
struct segment_device {
	char name[IFNAMSIZ]; /* "": it was bound to none */
};
int segment_device_off(int fd, struct segment_device *ret);
int segment_device_on(int fd, const struct segment_device *was);
