#include "lib/tpacket.h"

#include <string.h>

void *tpacket_frame(const struct tpacket_ring *ring, uint32_t i)
{
	uint32_t per_block = ring->block_size / ring->frame_size;

	return ring->at + (size_t)(i / per_block) * ring->block_size +
	       (size_t)(i % per_block) * ring->frame_size;
}

/* The status is written last by the kernel, so that it is read first. */
struct tpacket_mark tpacket_mark_read(const struct tpacket_ring *ring, uint32_t i)
{
	struct tpacket_mark mark;

	if (ring->version == TPACKET_V1) {
		const struct tpacket_hdr *h = tpacket_frame(ring, i);

		mark.status = __atomic_load_n(&h->tp_status, __ATOMIC_ACQUIRE);
		mark.time = (uint64_t)h->tp_sec << 32 | h->tp_usec;
	} else {
		const struct tpacket2_hdr *h = tpacket_frame(ring, i);

		mark.status = __atomic_load_n(&h->tp_status, __ATOMIC_ACQUIRE);
		mark.time = (uint64_t)h->tp_sec << 32 | h->tp_nsec;
	}
	return mark;
}

void tpacket_mark_write(const struct tpacket_ring *ring, uint32_t i, struct tpacket_mark mark)
{
	uint32_t sec = (uint32_t)(mark.time >> 32), rest = (uint32_t)mark.time;

	if (ring->version == TPACKET_V1) {
		struct tpacket_hdr *h = tpacket_frame(ring, i);

		h->tp_status = mark.status;
		h->tp_sec = sec, h->tp_usec = rest;
	} else {
		struct tpacket2_hdr *h = tpacket_frame(ring, i);

		h->tp_status = (uint32_t)mark.status;
		h->tp_sec = sec, h->tp_nsec = rest;
	}
}

struct tpacket_block_desc *tpacket_block(const struct tpacket_ring *ring, uint32_t i)
{
	return (struct tpacket_block_desc *)(void *)(ring->at + (size_t)i * ring->block_size);
}

uint32_t tpacket_newest_block(const struct tpacket_ring *ring)
{
	uint32_t newest = 0;

	for (uint32_t i = 1; i < ring->block_nr; i++)
		if (tpacket_block(ring, i)->hdr.bh1.seq_num >
		    tpacket_block(ring, newest)->hdr.bh1.seq_num)
			newest = i;
	return newest;
}

uint32_t tpacket_send_status(const struct tpacket_ring *ring, uint32_t i)
{
	const void *frame = tpacket_frame(ring, i);

	if (ring->version == TPACKET_V1)
		return (uint32_t)__atomic_load_n(&((const struct tpacket_hdr *)frame)->tp_status,
		                                 __ATOMIC_ACQUIRE);
	if (ring->version == TPACKET_V2)
		return __atomic_load_n(&((const struct tpacket2_hdr *)frame)->tp_status,
		                       __ATOMIC_ACQUIRE);
	return __atomic_load_n(&((const struct tpacket3_hdr *)frame)->tp_status, __ATOMIC_ACQUIRE);
}

void tpacket_send_set_status(const struct tpacket_ring *ring, uint32_t i, uint32_t status)
{
	void *frame = tpacket_frame(ring, i);

	if (ring->version == TPACKET_V1)
		__atomic_store_n(&((struct tpacket_hdr *)frame)->tp_status, status,
		                 __ATOMIC_RELEASE);
	else if (ring->version == TPACKET_V2)
		__atomic_store_n(&((struct tpacket2_hdr *)frame)->tp_status, status,
		                 __ATOMIC_RELEASE);
	else
		__atomic_store_n(&((struct tpacket3_hdr *)frame)->tp_status, status,
		                 __ATOMIC_RELEASE);
}

uint32_t tpacket_send_offset(const struct tpacket_ring *ring)
{
	const size_t header = ring->version == TPACKET_V1   ? sizeof(struct tpacket_hdr)
	                      : ring->version == TPACKET_V2 ? sizeof(struct tpacket2_hdr)
	                                                    : sizeof(struct tpacket3_hdr);

	return (uint32_t)TPACKET_ALIGN(header);
}

/* With PACKET_TX_HAS_OFF the program tells where it begins, too: at the usual place. */
void tpacket_send_describe(const struct tpacket_ring *ring, uint32_t i, uint32_t len)
{
	void *frame = tpacket_frame(ring, i);
	const uint16_t from = (uint16_t)tpacket_send_offset(ring);
	struct tpacket_hdr *v1 = frame;
	struct tpacket2_hdr *v2 = frame;
	struct tpacket3_hdr *v3 = frame;

	memset(frame, 0, from);
	if (ring->version == TPACKET_V1)
		v1->tp_len = len, v1->tp_mac = v1->tp_net = from;
	else if (ring->version == TPACKET_V2)
		v2->tp_len = len, v2->tp_mac = v2->tp_net = from;
	else
		v3->tp_len = len, v3->tp_mac = v3->tp_net = from;
}
