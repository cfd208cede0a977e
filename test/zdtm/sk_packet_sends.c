/*
 * Rings that packet sockets send from: sk_packet_sends VERSION SENT WAITING [dgram|loss|vnet|both]...
 *
 * So many frames were sent and so many stand in the ring, not sent yet, when it is dumped: these must go out
 * first, and what comes next must be found where the program puts it.
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "zdtm.h"

#define TYPE   0x88b5 /* for local experiments */
#define BLOCK  8192
#define BLOCKS 4
#define FRAME  2048
#define FRAMES (BLOCKS * BLOCK / FRAME)
#define VNET   10 /* struct virtio_net_hdr */

static int version, type = SOCK_RAW, fd, receiver;
static bool loss, vnet, both;
static char *ring;
static uint32_t at; /* the frame that is filled next */
static int filled, received;

static struct sockaddr_ll place(uint16_t protocol)
{
	return (struct sockaddr_ll){ .sll_family = AF_PACKET,
		                     .sll_protocol = htons(protocol),
		                     .sll_ifindex = (int)if_nametoindex("lo"),
		                     .sll_halen = ETH_ALEN };
}

static void set(int option, int value)
{
	check(setsockopt(fd, SOL_PACKET, option, &value, sizeof(value)) == 0);
}

static void make(void)
{
	struct tpacket_req3 req = { .tp_block_size = BLOCK,
		                    .tp_block_nr = BLOCKS,
		                    .tp_frame_size = FRAME,
		                    .tp_frame_nr = FRAMES };
	socklen_t len = version == TPACKET_V3 ? sizeof(req) : sizeof(struct tpacket_req);
	struct sockaddr_ll to = place(TYPE);

	receiver = socket(AF_PACKET, SOCK_DGRAM, 0);
	check(bind(receiver, (struct sockaddr *)&to, sizeof(to)) == 0);
	fd = socket(AF_PACKET, type, 0);
	set(PACKET_VERSION, version);
	set(PACKET_LOSS, loss);
	if (vnet)
		set(PACKET_VNET_HDR, 1);
	if (both)
		check(setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &req, len) == 0);
	check(setsockopt(fd, SOL_PACKET, PACKET_TX_RING, &req, len) == 0);
	ring = mmap(NULL, BLOCK * BLOCKS * (1 + both), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	check(ring != MAP_FAILED);
	if (both)
		ring += BLOCK * BLOCKS; /* what is received lies before it */
}

/* In each version it is elsewhere. */
static volatile uint32_t *status(uint32_t i)
{
	char *frame = ring + (size_t)i * FRAME;

	/* The lower half of an unsigned long, in TPACKET_V1. */
	return version == TPACKET_V3 ? &((struct tpacket3_hdr *)(void *)frame)->tp_status
	                             : (volatile uint32_t *)(void *)frame;
}

static void fill(void)
{
	char *frame = ring + (size_t)at * FRAME, *data;
	uint16_t protocol = htons(TYPE);
	uint32_t len;

	check(*status(at) == TP_STATUS_AVAILABLE);
	data = frame +
	       (version == TPACKET_V1   ? TPACKET_HDRLEN
	        : version == TPACKET_V2 ? TPACKET2_HDRLEN
	                                : TPACKET3_HDRLEN) -
	       sizeof(struct sockaddr_ll);
	memset(data, 0, VNET + ETH_HLEN + 100);
	len = (uint32_t)(vnet ? VNET : 0) + (type == SOCK_RAW ? ETH_HLEN : 0);
	if (type == SOCK_RAW)
		memcpy(data + len - sizeof(protocol), &protocol, sizeof(protocol));
	len += (uint32_t)snprintf(data + len, 100, "frame %d", filled++) + 1;
	if (version == TPACKET_V1)
		((struct tpacket_hdr *)(void *)frame)->tp_len = len;
	else if (version == TPACKET_V2)
		((struct tpacket2_hdr *)(void *)frame)->tp_len = len;
	else
		((struct tpacket3_hdr *)(void *)frame)->tp_len = len;
	__atomic_store_n(status(at), TP_STATUS_SEND_REQUEST, __ATOMIC_RELEASE);
	at = (at + 1) % FRAMES;
}

/* All that wait go out, in turn. */
static void send_all(void)
{
	struct sockaddr_ll to = place(TYPE);
	char expected[32], text[200];

	check(sendto(fd, NULL, 0, 0, (struct sockaddr *)&to, sizeof(to)) >= 0);
	while (received < filled) {
		struct pollfd p = { .fd = receiver, .events = POLLIN };

		check(poll(&p, 1, 10000) == 1);
		check(recv(receiver, text, sizeof(text), 0) > 0);
		snprintf(expected, sizeof(expected), "frame %d", received++);
		check(!strcmp(text, expected));
	}
}

static void run(int before, int waiting)
{
	make();
	for (int i = 0; i < before; i++) {
		fill();
		send_all();
	}
	for (int i = 0; i < waiting; i++)
		fill();

	zdtm_park();

	for (int i = 0; i < waiting; i++)
		check(*status((at + FRAMES - 1 - (uint32_t)i) % FRAMES) == TP_STATUS_SEND_REQUEST);
	if (waiting)
		send_all();
	for (int i = 0; i < 2 * FRAMES + 3; i++) {
		fill();
		if (i % 3 == 2)
			send_all();
	}
	send_all();
}

int main(int argc, char **argv)
{
	check(argc >= 4);
	version = atoi(argv[1]) - 1;
	for (int i = 4; i < argc; i++) {
		type = !strcmp(argv[i], "dgram") ? SOCK_DGRAM : type;
		loss |= !strcmp(argv[i], "loss");
		vnet |= !strcmp(argv[i], "vnet");
		both |= !strcmp(argv[i], "both");
	}
	run(atoi(argv[2]), atoi(argv[3]));
	return zdtm_pass();
}
