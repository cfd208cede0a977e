/* The rings of a packet socket, dump half. */
#pragma once

#include <linux/packet_diag.h>

#include "dump/content.h"
#include "dump/dump.h"
#include "lib/tpacket_facts.h"
#include "proto/sk_packet.pb-c.h"

struct packet_ring {
	struct content content;
	Img__Pages *list[1];
	Img__SkPacket__Ring msg;
};

/*
 * Fill *RET, which is ready to be packed until packet_ring_done(), from the ring at AT, where
 * we have mapped it, of F; VERSION is its PACKET_VERSION. The program stands still. Explained.
 *
 * What it receives. -ENOTSUP: where the kernel is in it cannot be known now.
 */
int packet_ring_read(struct dump *d, const struct file *f, char *at, uint32_t version,
                     const struct packet_diag_ring *sizes, struct packet_ring *ret);
/* What it sends. */
int packet_sends_read(struct dump *d, const struct file *f, char *at, uint32_t version,
                      const struct tpacket_facts *facts, struct packet_ring *ret);
void packet_ring_done(struct packet_ring *ring);
