/*
 * A raw socket sends headers as they are given. What goes to an address of this
 * machine has found its way when it comes in by the loopback: nobody asks any more
 * whether its sender could have come that way.
 */
#include "lib/forge.h"

#include <errno.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <string.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/cleanup.h"

/* Sums of 16 bits in network order (RFC 1071). */
static uint32_t sum_add(uint32_t sum, const void *data, size_t size)
{
	const uint8_t *byte = data;

	for (size_t i = 0; i < size; i++)
		sum += i % 2 ? byte[i] : (uint32_t)byte[i] << 8;
	return (sum & 0xffff) + (sum >> 16);
}

static uint16_t sum_end(uint32_t sum)
{
	uint16_t folded;

	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	folded = (uint16_t)~sum;
	return folded ? folded : 0xffff;
}

/* Covers addresses, protocol, length; header and data follow. */
static uint32_t pseudo_sum(const struct forged *what, size_t size)
{
	uint32_t tail[] = { htonl((uint32_t)size), htonl(what->protocol) };
	uint32_t sum;

	if (what->to.sa.sa_family == AF_INET) {
		sum = sum_add(0, &what->from.v4.sin_addr, 4);
		sum = sum_add(sum, &what->to.v4.sin_addr, 4);
	} else {
		sum = sum_add(0, &what->from.v6.sin6_addr, 16);
		sum = sum_add(sum, &what->to.v6.sin6_addr, 16);
	}
	return sum_add(sum, tail, sizeof(tail));
}

/* UDP-Lite has in place of the length how much the sum covers: 0 is all. */
static void udp_write(const struct forged *what, uint8_t *at)
{
	size_t size = sizeof(struct udphdr) + what->size;
	struct udphdr head = {
		.source = htons(inaddr_port(&what->from)),
		.dest = htons(inaddr_port(&what->to)),
		.len = what->protocol == IPPROTO_UDP ? htons((uint16_t)size) : 0,
	};
	uint32_t sum = sum_add(pseudo_sum(what, size), &head, sizeof(head));

	head.check = htons(sum_end(sum_add(sum, what->data, what->size)));
	memcpy(at, &head, sizeof(head));
	if (what->size)
		memcpy(at + sizeof(head), what->data, what->size);
}

static size_t ip_write(const struct forged *what, uint8_t *at)
{
	size_t size = sizeof(struct udphdr) + what->size;
	struct iphdr v4 = {
		.version = 4,
		.ihl = 5,
		.tos = what->tos,
		.ttl = what->ttl,
		.protocol = what->protocol,
		.saddr = what->from.v4.sin_addr.s_addr,
		.daddr = what->to.v4.sin_addr.s_addr,
	};
	struct ip6_hdr v6 = {};

	if (what->to.sa.sa_family == AF_INET) {
		memcpy(at, &v4, sizeof(v4));
		return sizeof(v4);
	}
	v6.ip6_flow = htonl(UINT32_C(6) << 28 | (uint32_t)what->tos << 20);
	v6.ip6_plen = htons((uint16_t)size);
	v6.ip6_nxt = what->protocol;
	v6.ip6_hlim = what->ttl;
	v6.ip6_src = what->from.v6.sin6_addr;
	v6.ip6_dst = what->to.v6.sin6_addr;
	memcpy(at, &v6, sizeof(v6));
	return sizeof(v6);
}

static int raw_open(struct forge *f, int family)
{
	int *fd = family == AF_INET ? &f->v4 : &f->v6;

	if (*fd < 0)
		*fd = socket(family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	return *fd < 0 ? -errno : *fd;
}

/* Which interface a multicast of IPv4 goes by is told beside it; of IPv6 the address says it. */
static int packet_send(int fd, const struct forged *what, void *packet, size_t size)
{
	union inaddr to = what->to;
	union {
		struct cmsghdr head;
		char buf[CMSG_SPACE(sizeof(struct in_pktinfo))];
	} control = {};
	struct in_pktinfo info = { .ipi_ifindex = (int)what->device };
	struct iovec iov = { packet, size };
	struct msghdr msg = {
		.msg_name = &to, .msg_namelen = inaddr_len(&to), .msg_iov = &iov, .msg_iovlen = 1
	};

	inaddr_set_port(&to, 0);
	if (to.sa.sa_family == AF_INET6) {
		to.v6.sin6_scope_id = what->device;
	} else if (what->device) {
		control.head.cmsg_level = IPPROTO_IP;
		control.head.cmsg_type = IP_PKTINFO;
		control.head.cmsg_len = CMSG_LEN(sizeof(info));
		memcpy(CMSG_DATA(&control.head), &info, sizeof(info));
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
	}
	return sendmsg(fd, &msg, 0) < 0 ? -errno : 0;
}

int forge_send(struct forge *f, const struct forged *what)
{
	int fd = raw_open(f, what->to.sa.sa_family);
	size_t most = sizeof(struct ip6_hdr) + sizeof(struct udphdr) + what->size, size;
	auto_free uint8_t *packet = NULL;

	if (fd < 0)
		return fd;
	if (what->from.sa.sa_family != what->to.sa.sa_family ||
	    most - sizeof(struct ip6_hdr) > UINT16_MAX)
		return -EMSGSIZE;
	packet = malloc(most);
	if (!packet)
		return -ENOMEM;
	size = ip_write(what, packet);
	udp_write(what, packet + size);
	return packet_send(fd, what, packet, size + sizeof(struct udphdr) + what->size);
}

void forge_done(struct forge *f)
{
	if (f->v4 >= 0)
		close(f->v4);
	if (f->v6 >= 0)
		close(f->v6);
	*f = FORGE_NONE;
}
