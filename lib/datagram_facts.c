/* Those of UDP wait in two queues: who reads takes all of the second one into the first (net/ipv4/udp.c). */
#include "lib/datagram_facts.h"

#include <errno.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <stddef.h>

#define BUFFERS_MAX 65536

/* ---- which there are ---- */

static int queue_read(struct kmem_reader *r, const char *type, const char *name, uint64_t sock,
                      struct datagram_facts *ret)
{
	struct place head = kmem_place(r, type, name), first = head;
	uint64_t skb;

	first.at += kmem_place(r, "sk_buff_head", "next").at;
	first.size = sizeof(skb);
	skb = kmem_get_at(r, &first, sock);
	for (size_t i = 0; !r->error && skb != sock + head.at; i++) {
		struct datagram_fact *one = i < BUFFERS_MAX ? array_add(&ret->all) : NULL;

		if (!one)
			return i < BUFFERS_MAX ? -ENOMEM : -EOPNOTSUPP;
		*one = (struct datagram_fact){ skb, kmem_get(r, "sk_buff", "len", skb) };
		skb = kmem_get(r, "sk_buff", "next", skb);
	}
	return r->error;
}

static uint64_t queue_count(struct kmem_reader *r, const char *type, const char *name,
                            uint64_t sock)
{
	struct place place = kmem_place(r, type, name),
		     count = kmem_place(r, "sk_buff_head", "qlen");

	count.at += place.at;
	return kmem_get_at(r, &count, sock);
}

int datagram_facts_read(const struct kmem *k, int fd, bool is_udp, size_t known,
                        struct datagram_facts *ret)
{
	struct kmem_reader r = { .k = k };
	uint64_t sock = kmem_sock(&r, fd);
	uint64_t n = queue_count(&r, "sock", "sk_receive_queue", sock);
	int e;

	*ret = (struct datagram_facts){};
	if (is_udp)
		n += queue_count(&r, "udp_sock", "reader_queue", sock);
	e = r.error;
	if (e < 0 || n <= known)
		return e;
	if (is_udp)
		e = queue_read(&r, "udp_sock", "reader_queue", sock, ret);
	if (e == 0)
		e = queue_read(&r, "sock", "sk_receive_queue", sock, ret);
	if (e < 0)
		datagram_facts_done(ret);
	return e;
}

void datagram_facts_done(struct datagram_facts *facts)
{
	array_done(&facts->all);
}

/* ---- who sent it ---- */

/* SIZE bytes at OFF of the header NAME, which lies before what is left of the datagram. */
static void header_copy(struct kmem_reader *r, uint64_t skb, const char *name, size_t off,
                        void *buf, size_t size)
{
	uint64_t at = kmem_get(r, "sk_buff", "head", skb) + kmem_get(r, "sk_buff", name, skb) + off;

	if (!r->error)
		kmem_failed(r, kmem_copy(r->k, at, buf, size));
}

static void from_v4(struct kmem_reader *r, uint64_t skb, int family, union inaddr *ret)
{
	struct in_addr host = {};

	header_copy(r, skb, "network_header", offsetof(struct iphdr, saddr), &host, sizeof(host));
	if (family == AF_INET) {
		ret->v4.sin_addr = host;
		return;
	}
	ret->v6.sin6_addr.s6_addr[10] = ret->v6.sin6_addr.s6_addr[11] = 0xff;
	memcpy(&ret->v6.sin6_addr.s6_addr[12], &host, sizeof(host));
}

static void from_v6(struct kmem_reader *r, uint64_t skb, union inaddr *ret)
{
	struct in6_addr *host = &ret->v6.sin6_addr;

	header_copy(r, skb, "network_header", offsetof(struct ip6_hdr, ip6_src), host,
	            sizeof(*host));
	if (IN6_IS_ADDR_LINKLOCAL(host))
		ret->v6.sin6_scope_id = (uint32_t)kmem_get(r, "inet6_skb_parm", "iif",
		                                           skb + kmem_place(r, "sk_buff", "cb").at);
}

int datagram_facts_from(const struct kmem *k, const struct datagram_fact *one, int family,
                        union inaddr *ret)
{
	struct kmem_reader r = { .k = k };
	uint8_t first = 0;
	uint16_t port = 0;

	memset(ret, 0, sizeof(*ret));
	ret->sa.sa_family = (sa_family_t)family;
	header_copy(&r, one->at, "network_header", 0, &first, sizeof(first));
	header_copy(&r, one->at, "transport_header", offsetof(struct udphdr, source), &port,
	            sizeof(port));
	inaddr_set_port(ret, ntohs(port));
	if (first >> 4 == 4)
		from_v4(&r, one->at, family, ret);
	else if (first >> 4 == 6 && family == AF_INET6)
		from_v6(&r, one->at, ret);
	else
		kmem_failed(&r, -EOPNOTSUPP);
	return r.error;
}

int datagram_facts_sender(const struct kmem *k, const struct datagram_fact *one,
                          struct datagram_sender *ret)
{
	struct kmem_reader r = { .k = k };
	uint64_t own = one->at + kmem_place(&r, "sk_buff", "cb").at;
	uint64_t sock = kmem_get(&r, "sk_buff", "sk", one->at);
	uint64_t name = kmem_get(&r, "unix_sock", "addr", sock);
	uint64_t path = name + kmem_place(&r, "unix_address", "name").at +
	                offsetof(struct sockaddr_un, sun_path);
	uint64_t len = name ? kmem_get(&r, "unix_address", "len", name) : 0;

	*ret = (struct datagram_sender){
		.has_creds = kmem_get(&r, "unix_skb_parms", "pid", own),
		.has_files = kmem_get(&r, "unix_skb_parms", "fp", own),
	};
	if (r.error || len <= offsetof(struct sockaddr_un, sun_path))
		return r.error;
	ret->len = len - offsetof(struct sockaddr_un, sun_path);
	if (ret->len > sizeof(ret->path))
		ret->len = sizeof(ret->path); /* but for the NUL that ends it */
	return kmem_copy(k, path, ret->path, ret->len);
}
