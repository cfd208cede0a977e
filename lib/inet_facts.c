#include "lib/inet_facts.h"

#include <errno.h>

/* Newer kernels have it elsewhere. */
static uint64_t labels_read(struct kmem_reader *r, uint64_t sock, uint64_t own)
{
	struct place now = btf_place(r->k->btf, "inet_sock", "ipv6_fl_list");

	return now.found ? kmem_get_at(r, &now, sock)
	                 : kmem_get(r, "ipv6_pinfo", "ipv6_fl_list", own);
}

static void six_read(struct kmem_reader *r, uint64_t sock, struct inet_facts *ret)
{
	uint64_t own = kmem_get(r, "inet_sock", "pinet6", sock);
	struct place source = kmem_place(r, "ipv6_pinfo", "sticky_pktinfo");

	ret->mtu = (uint32_t)kmem_get(r, "ipv6_pinfo", "frag_size", own);
	ret->has_labels = labels_read(r, sock, own);
	ret->has_anycast = kmem_get(r, "ipv6_pinfo", "ipv6_ac_list", own);
	if (!r->error)
		kmem_failed(r, kmem_copy(r->k, own + source.at, &ret->source, sizeof(ret->source)));
}

/* A kernel without IPsec has no such field. */
static bool policy_read(struct kmem_reader *r, uint64_t sock)
{
	struct place slot = btf_place(r->k->btf, "sock", "sk_policy");
	bool found = slot.found;

	slot.size = sizeof(uint64_t);
	for (int i = 0; found && i < 2; i++, slot.at += slot.size)
		if (kmem_get_at(r, &slot, sock))
			return true;
	return false;
}

/* Nor has one without busy polling that. */
static uint32_t budget_read(struct kmem_reader *r, uint64_t sock)
{
	struct place place = btf_place(r->k->btf, "sock", "sk_busy_poll_budget");

	return place.found ? (uint32_t)kmem_get_at(r, &place, sock) : 0;
}

int inet_facts_read(const struct kmem *k, int fd, bool is_six, struct inet_facts *ret)
{
	struct kmem_reader r = { .k = k };
	uint64_t sock = kmem_sock(&r, fd);

	*ret = (struct inet_facts){};
	ret->multicast_device = (uint32_t)kmem_get(&r, "inet_sock", "mc_index", sock);
	ret->multicast_address.s_addr = (uint32_t)kmem_get(&r, "inet_sock", "mc_addr", sock);
	ret->has_policy = policy_read(&r, sock);
	ret->busy_budget = budget_read(&r, sock);
	if (is_six)
		six_read(&r, sock, ret);
	return r.error;
}
