#include "lib/tpacket_facts.h"

#include <errno.h>
#include <unistd.h>

struct reader {
	const struct kmem *k;
	int error;
};

/* A field of a structure; the first that cannot be read is kept. */
static uint64_t get(struct reader *r, const char *type, const char *path, uint64_t at)
{
	const struct place place = btf_place(&r->k->btf, type, path);
	uint64_t value = 0;
	int e = place.size ? kmem_read(r->k, at, &place, &value) : -EOPNOTSUPP;

	if (!r->error && e < 0)
		r->error = e;
	return e < 0 ? 0 : value;
}

/* A socket is at the beginning of what its family makes of it. */
static uint64_t sock_of(struct reader *r, int fd)
{
	uint64_t at = 0;

	r->error = kmem_file(r->k, fd, &at);
	at = get(r, "file", "private_data", at);
	return get(r, "socket", "sk", at);
}

int tpacket_facts_read(const struct kmem *k, int fd, struct tpacket_facts *ret)
{
	struct reader r = { .k = k };
	uint64_t sock = sock_of(&r, fd);

	*ret = (struct tpacket_facts){};
	if (r.error == 0 && !get(&r, "packet_sock", "tx_ring.pg_vec", sock))
		return r.error;
	ret->block_size = (uint32_t)get(&r, "packet_sock", "tx_ring.pg_vec_pages", sock) *
	                  (uint32_t)sysconf(_SC_PAGESIZE);
	ret->block_nr = (uint32_t)get(&r, "packet_sock", "tx_ring.pg_vec_len", sock);
	ret->frame_size = (uint32_t)get(&r, "packet_sock", "tx_ring.frame_size", sock);
	ret->frame_nr = (uint32_t)get(&r, "packet_sock", "tx_ring.frame_max", sock) + 1;
	ret->head = (uint32_t)get(&r, "packet_sock", "tx_ring.head", sock);
	return r.error;
}
