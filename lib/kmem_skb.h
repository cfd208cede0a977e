/* What a buffer of the network (struct sk_buff) holds. */
#pragma once

#include "lib/kmem_pages.h"

/* Bytes that are put together from several: the reader keeps what went wrong. */
struct kmem_bytes {
	struct kmem_reader r;
	struct kmem_pages pages; /* found once they are needed */
	uint8_t *data;
	size_t size, have; /* there is room for; are there */
};

/* All that the buffer at SKB holds, from the address FROM in its first part on; 0: from its beginning. */
void kmem_skb_take(struct kmem_bytes *g, uint64_t skb, uint64_t from);
