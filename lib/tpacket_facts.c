#include "lib/tpacket_facts.h"

#include <errno.h>
#include <unistd.h>

int tpacket_facts_read(const struct kmem *k, int fd, struct tpacket_facts *ret)
{
	struct kmem_reader r = { .k = k };
	uint64_t sock = kmem_sock(&r, fd);

	*ret = (struct tpacket_facts){};
	if (r.error == 0 && !kmem_get(&r, "packet_sock", "tx_ring.pg_vec", sock))
		return r.error;
	ret->block_size = (uint32_t)kmem_get(&r, "packet_sock", "tx_ring.pg_vec_pages", sock) *
	                  (uint32_t)sysconf(_SC_PAGESIZE);
	ret->block_nr = (uint32_t)kmem_get(&r, "packet_sock", "tx_ring.pg_vec_len", sock);
	ret->frame_size = (uint32_t)kmem_get(&r, "packet_sock", "tx_ring.frame_size", sock);
	ret->frame_nr = (uint32_t)kmem_get(&r, "packet_sock", "tx_ring.frame_max", sock) + 1;
	ret->head = (uint32_t)kmem_get(&r, "packet_sock", "tx_ring.head", sock);
	return r.error;
}
