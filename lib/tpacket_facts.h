/* What the kernel knows of the ring that a packet socket sends from, and tells through no file (lib/kmem.h). */
#pragma once

#include "lib/kmem.h"

struct tpacket_facts {
	uint32_t block_size, block_nr; /* of no block: there is no such ring */
	uint32_t frame_size, frame_nr;
	uint32_t head; /* the frame that is sent next */
};

/* Of our own descriptor FD of a packet socket. -EOPNOTSUPP: this kernel is another one; -errno. */
int tpacket_facts_read(const struct kmem *k, int fd, struct tpacket_facts *ret);
