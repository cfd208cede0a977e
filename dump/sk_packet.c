/*
 * Packet sockets, dump half. Options are asked of a stolen descriptor; memberships, fanout groups and
 * rings the kernel lists (packet_diag).
 *
 * Packets that wait are let go, as the network might have done, but those in a ring (sk_packet_ring.c).
 * Refused are fanout groups that a program chooses in (it cannot be read), and rings to send from where
 * the memory of the kernel cannot be read. Not seen: how many members a fanout group may have, if that is not the
 * usual number (struct fanout_args), PACKET_TX_TIMESTAMP.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/packet_diag.h>
#include <net/if.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "dump/kernel_memory.h"
#include "dump/sk_inet.h"
#include "dump/sk_packet_ring.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/sockdiag.h"
#include "proto/sk_packet.pb-c.h"

#ifndef SOCK_PACKET
#define SOCK_PACKET 10
#endif

static bool sk_packet_owns(const struct file *f)
{
	return f->sock.family == AF_PACKET;
}

/* ---- what the kernel lists ---- */

struct listed {
	uint32_t inode; /* wanted */
	bool found, fanout, sends;
	struct packet_diag_ring ring; /* of no block: there is none */
	struct tpacket_facts send;    /* so is that which it sends from */
	struct packet_diag_mclist *members;
	size_t nmembers;
};

static void listed_done(struct listed *l)
{
	free(l->members);
}

static int listed_take(const void *data, size_t size, void *arg)
{
	const struct packet_diag_msg *msg = data;
	struct listed *l = arg;
	size_t left;
	const struct nlattr *attrs = sockdiag_attrs(data, sizeof(*msg), size, &left), *list, *ring;

	if (msg->pdiag_ino != l->inode)
		return 0;
	list = sockdiag_find(attrs, left, PACKET_DIAG_MCLIST);
	ring = sockdiag_find(attrs, left, PACKET_DIAG_RX_RING);
	l->found = true;
	l->fanout = sockdiag_find(attrs, left, PACKET_DIAG_FANOUT);
	l->sends = sockdiag_find(attrs, left, PACKET_DIAG_TX_RING);
	if (ring && sockdiag_size(ring) >= sizeof(l->ring))
		memcpy(&l->ring, sockdiag_data(ring), sizeof(l->ring));
	l->nmembers = list ? sockdiag_size(list) / sizeof(*l->members) : 0;
	if (!l->nmembers)
		return 1;
	l->members = malloc(sockdiag_size(list));
	if (!l->members)
		return -ENOMEM;
	memcpy(l->members, sockdiag_data(list), sockdiag_size(list));
	return 1;
}

/* There are few of them in a system: one list each time. */
static int listed_read(const struct file *f, struct listed *ret)
{
	struct packet_diag_req req = {
		.sdiag_family = AF_PACKET,
		.pdiag_show = PACKET_SHOW_INFO | PACKET_SHOW_MCLIST | PACKET_SHOW_RING_CFG |
		              PACKET_SHOW_FANOUT,
	};
	int r;

	ret->inode = (uint32_t)f->st.st_ino;
	r = sockdiag_each(&req, sizeof(req), listed_take, ret);
	if (r == -ENOENT)
		return fail(-ENOTSUP,
		            "%s (%s): the kernel does not list packet sockets "
		            "(CONFIG_PACKET_DIAG)",
		            file_name(f), file_describe(f));
	if (r < 0 || !ret->found)
		return fail(r < 0 ? r : -ENOENT, "%s: list packet sockets", file_name(f));
	return 0;
}

static size_t ring_size(const struct listed *l)
{
	return (size_t)l->ring.pdr_block_size * l->ring.pdr_block_nr;
}

static size_t send_size(const struct listed *l)
{
	return (size_t)l->send.block_size * l->send.block_nr;
}

/* The kernel lists none of TPACKET_V3 that is to send from, and of none where it is in it. */
static int find_send(struct dump *d, const struct file *f, int fd, struct listed *l)
{
	const struct kmem *k;
	int version, r = sk_option(fd, SOL_PACKET, PACKET_VERSION, &version);

	if (r < 0)
		return fail(r, "%s: PACKET_VERSION", file_name(f));
	if (!l->sends && version != TPACKET_V3)
		return 0;
	k = kernel_memory(d);
	r = k ? tpacket_facts_read(k, fd, &l->send) : -EOPNOTSUPP;
	if (r == 0 || !l->sends)
		return 0;
	return fail(-ENOTSUP,
	            "%s (%s): where in the ring that it sends from (PACKET_TX_RING) the kernel is "
	            "tells the kernel's memory only, which takes CAP_BPF and CAP_PERFMON to read, "
	            "and a kernel with BTF; --on-unknown-fd=null or =close lets it go",
	            file_name(f), file_describe(f));
}

static int listed_find(struct dump *d, const struct file *f, int fd, struct listed *ret)
{
	int r = listed_read(f, ret);

	return r < 0 ? r : find_send(d, f, fd, ret);
}

static int fanout_read(const struct file *f, int fd, uint32_t *ret)
{
	int value = 0, r = sk_option(fd, SOL_PACKET, PACKET_FANOUT, &value);

	*ret = (uint32_t)value;
	return r < 0 ? fail(r, "%s: its fanout group", file_name(f)) : 0;
}

static uint32_t fanout_type(uint32_t value)
{
	return value >> 16 & 0xff;
}

static int refuse(const struct file *f, const char *why)
{
	return fail(-ENOTSUP,
	            "%s (%s): %s: not supported by this version; --on-unknown-fd=null or =close "
	            "lets it go",
	            file_name(f), file_describe(f), why);
}

static int sk_packet_check(struct dump *d, const struct file *f)
{
	auto_(listed_done) struct listed listed = {};
	auto_close int fd = file_steal(f);
	uint32_t fanout = 0;
	int r = fd < 0 ? fail(fd, "%s: pidfd_getfd", file_name(f)) : sk_inet_check_netns(d, f, fd);

	if (r == 0)
		r = sockopts_filter_check(f, fd);
	if (r == 0 && f->sock.type == SOCK_PACKET)
		return refuse(f, "is of the obsolete type SOCK_PACKET");
	if (r == 0)
		r = listed_find(d, f, fd, &listed);
	if (r == 0 && listed.fanout)
		r = fanout_read(f, fd, &fanout);
	if (r == 0 && (fanout_type(fanout) == PACKET_FANOUT_CBPF ||
	               fanout_type(fanout) == PACKET_FANOUT_EBPF))
		return refuse(f, "a program chooses among its fanout group (PACKET_FANOUT_DATA)");
	return r;
}

/* ---- record ---- */

struct parts {
	struct listed listed;
	struct sockopts opts;
	struct packet_ring ring, sends;
	Img__SkPacket__Fanout fanout;
	Img__SkPacket__Member *members, **list;
	char (*names)[IF_NAMESIZE], device[IF_NAMESIZE];
};

static void parts_done(struct parts *p)
{
	listed_done(&p->listed);
	sockopts_done(&p->opts);
	packet_ring_done(&p->ring);
	packet_ring_done(&p->sends);
	free(p->members);
	free(p->list);
	free(p->names);
}

static int device_name(const struct file *f, int index, char name[IF_NAMESIZE])
{
	if (index > 0 && if_indextoname((unsigned)index, name))
		return 0;
	return fail(-ENOTSUP, "%s (%s): the interface that it is bound to is gone", file_name(f),
	            file_describe(f));
}

static int add_place(const struct file *f, int fd, struct parts *p, Img__SkPacket *msg)
{
	struct sockaddr_ll at = {};

	if (getsockname(fd, (struct sockaddr *)&at, &(socklen_t){ sizeof(at) }) < 0)
		return fail(-errno, "%s: getsockname", file_name(f));
	msg->protocol = ntohs(at.sll_protocol);
	msg->device = p->device;
	return at.sll_ifindex ? device_name(f, at.sll_ifindex, p->device) : 0;
}

/* Those of an interface that is gone are gone, too. */
static int add_members(struct parts *p, Img__SkPacket *msg)
{
	size_t n = p->listed.nmembers;

	p->members = calloc(n + 1, sizeof(*p->members));
	p->list = calloc(n + 1, sizeof(*p->list));
	p->names = calloc(n + 1, sizeof(*p->names));
	if (!p->members || !p->list || !p->names)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct packet_diag_mclist *m = &p->listed.members[i];
		Img__SkPacket__Member *to = &p->members[i];

		if (!if_indextoname(m->pdmc_index, p->names[i]))
			continue;
		img__sk_packet__member__init(to);
		to->device = p->names[i];
		to->type = m->pdmc_type;
		to->address.data = m->pdmc_addr;
		to->address.len = m->pdmc_alen;
		to->count = m->pdmc_count;
		p->list[msg->n_member++] = to;
	}
	msg->member = p->list;
	return 0;
}

static int add_fanout(const struct file *f, int fd, struct parts *p, Img__SkPacket *msg)
{
	uint32_t value;
	int r = p->listed.fanout ? fanout_read(f, fd, &value) : -ENOENT;

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	img__sk_packet__fanout__init(&p->fanout);
	p->fanout.id = value & 0xffff;
	p->fanout.type = fanout_type(value);
	p->fanout.flags = value >> 24;
	msg->fanout = &p->fanout;
	return 0;
}

static int add_options(struct dump *d, const struct file *f, int fd, struct parts *p,
                       Img__SkPacket *msg)
{
	int r = sockopts_read(d, f, fd, SOL_SOCKET, &p->opts);

	if (r == 0)
		r = sockopts_read(d, f, fd, SOL_PACKET, &p->opts);
	if (r < 0)
		return r;
	msg->options = sockopts_message(&p->opts);
	return msg->options ? 0 : -ENOMEM;
}

static int read_rings(struct dump *d, const struct file *f, char *at, struct parts *p,
                      Img__SkPacket *msg)
{
	uint32_t version = (uint32_t)sockopts_int(&p->opts, SOL_PACKET, PACKET_VERSION, TPACKET_V1);
	int r = 0;

	if (ring_size(&p->listed)) {
		msg->ring = &p->ring.msg;
		r = packet_ring_read(d, f, at, version, &p->listed.ring, &p->ring);
	}
	if (r == 0 && send_size(&p->listed)) {
		msg->sends = &p->sends.msg;
		r = packet_sends_read(d, f, at + ring_size(&p->listed), version, &p->listed.send,
		                      &p->sends);
	}
	return r;
}

/* What is received first, as the kernel maps them. */
static int add_rings(struct dump *d, const struct file *f, int fd, struct parts *p,
                     Img__SkPacket *msg)
{
	size_t size = ring_size(&p->listed) + send_size(&p->listed);
	char *at;
	int r;

	if (!size)
		return 0;
	at = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return fail(-errno, "%s: map its ring", file_name(f));
	r = read_rings(d, f, at, p, msg);
	munmap(at, size);
	return r;
}

/* With a ring it can be read from as long as that has some for the program. */
static void tell_lost(const struct file *f, int fd, bool ring)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };

	if (poll(&ready, 1, 0) <= 0)
		return;
	if (ready.revents & POLLERR)
		lose("%s (%s): an error that the program was not told yet", file_name(f),
		     file_describe(f));
	if (ready.revents & POLLIN && !ring)
		lose("%s (%s): the packets that wait in it", file_name(f), file_describe(f));
}

static int sk_packet_dump(struct dump *d, const struct file *f)
{
	auto_(parts_done) struct parts p = {};
	auto_close int fd = file_steal(f);
	Img__SkPacket msg = IMG__SK_PACKET__INIT;
	int r = fd < 0 ? fail(fd, "%s: pidfd_getfd", file_name(f))
	               : listed_find(d, f, fd, &p.listed);

	msg.type = (uint32_t)f->sock.type;
	if (r == 0)
		r = add_place(f, fd, &p, &msg);
	if (r == 0)
		r = add_members(&p, &msg);
	if (r == 0)
		r = add_fanout(f, fd, &p, &msg);
	if (r == 0)
		r = add_options(d, f, fd, &p, &msg);
	if (r == 0)
		r = add_rings(d, f, fd, &p, &msg);
	if (r < 0)
		return r;
	tell_lost(f, fd, msg.ring);
	return image_put(d->out, KIND_sk_packet, f->id, &msg.base);
}

/* The kernel maps it as a whole only. */
static int sk_packet_check_vma(struct dump *d, const struct file *f, const struct vma *v)
{
	auto_(listed_done) struct listed listed = {};
	auto_close int fd = file_steal(f);
	int r = fd < 0 ? fail(fd, "%s: pidfd_getfd", file_name(f)) : listed_find(d, f, fd, &listed);

	if (r < 0)
		return r;
	if (v->offset || v->end - v->start != ring_size(&listed) + send_size(&listed))
		return refuse(f, "only a part of its ring is mapped, or in several parts");
	return 0;
}

const struct dump_kind dump_sk_packet = {
	.maps_itself = true,
	.check_vma = sk_packet_check_vma,
	.owns = sk_packet_owns,
	.check = sk_packet_check,
	.dump = sk_packet_dump,
};
