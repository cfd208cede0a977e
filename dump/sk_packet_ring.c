/*
 * A ring is memory that a program and the kernel write to in turns, each from where it was. Where
 * the program is it knows itself; where the kernel goes on has to be found in the ring:
 *
 * TPACKET_V1, _V2: behind the frames that are the program's. If there are none, behind the newest
 * frame, for who gives a frame back leaves its time in it. A clock that was set back
 * makes that ambiguous, and is refused.
 *
 * TPACKET_V3: the block that was opened last has the highest number. Is it closed (it is
 * the program's, or its last packet has no next one), the next is to be opened.
 *
 * The kernel goes on to write while we look. What it writes from then on is let go, as the
 * network might have done: of a frame or block that is not the program's, only what tells its
 * age is kept.
 *
 * A ring to send from: while nothing waits to be sent no frame tells where the kernel goes on, which is
 * found in its memory (lib/tpacket_facts.h). A frame that the network has already is sent
 * whatever becomes of the socket, and is the program's again afterwards.
 */
#include "dump/sk_packet_ring.h"
#include "dump/stages.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/tpacket.h"

#define TRIES   100
#define WAIT_US 1000 /* a frame is written in a small part of that */

static bool is_users(struct tpacket_mark mark)
{
	return mark.status & TP_STATUS_USER;
}

/* ---- TPACKET_V1, TPACKET_V2 ---- */

/* The last frame of N behind which they are older, or never used; -ENOTSUP: there is more than one such. */
static int64_t newest_frame(const struct tpacket_mark *marks, uint32_t n)
{
	int64_t newest = -ENODATA;

	for (uint32_t i = 0; i < n; i++) {
		const struct tpacket_mark *next = &marks[(i + 1) % n];

		if (!marks[i].time || (next->time && next->time >= marks[i].time))
			continue;
		if (newest >= 0)
			return -ENOTSUP;
		newest = i;
	}
	return newest;
}

/* Where the run of frames that are the program's ends; the newest, should there be several. */
static int64_t end_of_users(const struct tpacket_mark *marks, uint32_t n)
{
	int64_t last = -ENODATA;

	for (uint32_t i = 0; i < n; i++)
		if (is_users(marks[i]) && !is_users(marks[(i + 1) % n]) &&
		    (last < 0 || marks[i].time > marks[last].time))
			last = i;
	return last;
}

static void read_marks(const struct tpacket_ring *ring, struct tpacket_mark *marks)
{
	for (uint32_t i = 0; i < ring->frame_nr; i++)
		marks[i] = tpacket_mark_read(ring, i);
}

/* The frame that the kernel wrote last; MARKS are those of that moment. -ENODATA: none yet. */
static int64_t last_frame(const struct tpacket_ring *ring, struct tpacket_mark *marks)
{
	int64_t before = -EAGAIN, last;

	/* While none is the program's, one may be half written: then another is the newest soon. */
	for (int i = 0; i < TRIES; i++) {
		read_marks(ring, marks);
		last = end_of_users(marks, ring->frame_nr);
		if (last >= 0)
			return last;
		last = newest_frame(marks, ring->frame_nr);
		if (last == before)
			return last;
		before = last;
		usleep(WAIT_US);
	}
	return -ENOTSUP;
}

static int copy_frames(const struct tpacket_ring *ring, const struct tpacket_ring *copy,
                       uint32_t *ret_head)
{
	auto_free struct tpacket_mark *marks = calloc(ring->frame_nr, sizeof(*marks));
	int64_t last = marks ? last_frame(ring, marks) : -ENOMEM;

	if (last < 0 && last != -ENODATA)
		return (int)last;
	*ret_head = last < 0 ? 0 : (uint32_t)(last + 1) % ring->frame_nr;
	memcpy(copy->at, ring->at, tpacket_size(ring));
	for (uint32_t i = 0; i < ring->frame_nr; i++)
		tpacket_mark_write(copy, i, marks[i]);
	return 0;
}

/* ---- TPACKET_V3 ---- */

/* The kernel ends the list of packets when it closes a block; none is closed that is empty. */
static bool is_closed(const struct tpacket_ring *ring, const struct tpacket_block_desc *block)
{
	const struct tpacket_hdr_v1 *h = &block->hdr.bh1;
	const struct tpacket3_hdr *packet = NULL;
	uint32_t at = h->offset_to_first_pkt;

	if (h->block_status & TP_STATUS_USER)
		return true;
	for (uint32_t i = 0; i < h->num_pkts; i++) {
		if (at > ring->block_size - sizeof(*packet))
			return false;
		packet = (const void *)((const char *)block + at);
		at += packet->tp_next_offset;
	}
	return packet && !packet->tp_next_offset;
}

/* While another block was opened, some was copied before and some after it. */
static bool copy_blocks_once(const struct tpacket_ring *ring, const struct tpacket_ring *copy)
{
	uint32_t before = tpacket_newest_block(ring);
	uint32_t status = tpacket_block(ring, before)->hdr.bh1.block_status;

	memcpy(copy->at, ring->at, tpacket_size(ring));
	return tpacket_newest_block(ring) == before &&
	       tpacket_block(ring, before)->hdr.bh1.block_status == status;
}

static int copy_blocks(const struct file *f, const struct tpacket_ring *ring,
                       const struct tpacket_ring *copy, uint32_t *ret_head)
{
	struct tpacket_block_desc *newest;
	int tries = TRIES;

	while (!copy_blocks_once(ring, copy))
		if (--tries == 0)
			return -ENOTSUP;
	*ret_head = tpacket_newest_block(copy);
	newest = tpacket_block(copy, *ret_head);
	if (is_closed(copy, newest))
		*ret_head = (*ret_head + 1) % ring->block_nr;
	else if (newest->hdr.bh1.num_pkts)
		lose("%s (%s): %u packets of the block that the kernel was filling", file_name(f),
		     file_describe(f), newest->hdr.bh1.num_pkts);
	if (!is_closed(copy, newest))
		newest->hdr.bh1.num_pkts = 0;
	return 0;
}

/* ---- to send ---- */

static void copy_sends(const struct tpacket_ring *ring, const struct tpacket_ring *copy)
{
	memcpy(copy->at, ring->at, tpacket_size(ring));
	for (uint32_t i = 0; i < ring->frame_nr; i++)
		if (tpacket_send_status(copy, i) & TP_STATUS_SENDING)
			tpacket_send_set_status(copy, i, TP_STATUS_AVAILABLE);
}

/* ---- */

static void describe(const struct packet_diag_ring *sizes, uint32_t version,
                     Img__SkPacket__Ring *ret)
{
	img__sk_packet__ring__init(ret);
	ret->version = version;
	ret->block_size = sizes->pdr_block_size;
	ret->block_nr = sizes->pdr_block_nr;
	ret->frame_size = sizes->pdr_frame_size;
	ret->frame_nr = sizes->pdr_frame_nr;
	ret->retire_tmo = sizes->pdr_retire_tmo;
	ret->sizeof_priv = sizes->pdr_sizeof_priv;
	ret->features = sizes->pdr_features;
}

/* Copied into the memory file COPY, and from there to the images. */
static int ring_copy(struct dump *d, const struct file *f, char *at, bool sends, int copy,
                     struct packet_ring *ret)
{
	const Img__SkPacket__Ring *m = &ret->msg;
	struct tpacket_ring ring = { at,          m->version,    m->block_size,
		                     m->block_nr, m->frame_size, m->frame_nr };
	struct tpacket_ring saved = ring;
	struct source source = { .fd = copy };
	size_t size = tpacket_size(&ring);
	int r = 0;

	if (copy < 0 || ftruncate(copy, (off_t)size) < 0)
		return -errno;
	saved.at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, copy, 0);
	if (saved.at == MAP_FAILED)
		return -errno;
	if (sends)
		copy_sends(&ring, &saved);
	else
		r = ring.version == TPACKET_V3 ? copy_blocks(f, &ring, &saved, &ret->msg.head)
		                               : copy_frames(&ring, &saved, &ret->msg.head);
	munmap(saved.at, size);
	if (r == 0)
		r = pages_first(d);
	return r < 0 ? r : content_copy(d->pages, &source, size, file_name(f), &ret->content);
}

static int ring_read(struct dump *d, const struct file *f, char *at, bool sends,
                     struct packet_ring *ret)
{
	auto_close int copy = memfd_create("crtool-ring", MFD_CLOEXEC);
	int r = ring_copy(d, f, at, sends, copy, ret);

	if (r == -ENOTSUP)
		return fail(r,
		            "%s (%s): nothing tells where in its ring the kernel is; try again "
		            "when packets wait in it",
		            file_name(f), file_describe(f));
	if (r < 0)
		return log_failure() ? r : fail(r, "%s: copy its ring", file_name(f));
	ret->list[0] = &ret->content.msg;
	ret->msg.n_content = ret->content.start.n ? 1 : 0;
	ret->msg.content = ret->list;
	return 0;
}

int packet_ring_read(struct dump *d, const struct file *f, char *at, uint32_t version,
                     const struct packet_diag_ring *sizes, struct packet_ring *ret)
{
	describe(sizes, version, &ret->msg);
	return ring_read(d, f, at, false, ret);
}

int packet_sends_read(struct dump *d, const struct file *f, char *at, uint32_t version,
                      const struct tpacket_facts *facts, struct packet_ring *ret)
{
	const struct packet_diag_ring sizes = { .pdr_block_size = facts->block_size,
		                                .pdr_block_nr = facts->block_nr,
		                                .pdr_frame_size = facts->frame_size,
		                                .pdr_frame_nr = facts->frame_nr };

	describe(&sizes, version, &ret->msg);
	ret->msg.head = facts->head;
	return ring_read(d, f, at, true, ret);
}

void packet_ring_done(struct packet_ring *ring)
{
	content_done(&ring->content);
}
