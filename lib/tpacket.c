#include "lib/tpacket.h"

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
