/*
 * Packet sockets, restore half. Made with protocol 0, so that nothing comes in before
 * the filter and all options are there; interfaces are found by their names.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/sk_packet.pb-c.h"
#include "restore/restore.h"
#include "restore/sk_packet_ring.h"
#include "restore/sockopt.h"

#define MEMBERS_MAX (1 << 16) /* times that one is asked for */
#define ADDRESS_MAX 32        /* MAX_ADDR_LEN of the kernel */

/* struct packet_mreq with room for any address, which the headers do not have. */
struct member_req {
	int ifindex;
	uint16_t type, alen;
	uint8_t address[ADDRESS_MAX];
};

static const uint32_t levels[] = { SOL_SOCKET, SOL_PACKET, 0 };

static bool member_bad(const Img__SkPacket__Member *m)
{
	return !*m->device || strlen(m->device) >= IF_NAMESIZE || m->type > PACKET_MR_UNICAST ||
	       m->address.len > ADDRESS_MAX || !m->count || m->count > MEMBERS_MAX;
}

static bool fanout_bad(const Img__SkPacket__Fanout *f)
{
	return f->id > UINT16_MAX || f->type > PACKET_FANOUT_QM || f->flags > UINT8_MAX;
}

static int sk_packet_check(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__SkPacket *msg = (const Img__SkPacket *)base;
	bool bad = msg->type != SOCK_RAW && msg->type != SOCK_DGRAM;
	int e = packet_ring_check(r, file, msg->ring);

	if (e == 0)
		e = packet_sends_check(r, file, msg->sends);
	if (e < 0)
		return e;
	bad |= msg->ring && msg->sends && msg->ring->version != msg->sends->version;
	bad |= msg->protocol > UINT16_MAX || strlen(msg->device) >= IF_NAMESIZE;
	bad |= msg->fanout && fanout_bad(msg->fanout);
	for (size_t i = 0; i < msg->n_member; i++)
		bad |= member_bad(msg->member[i]);
	if (bad)
		return fail(-EBADMSG, "file %u: packet socket: its state makes no sense", file->id);
	return sockopts_check(file, msg->options, levels);
}

/* The number of an interface. -errno explained. */
static int device_find(const Img__File *file, const char *name)
{
	unsigned index = if_nametoindex(name);

	return index ? (int)index
	             : fail(-ENODEV, "packet socket %u: there is no interface %s", file->id, name);
}

static int sock_bind(const Img__File *file, int fd, const Img__SkPacket *msg)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET,
		                  .sll_protocol = htons((uint16_t)msg->protocol) };

	at.sll_ifindex = *msg->device ? device_find(file, msg->device) : 0;
	if (at.sll_ifindex < 0)
		return at.sll_ifindex;
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		return fail(-errno, "packet socket %u: bind to protocol %#x%s%s", file->id,
		            msg->protocol, *msg->device ? " of interface " : "", msg->device);
	return 0;
}

static int sock_join(const Img__File *file, int fd, const Img__SkPacket__Member *m)
{
	struct member_req req = { .ifindex = device_find(file, m->device),
		                  .type = (uint16_t)m->type,
		                  .alen = (uint16_t)m->address.len };

	if (req.ifindex < 0)
		return req.ifindex;
	memcpy(req.address, m->address.data, m->address.len);
	for (uint32_t i = 0; i < m->count; i++)
		if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &req, sizeof(req)) < 0)
			return fail(-errno, "packet socket %u: a membership on interface %s",
			            file->id, m->device);
	return 0;
}

static int sock_fanout(const Img__File *file, int fd, const Img__SkPacket__Fanout *f)
{
	uint32_t value = f ? f->id | f->type << 16 | f->flags << 24 : 0;

	if (f && setsockopt(fd, SOL_PACKET, PACKET_FANOUT, &value, sizeof(value)) < 0)
		return fail(-errno, "packet socket %u: fanout group %u", file->id, f->id);
	return 0;
}

static int sk_packet_open(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__SkPacket *msg = (const Img__SkPacket *)base;
	auto_close int fd = socket(AF_PACKET, (int)msg->type | SOCK_CLOEXEC, 0);
	int e;

	if (fd < 0)
		return fail(-errno, "packet socket %u: create", file->id);
	e = sockopts_set(file, fd, msg->options, SOCKOPTS_EARLY);
	if (e == 0)
		e = packet_ring_make(r, file, fd, msg->ring);
	if (e == 0)
		e = packet_sends_make(r, file, fd, msg->ring, msg->sends);
	if (e == 0)
		e = sockopts_set(file, fd, msg->options, SOCKOPTS_LATE);
	for (size_t i = 0; e == 0 && i < msg->n_member; i++)
		e = sock_join(file, fd, msg->member[i]);
	if (e == 0 && (msg->protocol || *msg->device))
		e = sock_bind(file, fd, msg);
	if (e == 0)
		e = sock_fanout(file, fd, msg->fanout);
	if (e < 0)
		return e;
	e = pool_set_flags(fd, file);
	return e < 0 ? fail(e, "packet socket %u: set its flags", file->id) : take_fd(&fd);
}

const struct restore_kind restore_sk_packet = {
	.check = sk_packet_check,
	.open = sk_packet_open,
};
