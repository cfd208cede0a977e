/* The receive ring of a packet socket, dump half. */
#pragma once

#include <linux/packet_diag.h>

#include "dump/content.h"
#include "dump/dump.h"
#include "proto/sk_packet.pb-c.h"

struct packet_ring {
	struct content content;
	Img__Pages *list[1];
	Img__SkPacket__Ring msg;
};

/*
 * Fill *RET, which is ready to be packed until packet_ring_done(), from the ring of F that has
 * these sizes; FD is a descriptor of ours for F, VERSION its PACKET_VERSION. The
 * program stands still. -ENOTSUP: where the kernel is in it cannot be known now. Explained.
 */
int packet_ring_read(struct dump *d, const struct file *f, int fd, uint32_t version,
                     const struct packet_diag_ring *sizes, struct packet_ring *ret);
void packet_ring_done(struct packet_ring *ring);
