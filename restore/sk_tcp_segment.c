/*
 * Repair mode has no way to say that the peer will send no more, has reset it, or that a byte is urgent, and a peer
 * whose segment was acknowledged does not send it again. So one is made by hand and goes
 * through a raw socket, over the loopback device, to our own socket.
 */
#include "restore/sk_tcp_segment.h"

#include <errno.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"

static uint32_t sum_add(uint32_t sum, const void *data, size_t size)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < size; i++)
		sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	return sum;
}

static uint16_t sum_fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

/* Where the urgent byte is: as BSD has it, a place behind that, or as the standard has it (tcp(7), tcp_stdurg). */
static uint16_t urgent_pointer(void)
{
	FILE *file = fopen("/proc/sys/net/ipv4/tcp_stdurg", "re");
	int standard = file ? fgetc(file) : '0';

	if (file)
		fclose(file);
	return standard == '1' ? 0 : 1;
}

/* ADDRESSES: both, as they stand in the header. */
static void tcp_fill(struct tcphdr *tcp, const struct segment *s, const void *addresses,
                     size_t size)
{
	uint32_t sum = IPPROTO_TCP + (uint32_t)(sizeof(*tcp) + s->size);

	*tcp = (struct tcphdr){
		.source = htons(inaddr_port(&s->from)),
		.dest = htons(inaddr_port(&s->to)),
		.seq = htonl(s->seq),
		.ack_seq = htonl(s->ack),
		.doff = sizeof(*tcp) / 4,
		.fin = s->fin,
		.rst = s->reset,
		.urg = s->urgent,
		.urg_ptr = s->urgent ? htons(urgent_pointer()) : 0,
		.ack = 1,
		.window = htons(s->window),
	};
	sum = sum_add(sum_add(sum, addresses, size), tcp, sizeof(*tcp));
	tcp->check = sum_fold(sum_add(sum, s->data, s->size));
}

/* The header of IP at PACKET, and that of TCP behind it; the size of both. */
static size_t heads_fill(char *packet, const struct segment *s)
{
	size_t size = sizeof(struct tcphdr) + s->size;
	struct iphdr v4 = { .version = 4,
		            .ihl = 5,
		            .tot_len = htons((uint16_t)(sizeof(v4) + size)),
		            .ttl = 64,
		            .protocol = IPPROTO_TCP,
		            .saddr = s->from.v4.sin_addr.s_addr,
		            .daddr = s->to.v4.sin_addr.s_addr };
	struct ip6_hdr v6 = { .ip6_plen = htons((uint16_t)size), .ip6_dst = s->to.v6.sin6_addr };
	struct tcphdr tcp;

	if (s->to.sa.sa_family == AF_INET) {
		tcp_fill(&tcp, s, &v4.saddr, 8);
		memcpy(packet, &v4, sizeof(v4));
		memcpy(packet + sizeof(v4), &tcp, sizeof(tcp));
		return sizeof(v4) + sizeof(tcp);
	}
	v6.ip6_vfc = 6 << 4;
	v6.ip6_nxt = IPPROTO_TCP;
	v6.ip6_hlim = 64;
	v6.ip6_src = s->from.v6.sin6_addr;
	tcp_fill(&tcp, s, &v6.ip6_src, 32);
	memcpy(packet, &v6, sizeof(v6));
	memcpy(packet + sizeof(v6), &tcp, sizeof(tcp));
	return sizeof(v6) + sizeof(tcp);
}

int segment_send(const struct segment *s)
{
	auto_free char *packet = malloc(sizeof(struct ip6_hdr) + sizeof(struct tcphdr) + s->size);
	auto_close int raw = socket(s->to.sa.sa_family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	union inaddr to = s->to;
	size_t size;

	if (!packet || raw < 0)
		return packet ? -errno : -ENOMEM;
	inaddr_set_port(&to, 0);
	size = heads_fill(packet, s);
	if (s->size)
		memcpy(packet + size, s->data, s->size);
	return sendto(raw, packet, size + s->size, 0, &to.sa, inaddr_len(&to)) < 0 ? -errno : 0;
}

int segment_device_off(int fd, struct segment_device *ret)
{
	socklen_t len = sizeof(ret->name);

	ret->name[0] = '\0';
	if (getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, ret->name, &len) < 0)
		return -errno;
	return *ret->name && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "", 0) < 0 ? -errno : 0;
}

int segment_device_on(int fd, const struct segment_device *was)
{
	socklen_t len = (socklen_t)strlen(was->name);

	return *was->name && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, was->name, len) < 0
	               ? -errno
	               : 0;
}
