/*
 * The ring that a packet socket sends from. In a new one the kernel begins at the first frame. To have it
 * where it was, so many frames of our own are sent to the loopback device, of a protocol that
 * nobody knows; then all is overwritten by what was in the ring.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "restore/sk_packet_ring.h"

#define WAIT_US  100
#define WAIT_MAX 20000 /* times that */
#define LEN      32    /* of a frame of ours: so much the smallest has room for */

#ifndef PACKET_VNET_HDR_SZ
#define PACKET_VNET_HDR_SZ 24
#endif
#define VNET_HDR 10 /* struct virtio_net_hdr */

int packet_sends_check(struct restore *r, const Img__File *file, const Img__SkPacket__Ring *msg)
{
	char what[64];

	if (!msg)
		return 0;
	snprintf(what, sizeof(what), "file %u: the ring that a packet socket sends from", file->id);
	if (packet_ring_shape_bad(msg) || msg->head >= msg->frame_nr || msg->retire_tmo ||
	    msg->sizeof_priv || msg->features)
		return fail(-EBADMSG, "%s: its shape makes no sense", what);
	return packet_ring_check_content(r, msg, what);
}

static int ring_set(int fd, const Img__SkPacket__Ring *m)
{
	struct tpacket_req3 req = { .tp_block_size = m->block_size,
		                    .tp_block_nr = m->block_nr,
		                    .tp_frame_size = m->frame_size,
		                    .tp_frame_nr = m->frame_nr };
	socklen_t len = m->version == TPACKET_V3 ? sizeof(req) : sizeof(struct tpacket_req);

	return setsockopt(fd, SOL_PACKET, PACKET_TX_RING, &req, len) < 0 ? -errno : 0;
}

/* What comes before the frame itself (PACKET_VNET_HDR). */
static uint32_t ahead_of_frame(int fd)
{
	int size = 0, has = 0;

	if (getsockopt(fd, SOL_PACKET, PACKET_VNET_HDR_SZ, &size, &(socklen_t){ sizeof(size) }) ==
	    0)
		return (uint32_t)size;
	getsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &has, &(socklen_t){ sizeof(has) });
	return has ? VNET_HDR : 0;
}

/* To be sent as a frame of Ethernet with no address, or as what is in one. */
static void frame_write(const struct tpacket_ring *ring, uint32_t i, uint32_t ahead)
{
	const uint16_t protocol = htons(PACKET_FEED_PROTOCOL);
	char *data = (char *)tpacket_frame(ring, i) + tpacket_send_offset(ring);

	tpacket_send_describe(ring, i, LEN);
	memset(data, 0, LEN);
	memcpy(data + ahead + offsetof(struct ethhdr, h_proto), &protocol, sizeof(protocol));
	tpacket_send_set_status(ring, i, TP_STATUS_SEND_REQUEST);
}

/* All of them are the program's again; -EAGAIN: not yet; -EINVAL: one of them is not to the kernel's taste. */
static int all_sent(const struct tpacket_ring *ring, uint32_t n)
{
	const uint32_t under_way = TP_STATUS_SEND_REQUEST | TP_STATUS_SENDING;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t status = tpacket_send_status(ring, i);

		if (status & TP_STATUS_WRONG_FORMAT)
			return -EINVAL;
		if (status & under_way)
			return -EAGAIN;
	}
	return 0;
}

static int feed(const struct tpacket_ring *ring, int fd, uint32_t head)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
		                  .sll_protocol = htons(PACKET_FEED_PROTOCOL),
		                  .sll_halen = ETH_ALEN };
	uint32_t ahead = ahead_of_frame(fd);
	int e = packet_feed_device(fd, &to.sll_ifindex, NULL);

	if (ahead > LEN - ETH_HLEN)
		return -EINVAL;
	for (uint32_t i = 0; e == 0 && i < head; i++)
		frame_write(ring, i, ahead);
	for (int n = 0; e == 0 && n < WAIT_MAX; n++) {
		if (sendto(fd, NULL, 0, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof(to)) < 0 &&
		    errno != EAGAIN && errno != ENOBUFS)
			return -errno;
		e = all_sent(ring, head);
		if (e != -EAGAIN)
			return e;
		e = 0;
		usleep(WAIT_US);
	}
	return e < 0 ? e : -ETIME;
}

/* AT: where both rings are mapped, of which the first takes SKIP bytes. */
static int ring_fill(int fd, char *at, size_t skip, const struct tpacket_ring *saved, uint32_t head)
{
	struct tpacket_ring ring = *saved;
	int e;

	ring.at = at + skip;
	e = head ? feed(&ring, fd, head) : 0;
	if (e == 0)
		memcpy(ring.at, saved->at, tpacket_size(saved));
	return e;
}

static int ring_make(int fd, size_t skip, const struct tpacket_ring *saved,
                     const Img__SkPacket__Ring *m)
{
	size_t size = skip + tpacket_size(saved);
	int e = ring_set(fd, m);
	char *at;

	if (e < 0)
		return e;
	at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return -errno;
	e = ring_fill(fd, at, skip, saved, m->head);
	munmap(at, size);
	return e;
}

int packet_sends_make(struct restore *r, const Img__File *file, int fd,
                      const Img__SkPacket__Ring *rx, const Img__SkPacket__Ring *msg)
{
	auto_close int copy = -1;
	struct tpacket_ring saved;
	int e = msg ? packet_ring_check_version(file, fd, msg) : 0;

	if (!msg || e < 0)
		return e;
	copy = memfd_create("crtool-ring", MFD_CLOEXEC);
	e = packet_ring_saved(r, msg, copy, &saved);
	if (e == 0) {
		e = ring_make(fd, rx ? (size_t)rx->block_size * rx->block_nr : 0, &saved, msg);
		munmap(saved.at, tpacket_size(&saved));
	}
	return e < 0 ? packet_ring_explain(e, file, msg) : 0;
}
