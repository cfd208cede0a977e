/*
 * The rings of a packet socket, as packet(7) and Documentation/networking/packet_mmap.rst
 * describe them: frames in blocks (TPACKET_V1, _V2, and whatever is sent), or blocks that packets lie in one behind
 * the other (what is received, TPACKET_V3). Who owns a frame or block stands in its status; where the kernel
 * goes on is shown nowhere.
 */
#pragma once

#include <linux/if_packet.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tpacket_ring {
	char *at; /* mapped, or a copy */
	uint32_t version, block_size, block_nr, frame_size, frame_nr;
};

static inline size_t tpacket_size(const struct tpacket_ring *ring)
{
	return (size_t)ring->block_size * ring->block_nr;
}

void *tpacket_frame(const struct tpacket_ring *ring, uint32_t i);

/* TPACKET_V1, _V2. */

/* What tells of a frame whose it is and how old: copied as one. */
struct tpacket_mark {
	uint64_t status; /* TP_STATUS_USER: the program's */
	uint64_t time;   /* it grows; 0: never used */
};

struct tpacket_mark tpacket_mark_read(const struct tpacket_ring *ring, uint32_t i);
void tpacket_mark_write(const struct tpacket_ring *ring, uint32_t i, struct tpacket_mark mark);

/* TPACKET_V3. */

struct tpacket_block_desc *tpacket_block(const struct tpacket_ring *ring, uint32_t i);

/* The block that was opened last: its sequence number is the highest. */
uint32_t tpacket_newest_block(const struct tpacket_ring *ring);

/* A ring to send from, of any version. */

/* TP_STATUS_AVAILABLE: the program's. */
uint32_t tpacket_send_status(const struct tpacket_ring *ring, uint32_t i);
void tpacket_send_set_status(const struct tpacket_ring *ring, uint32_t i, uint32_t status);
/* Where in a frame that begins what is sent, unless the program says otherwise. */
uint32_t tpacket_send_offset(const struct tpacket_ring *ring);
/* That much is to be sent; not the status. */
void tpacket_send_describe(const struct tpacket_ring *ring, uint32_t i, uint32_t len);
