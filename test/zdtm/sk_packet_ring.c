/*
 * Receive rings of packet sockets: sk_packet_ring VERSION TAKEN LEFT
 *
 * So many frames were taken out of the ring and so many are left in it when it is dumped: these must be
 * there, and what comes next must come where the program waits for it.
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
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

static int version, fd;
static char *ring;
static uint32_t at;                 /* the frame, or block, that is looked at */
static struct tpacket3_hdr *packet; /* the next one in it; NULL: the first */
static uint32_t left;               /* packets left in it */
static int sent, taken;

static struct sockaddr_ll place(void)
{
	return (struct sockaddr_ll){ .sll_family = AF_PACKET,
		                     .sll_protocol = htons(TYPE),
		                     .sll_ifindex = (int)if_nametoindex("lo"),
		                     .sll_halen = ETH_ALEN };
}

static void make(void)
{
	struct tpacket_req3 req = { .tp_block_size = BLOCK,
		                    .tp_block_nr = BLOCKS,
		                    .tp_frame_size = FRAME,
		                    .tp_frame_nr = FRAMES,
		                    .tp_retire_blk_tov = version == TPACKET_V3 ? 5 : 0 };
	socklen_t len = version == TPACKET_V3 ? sizeof(req) : sizeof(struct tpacket_req);
	struct sockaddr_ll to = place();

	fd = socket(AF_PACKET, SOCK_RAW, 0);
	check(setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)) == 0);
	check(setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &req, len) == 0);
	ring = mmap(NULL, BLOCK * BLOCKS, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	check(ring != MAP_FAILED);
	check(bind(fd, (struct sockaddr *)&to, sizeof(to)) == 0);
}

static struct tpacket_block_desc *block(uint32_t i)
{
	return (struct tpacket_block_desc *)(void *)(ring + (size_t)i * BLOCK);
}

static uint64_t status(uint32_t i)
{
	if (version == TPACKET_V3)
		return block(i)->hdr.bh1.block_status;
	return version == TPACKET_V2 ? *(volatile uint32_t *)(void *)(ring + (size_t)i * FRAME)
	                             : *(volatile uint64_t *)(void *)(ring + (size_t)i * FRAME);
}

static void give_back(void)
{
	if (version == TPACKET_V3)
		block(at)->hdr.bh1.block_status = TP_STATUS_KERNEL;
	else if (version == TPACKET_V2)
		*(volatile uint32_t *)(void *)(ring + (size_t)at * FRAME) = TP_STATUS_KERNEL;
	else
		*(volatile uint64_t *)(void *)(ring + (size_t)at * FRAME) = TP_STATUS_KERNEL;
	at = (at + 1) % (version == TPACKET_V3 ? BLOCKS : FRAMES);
}

static bool wait_for(uint32_t i)
{
	for (int n = 0; n < 5000 && !(status(i) & TP_STATUS_USER); n++)
		usleep(1000);
	return status(i) & TP_STATUS_USER;
}

static bool is_next(const char *text)
{
	char expected[32];

	snprintf(expected, sizeof(expected), "frame %d", taken);
	return !strcmp(text, expected);
}

static void take_frame(void)
{
	const char *frame = ring + (size_t)at * FRAME;
	unsigned mac;

	check(wait_for(at));
	mac = version == TPACKET_V2 ? ((const struct tpacket2_hdr *)(const void *)frame)->tp_mac
	                            : ((const struct tpacket_hdr *)(const void *)frame)->tp_mac;
	check(is_next(frame + mac + ETH_HLEN));
	give_back();
}

static void take_packet(void)
{
	if (!packet) {
		check(wait_for(at));
		left = block(at)->hdr.bh1.num_pkts;
		packet = (void *)((char *)block(at) + block(at)->hdr.bh1.offset_to_first_pkt);
		check(left > 0);
	}
	check(is_next((char *)packet + packet->tp_mac + ETH_HLEN));
	packet = (void *)((char *)packet + packet->tp_next_offset);
	if (--left == 0) {
		packet = NULL;
		give_back();
	}
}

static void take(void)
{
	if (version == TPACKET_V3)
		take_packet();
	else
		take_frame();
	taken++;
}

static void send_one(void)
{
	static char text[1500];
	struct sockaddr_ll to = place();
	int from = socket(AF_PACKET, SOCK_DGRAM, 0);

	snprintf(text, sizeof(text), "frame %d", sent++);
	check(sendto(from, text, sizeof(text), 0, (struct sockaddr *)&to, sizeof(to)) > 0);
	close(from);
}

/* Frames that come while the ring is full are lost. */
static void fill(int n)
{
	uint32_t next = at;

	for (int i = 0; i < n; i++) {
		if (status(next) & TP_STATUS_USER)
			break;
		send_one();
		check(wait_for(next)); /* TPACKET_V3: each in a block of its own, by its time */
		next = (next + 1) % (version == TPACKET_V3 ? BLOCKS : FRAMES);
	}
}

int main(int argc, char **argv)
{
	check(argc == 4);
	version = atoi(argv[1]) - 1;
	make();
	for (int i = atoi(argv[2]); i > 0; i--) {
		send_one();
		take();
	}
	fill(atoi(argv[3]));

	zdtm_park();

	while (taken < sent)
		take();
	for (int i = 0; i < 2 * FRAMES + 3; i++) {
		send_one();
		if (i % 3 == 2)
			while (taken < sent)
				take();
	}
	return zdtm_pass();
}
