/*
 * net/ipv4/ip_output.c, __ip_append_data(), and its like of IPv6: each buffer begins with room for the header of its
 * packet, the first one also for that of UDP; more is put into pages that hang on it.
 */
#include "lib/udp_cork.h"

#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>

#include "lib/kmem_skb.h"

#define BUFFERS_MAX 1024
#define HEADER      sizeof(struct udphdr)

/* ---- the data ---- */

static void take_buffer(struct kmem_bytes *g, uint64_t skb, size_t header)
{
	struct kmem_reader *r = &g->r;
	uint64_t head = kmem_get(r, "sk_buff", "head", skb);

	kmem_skb_take(g, skb, head + kmem_get(r, "sk_buff", "transport_header", skb) + header);
}

static void take_all(struct kmem_bytes *g, uint64_t sock)
{
	struct place queue = kmem_place(&g->r, "sock", "sk_write_queue");
	uint64_t skb = kmem_get(&g->r, "sock", "sk_write_queue.next", sock);

	for (int i = 0; !g->r.error && skb != sock + queue.at; i++) {
		if (i == BUFFERS_MAX)
			return kmem_failed(&g->r, -EOPNOTSUPP);
		take_buffer(g, skb, i ? 0 : HEADER);
		skb = kmem_get(&g->r, "sk_buff", "next", skb);
	}
	if (g->have != g->size)
		kmem_failed(&g->r, -EOPNOTSUPP);
}

/* ---- where it goes ---- */

static void take_v4(struct kmem_reader *r, uint64_t sock, struct udp_cork *ret)
{
	uint64_t ttl = kmem_get(r, "inet_sock", "cork.base.ttl", sock);

	ret->from.v4.sin_family = ret->to.v4.sin_family = AF_INET;
	ret->from.v4.sin_addr.s_addr =
		(uint32_t)kmem_get(r, "inet_sock", "cork.fl.u.ip4.saddr", sock);
	ret->to.v4.sin_addr.s_addr =
		(uint32_t)kmem_get(r, "inet_sock", "cork.fl.u.ip4.daddr", sock);
	ret->to.v4.sin_port =
		(uint16_t)kmem_get(r, "inet_sock", "cork.fl.u.ip4.uli.ports.dport", sock);
	ret->ttl = ttl ? (int)ttl : -1;
	ret->tos = (int16_t)kmem_get(r, "inet_sock", "cork.base.tos", sock);
	if (kmem_get(r, "inet_sock", "cork.base.opt", sock))
		kmem_failed(r, -EOPNOTSUPP);
}

static void take_address(struct kmem_reader *r, uint64_t sock, const char *path,
                         struct in6_addr *ret)
{
	struct place place = kmem_place(r, "inet_sock", path);

	if (!r->error)
		kmem_failed(r, kmem_copy(r->k, sock + place.at, ret, sizeof(*ret)));
}

static void take_v6(struct kmem_reader *r, uint64_t sock, struct udp_cork *ret)
{
	uint64_t own = kmem_get(r, "inet_sock", "pinet6", sock);

	ret->from.v6.sin6_family = ret->to.v6.sin6_family = AF_INET6;
	take_address(r, sock, "cork.fl.u.ip6.saddr", &ret->from.v6.sin6_addr);
	take_address(r, sock, "cork.fl.u.ip6.daddr", &ret->to.v6.sin6_addr);
	ret->to.v6.sin6_port =
		(uint16_t)kmem_get(r, "inet_sock", "cork.fl.u.ip6.uli.ports.dport", sock);
	if (IN6_IS_ADDR_LINKLOCAL(&ret->to.v6.sin6_addr))
		ret->to.v6.sin6_scope_id = (uint32_t)kmem_get(
			r, "inet_sock", "cork.fl.u.ip6.__fl_common.flowic_oif", sock);
	ret->ttl = (int)kmem_get(r, "ipv6_pinfo", "cork.hop_limit", own);
	ret->tos = (int)kmem_get(r, "ipv6_pinfo", "cork.tclass", own);
	if (kmem_get(r, "ipv6_pinfo", "cork.opt", own))
		kmem_failed(r, -EOPNOTSUPP);
}

/* UDP_SEGMENT, SO_TXTIME by a control message. */
static void check_plain(struct kmem_reader *r, uint64_t sock)
{
	if (kmem_get(r, "inet_sock", "cork.base.gso_size", sock) ||
	    kmem_get(r, "inet_sock", "cork.base.transmit_time", sock))
		kmem_failed(r, -EOPNOTSUPP);
}

int udp_cork_read(const struct kmem *k, int fd, struct udp_cork *ret)
{
	struct kmem_bytes g = { .r = { .k = k } };
	uint64_t sock = kmem_sock(&g.r, fd);
	uint64_t pending = kmem_get(&g.r, "udp_sock", "pending", sock);
	uint64_t len = kmem_get(&g.r, "udp_sock", "len", sock);

	*ret = (struct udp_cork){ .ttl = -1, .tos = -1 };
	if (g.r.error || !pending)
		return g.r.error;
	if (len < HEADER || (pending != AF_INET && pending != AF_INET6))
		return -EOPNOTSUPP;
	check_plain(&g.r, sock);
	if (pending == AF_INET)
		take_v4(&g.r, sock, ret);
	else
		take_v6(&g.r, sock, ret);
	g.size = len - HEADER;
	g.data = malloc(g.size + 1);
	if (!g.data)
		return -ENOMEM;
	take_all(&g, sock);
	ret->data = g.data, ret->size = g.size;
	if (g.r.error)
		udp_cork_done(ret);
	return g.r.error ? g.r.error : 1;
}

void udp_cork_done(struct udp_cork *c)
{
	free(c->data);
	*c = (struct udp_cork){};
}
