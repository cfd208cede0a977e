/*
 * Repair mode has no way to say that the peer will send no more, and a peer whose
 * FIN was acknowledged does not send it again. So one is made by hand and goes
 * through a raw socket, over the loopback device, to our own socket.
 */
#include "restore/sk_tcp_fin.h"

#include <errno.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"

struct packet {
	size_t size;
	union {
		struct {
			struct iphdr ip;
			struct tcphdr tcp;
		} v4;
		struct {
			struct ip6_hdr ip;
			struct tcphdr tcp;
		} v6;
		char bytes[sizeof(struct ip6_hdr) + sizeof(struct tcphdr)];
	};
};

static uint32_t sum_add(uint32_t sum, const void *data, size_t size)
{
	const uint8_t *p = data;

	for (size_t i = 0; i + 1 < size; i += 2)
		sum += (uint32_t)p[i] << 8 | p[i + 1];
	return sum;
}

static uint16_t sum_fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

/* ADDRESSES: both, as they stand in the header. */
static void tcp_fill(struct tcphdr *tcp, const struct fin *fin, const void *addresses, size_t size)
{
	uint32_t sum = sum_add(IPPROTO_TCP + sizeof(*tcp), addresses, size);

	*tcp = (struct tcphdr){
		.source = htons(inaddr_port(&fin->from)),
		.dest = htons(inaddr_port(&fin->to)),
		.seq = htonl(fin->seq),
		.ack_seq = htonl(fin->ack),
		.doff = sizeof(*tcp) / 4,
		.fin = 1,
		.ack = 1,
		.window = htons(fin->window),
	};
	tcp->check = sum_fold(sum_add(sum, tcp, sizeof(*tcp)));
}

static void packet_fill(struct packet *p, const struct fin *fin)
{
	memset(p, 0, sizeof(*p));
	if (fin->to.sa.sa_family == AF_INET) {
		p->size = sizeof(p->v4);
		p->v4.ip = (struct iphdr){ .version = 4,
			                   .ihl = 5,
			                   .tot_len = htons(sizeof(p->v4)),
			                   .ttl = 64,
			                   .protocol = IPPROTO_TCP,
			                   .saddr = fin->from.v4.sin_addr.s_addr,
			                   .daddr = fin->to.v4.sin_addr.s_addr };
		tcp_fill(&p->v4.tcp, fin, &p->v4.ip.saddr, 8);
		return;
	}
	p->size = sizeof(p->v6);
	p->v6.ip.ip6_vfc = 6 << 4;
	p->v6.ip.ip6_plen = htons(sizeof(p->v6.tcp));
	p->v6.ip.ip6_nxt = IPPROTO_TCP;
	p->v6.ip.ip6_hlim = 64;
	p->v6.ip.ip6_src = fin->from.v6.sin6_addr;
	p->v6.ip.ip6_dst = fin->to.v6.sin6_addr;
	tcp_fill(&p->v6.tcp, fin, &p->v6.ip.ip6_src, 32);
}

int fin_send(const struct fin *fin)
{
	auto_close int raw = socket(fin->to.sa.sa_family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	union inaddr to = fin->to;
	struct packet p;

	if (raw < 0)
		return -errno;
	inaddr_set_port(&to, 0);
	packet_fill(&p, fin);
	return sendto(raw, p.bytes, p.size, 0, &to.sa, inaddr_len(&to)) < 0 ? -errno : 0;
}
