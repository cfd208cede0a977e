/*
 * In a new ring the kernel begins at the first frame or block. To have it where it was,
 * so many are filled with frames of our own, sent to the loopback device, of a protocol that nobody
 * knows; then all is overwritten by what was in the ring. Only then the socket is bound to
 * where it belongs.
 *
 * TPACKET_V3: of the block that the kernel is at it knows by heart how far that is filled, so that one begins
 * behind our frame. Was that block still the program's, the kernel has to find it so, when it
 * comes to it. Blocks are numbered anew, as the kernel does it from now on.
 */
#include "restore/sk_packet_ring.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/tpacket.h"
#include "restore/content.h"

#define RING_MAX UINT64_C(0x100000000)
#define TRIES    5
#define WAIT_US  100
#define WAIT_MAX 20000 /* times that */
#define FRAME    1024  /* more than a small frame of ours takes with all headers */

/* ---- check ---- */

bool packet_ring_shape_bad(const Img__SkPacket__Ring *m)
{
	uint32_t least = m->version == TPACKET_V1   ? TPACKET_HDRLEN
	                 : m->version == TPACKET_V2 ? TPACKET2_HDRLEN
	                                            : TPACKET3_HDRLEN;

	if (m->version > TPACKET_V3 || !m->block_size || m->block_size % 4096 || !m->block_nr ||
	    (uint64_t)m->block_size * m->block_nr > RING_MAX)
		return true;
	return m->frame_size < least || m->frame_size % TPACKET_ALIGNMENT ||
	       m->frame_size > m->block_size ||
	       (uint64_t)(m->block_size / m->frame_size) * m->block_nr != m->frame_nr;
}

static bool shape_bad(const Img__SkPacket__Ring *m)
{
	if (packet_ring_shape_bad(m))
		return true;
	if (m->version < TPACKET_V3)
		return m->head >= m->frame_nr || m->retire_tmo || m->sizeof_priv || m->features;
	return m->head >= m->block_nr || m->sizeof_priv > m->block_size - FRAME;
}

int packet_ring_check_content(struct restore *r, const Img__SkPacket__Ring *msg, const char *what)
{
	return content_check(r, msg->content, msg->n_content,
	                     (uint64_t)msg->block_size * msg->block_nr, what);
}

int packet_ring_check(struct restore *r, const Img__File *file, const Img__SkPacket__Ring *msg)
{
	char what[64];

	if (!msg)
		return 0;
	snprintf(what, sizeof(what), "file %u: the ring of a packet socket", file->id);
	if (shape_bad(msg))
		return fail(-EBADMSG, "%s: its shape makes no sense", what);
	return packet_ring_check_content(r, msg, what);
}

/* ---- frames of our own ---- */

struct feed {
	struct tpacket_ring ring;
	int fd;       /* of the socket that receives */
	int from;     /* of the one that sends */
	int index;    /* of the device */
	uint32_t big; /* most bytes that one of ours has */
};

static void feed_done(struct feed *f)
{
	if (f->from >= 0)
		close(f->from);
	if (f->ring.at)
		munmap(f->ring.at, tpacket_size(&f->ring));
}

int packet_feed_device(int fd, int *ret_index, uint32_t *ret_mtu)
{
	struct ifreq req = { .ifr_name = PACKET_FEED_DEVICE };

	if (ioctl(fd, SIOCGIFINDEX, &req) < 0)
		return -errno;
	*ret_index = req.ifr_ifindex;
	if (ioctl(fd, SIOCGIFMTU, &req) < 0)
		return -errno;
	if (ret_mtu)
		*ret_mtu = (uint32_t)req.ifr_mtu;
	if (ioctl(fd, SIOCGIFFLAGS, &req) < 0)
		return -errno;
	return req.ifr_flags & IFF_UP ? 0 : -ENETDOWN;
}

static int feed_device(struct feed *f)
{
	uint32_t mtu = 0, part = f->ring.block_size / 4;
	int e = packet_feed_device(f->from, &f->index, &mtu);

	f->big = part < mtu ? part : mtu;
	return e;
}

static int feed_bind(const struct feed *f, uint16_t protocol, int index)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET,
		                  .sll_protocol = htons(protocol),
		                  .sll_ifindex = index };

	return bind(f->fd, (struct sockaddr *)&at, sizeof(at)) < 0 ? -errno : 0;
}

static int feed_begin(struct feed *f)
{
	int e;

	f->from = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (f->from < 0)
		return -errno;
	e = feed_device(f);
	return e < 0 ? e : feed_bind(f, PACKET_FEED_PROTOCOL, f->index);
}

/* Where it was before; nothing of ours is counted. */
static int feed_end(const struct feed *f)
{
	struct tpacket_stats_v3 stats;

	getsockopt(f->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &(socklen_t){ sizeof(stats) });
	return feed_bind(f, 0, 0);
}

static int feed_send(const struct feed *f, uint32_t size)
{
	static const char zeros[65536];
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
		                  .sll_protocol = htons(PACKET_FEED_PROTOCOL),
		                  .sll_ifindex = f->index,
		                  .sll_halen = ETH_ALEN };

	if (size > sizeof(zeros))
		size = sizeof(zeros);
	return sendto(f->from, zeros, size, 0, (struct sockaddr *)&to, sizeof(to)) < 0 ? -errno : 0;
}

/* ---- TPACKET_V1, TPACKET_V2 ---- */

static int feed_frames(const struct feed *f, uint32_t head)
{
	for (uint32_t i = 0; i < head; i++) {
		int e = feed_send(f, 1);

		for (int n = 0; e == 0 && !(tpacket_mark_read(&f->ring, i).status & TP_STATUS_USER);
		     n++) {
			if (n == WAIT_MAX)
				return -EAGAIN;
			usleep(n ? WAIT_US : 0);
		}
		if (e < 0)
			return e;
	}
	return tpacket_mark_read(&f->ring, head).status & TP_STATUS_USER ? -EAGAIN : 0;
}

/* ---- TPACKET_V3 ---- */

static struct tpacket_hdr_v1 *block_of(const struct feed *f, uint32_t i)
{
	return &tpacket_block(&f->ring, i)->hdr.bh1;
}

/* One more frame in block I: a big one while there is room, for the one that opens the next shall be small. */
static int feed_block(const struct feed *f, uint32_t i)
{
	const volatile struct tpacket_hdr_v1 *h = block_of(f, i);
	uint32_t len = h->blk_len;
	int e = feed_send(f, f->ring.block_size - len > f->big + 2 * FRAME ? f->big : 1);

	for (int n = 0; e == 0 && h->blk_len == len && !(h->block_status & TP_STATUS_USER); n++) {
		if (n == WAIT_MAX)
			return -EAGAIN;
		usleep(n ? WAIT_US : 0);
	}
	return e;
}

/* Until block I is closed. */
static int feed_close(const struct feed *f, uint32_t i)
{
	int e = 0;

	while (e == 0 && !(block_of(f, i)->block_status & TP_STATUS_USER))
		e = feed_block(f, i);
	return e;
}

/*
 * What is in the block at HEAD is nobody's: an empty one is not closed when its time is
 * over. -EAGAIN: it was already.
 */
static int empty_block(const struct feed *f, uint32_t head)
{
	struct tpacket_hdr_v1 *h = block_of(f, head);

	__atomic_store_n(&h->num_pkts, 0, __ATOMIC_SEQ_CST);
	return __atomic_load_n(&h->block_status, __ATOMIC_SEQ_CST) & TP_STATUS_USER ? -EAGAIN : 0;
}

/* IN_USE: the block at HEAD is the program's, and the kernel waits for it. */
static int feed_blocks(const struct feed *f, uint32_t head, bool in_use)
{
	uint32_t n = in_use && !head ? f->ring.block_nr : head;
	int e = 0;

	if (in_use && head)
		block_of(f, head)->block_status = TP_STATUS_USER;
	for (uint32_t i = 0; e == 0 && i < n; i++)
		e = feed_close(f, i);
	return e < 0 || in_use ? e : empty_block(f, head);
}

/* All but what the kernel counts from now on. */
static void write_blocks(const struct feed *f, const struct tpacket_ring *saved, uint32_t head,
                         bool in_use)
{
	for (uint32_t i = 0; i < f->ring.block_nr; i++) {
		struct tpacket_hdr_v1 now = *block_of(f, i);

		if (i != head || in_use)
			memcpy(tpacket_block(&f->ring, i), tpacket_block(saved, i),
			       f->ring.block_size);
		block_of(f, i)->seq_num = now.seq_num;
		if (i == head && !in_use)
			block_of(f, i)->offset_to_first_pkt = now.blk_len;
	}
}

/* ---- */

static bool head_in_use(const struct tpacket_ring *saved, uint32_t head)
{
	return saved->version == TPACKET_V3 &&
	       tpacket_block(saved, head)->hdr.bh1.block_status & TP_STATUS_USER;
}

/* Fill the ring with what was in it, by the kernel's own steps. */
static int ring_fill(struct feed *f, const struct tpacket_ring *saved, uint32_t head)
{
	bool in_use = head_in_use(saved, head), blocks = saved->version == TPACKET_V3;
	int e = 0;

	if (head || in_use) {
		e = feed_begin(f);
		if (e == 0)
			e = blocks ? feed_blocks(f, head, in_use) : feed_frames(f, head);
		if (e == 0)
			e = feed_end(f);
	}
	if (e < 0)
		return e;
	if (blocks)
		write_blocks(f, saved, head, in_use);
	else
		memcpy(f->ring.at, saved->at, tpacket_size(saved));
	return 0;
}

/* NR: blocks, 0: none any more. */
static int ring_set(int fd, const Img__SkPacket__Ring *m, uint32_t nr)
{
	struct tpacket_req3 req = { .tp_block_size = m->block_size,
		                    .tp_block_nr = nr,
		                    .tp_frame_size = m->frame_size,
		                    .tp_frame_nr = nr ? m->frame_nr : 0,
		                    .tp_retire_blk_tov = m->retire_tmo,
		                    .tp_sizeof_priv = m->sizeof_priv,
		                    .tp_feature_req_word = m->features };
	socklen_t len = m->version == TPACKET_V3 ? sizeof(req) : sizeof(struct tpacket_req);

	return setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &req, len) < 0 ? -errno : 0;
}

static void *map(int fd, size_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return at == MAP_FAILED ? NULL : at;
}

int packet_ring_saved(struct restore *r, const Img__SkPacket__Ring *m, int copy,
                      struct tpacket_ring *ret)
{
	int e;

	*ret = (struct tpacket_ring){ NULL,        m->version,    m->block_size,
		                      m->block_nr, m->frame_size, m->frame_nr };
	e = copy < 0 || ftruncate(copy, (off_t)tpacket_size(ret)) < 0 ? -errno : 0;
	if (e == 0)
		e = content_fill(r, m->content, m->n_content, copy);
	if (e < 0)
		return e;
	ret->at = map(copy, tpacket_size(ret));
	return ret->at ? 0 : -errno;
}

static int ring_make(struct restore *r, int fd, const Img__SkPacket__Ring *m)
{
	struct tpacket_ring saved = { NULL,        m->version,    m->block_size,
		                      m->block_nr, m->frame_size, m->frame_nr };
	auto_(feed_done) struct feed feed = { .ring = saved, .fd = fd, .from = -1 };
	auto_close int copy = memfd_create("crtool-ring", MFD_CLOEXEC);
	int e = ring_set(fd, m, m->block_nr);

	if (e == 0)
		e = packet_ring_saved(r, m, copy, &saved);
	if (e == 0) {
		feed.ring.at = map(fd, tpacket_size(&saved));
		e = feed.ring.at ? ring_fill(&feed, &saved, m->head) : -errno;
	}
	if (saved.at)
		munmap(saved.at, tpacket_size(&saved));
	return e;
}

int packet_ring_explain(int e, const Img__File *file, const Img__SkPacket__Ring *msg)
{
	if (e == -ENETDOWN)
		return fail(e,
		            "packet socket %u: to have the kernel where it was in its ring takes "
		            "the interface " PACKET_FEED_DEVICE
		            ", which is down: ip link set " PACKET_FEED_DEVICE " up",
		            file->id);
	return fail(e, "packet socket %u: its ring of %" PRIu64 " KiB", file->id,
	            (uint64_t)msg->block_size * msg->block_nr / 1024);
}

int packet_ring_check_version(const Img__File *file, int fd, const Img__SkPacket__Ring *msg)
{
	uint32_t version = 0;

	if (getsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, &(socklen_t){ sizeof(version) }) <
	    0)
		return fail(-errno, "packet socket %u: PACKET_VERSION", file->id);
	return version == msg->version
	               ? 0
	               : fail(-EBADMSG, "packet socket %u: its ring is of another version",
	                      file->id);
}

int packet_ring_make(struct restore *r, const Img__File *file, int fd,
                     const Img__SkPacket__Ring *msg)
{
	int e = msg ? packet_ring_check_version(file, fd, msg) : 0;

	if (!msg || e < 0)
		return e;
	/* A block may have been closed by the clock just when it was ours. */
	for (int tries = 0; (e = ring_make(r, fd, msg)) == -EAGAIN && tries < TRIES; tries++)
		if (ring_set(fd, msg, 0) < 0)
			break;
	return e < 0 ? packet_ring_explain(e, file, msg) : 0;
}
