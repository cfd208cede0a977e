/*
 * UDP, UDP-Lite and ping sockets, dump half. All is asked of a stolen descriptor,
 * the groups that it is in by trial (sk_mcast.c).
 *
 * Datagrams that wait are carried; of ping sockets they, and of all the errors that
 * the program was not told yet, are let go, as the network might have done. Behind an error that it is to be told
 * next, which would be told to us, they cannot be looked at. Data
 * that is corked (UDP_CORK, MSG_MORE) only the memory of the kernel tells: without that it is refused.
 *
 * What of its name a connected socket has asked for tells the memory of the kernel.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>

#include "dump/borrow.h"
#include "dump/kernel_memory.h"
#include "dump/sk_inet.h"
#include "dump/sk_inet_diag.h"
#include "dump/sk_mcast.h"
#include "dump/sk_udp_queue.h"
#include "dump/sk_unseen.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/udp_cork.h"
#include "proto/sk_udp.pb-c.h"

#define UDP_ENCAP 100

#define CORK_MS 50 /* until what was sent has left the machine, mostly */

static bool is_udp(const struct file *f)
{
	return f->sock.protocol == IPPROTO_UDP || f->sock.protocol == IPPROTO_UDPLITE;
}

static bool sk_udp_owns(const struct file *f)
{
	return sk_inet_is(f) && f->sock.type == SOCK_DGRAM &&
	       (is_udp(f) || f->sock.protocol == IPPROTO_ICMP ||
	        f->sock.protocol == IPPROTO_ICMPV6);
}

static int sk_udp_check(struct dump *d, const struct file *f)
{
	auto_(borrowed_done) struct borrowed b = file_borrow(f);
	int fd = b.fd, encap = 0, r;

	r = fd < 0 ? fail(fd, "%s: pidfd_getfd", file_name(f)) : sk_inet_check_netns(d, f, fd);
	if (r < 0)
		return r;
	if (f->sock.protocol == IPPROTO_UDP && sk_option(fd, IPPROTO_UDP, UDP_ENCAP, &encap) == 0 &&
	    encap)
		return fail(-ENOTSUP,
		            "%s (%s): the kernel itself takes packets out of it (UDP_ENCAP %d, a "
		            "tunnel): not supported by this version",
		            file_name(f), file_describe(f), encap);
	return sk_unseen_check(d, f, fd);
}

/* What the record holds besides the options. */
struct parts {
	union inaddr local, peer;
	struct sockopts opts;
	struct mcast_groups groups;
	struct udp_queue queue;
	struct udp_cork cork;
	Img__SkUdp__Corked corked;
	Img__SkUdp__Asked asked;
};

static void parts_done(struct parts *p)
{
	sockopts_done(&p->opts);
	mcast_done(&p->groups);
	udp_queue_done(&p->queue);
	udp_cork_done(&p->cork);
}

/* ---- corked data ---- */

/* Until what is on its way out has left the machine, mostly: that goes, and corked data stays. */
static int await_sent(const struct file *f, int fd)
{
	int unsent = 1;

	for (int ms = 0; ms <= CORK_MS && unsent; ms++) {
		if (ms)
			poll(NULL, 0, 1);
		if (ioctl(fd, SIOCOUTQ, &unsent) < 0)
			return fail(-errno, "%s: SIOCOUTQ", file_name(f));
	}
	return unsent ? fail(-ENOTSUP,
	                     "%s (%s): holds data that is corked (UDP_CORK, MSG_MORE) or that its "
	                     "interface does not send: it cannot be read; try again when it is "
	                     "sent",
	                     file_name(f), file_describe(f))
	              : 0;
}

static ProtobufCBinaryData address_bytes(union inaddr *a)
{
	return (ProtobufCBinaryData){ inaddr_len(a), (uint8_t *)a };
}

static int add_corked(struct dump *d, const struct file *f, int fd, struct parts *p,
                      Img__SkUdp *msg)
{
	const struct kmem *k;
	int unsent = 0, r;

	if (!is_udp(f) || (ioctl(fd, SIOCOUTQ, &unsent) == 0 && !unsent))
		return 0;
	k = kernel_memory(d);
	r = k ? udp_cork_read(k, fd, &p->cork) : -EOPNOTSUPP;
	if (r < 0)
		return await_sent(f, fd);
	if (r == 0)
		return 0; /* all of it is on its way out */
	img__sk_udp__corked__init(&p->corked);
	p->corked.source = address_bytes(&p->cork.from);
	p->corked.dest = address_bytes(&p->cork.to);
	p->corked.data = (ProtobufCBinaryData){ p->cork.size, p->cork.data };
	p->corked.ttl = p->cork.ttl;
	p->corked.tos = p->cork.tos;
	msg->corked = &p->corked;
	return 0;
}

/* ---- */

static int add_addresses(const struct file *f, int fd, struct parts *p, Img__SkUdp *msg)
{
	socklen_t len = sizeof(p->peer);
	int r = sk_inet_local(fd, &p->local);

	if (r < 0)
		return fail(r, "%s: getsockname", file_name(f));
	if (r > 0) {
		msg->local.data = (uint8_t *)&p->local;
		msg->local.len = inaddr_len(&p->local);
	}
	if (getpeername(fd, &p->peer.sa, &len) == 0) {
		msg->peer.data = (uint8_t *)&p->peer;
		msg->peer.len = len;
	} else if (errno != ENOTCONN) {
		return fail(-errno, "%s: getpeername", file_name(f));
	}
	return 0;
}

static void add_asked(struct dump *d, int fd, struct parts *p, Img__SkUdp *msg)
{
	enum { ADDRESS = 4, PORT = 8 }; /* SOCK_BINDADDR_LOCK, SOCK_BINDPORT_LOCK */
	struct kmem_reader r = { .k = msg->peer.len ? kernel_memory(d) : NULL };
	uint64_t locks = r.k ? kmem_get(&r, "sock", "sk_userlocks", kmem_sock(&r, fd)) : 0;

	if (!r.k || r.error)
		return;
	img__sk_udp__asked__init(&p->asked);
	p->asked.address = locks & ADDRESS;
	p->asked.port = locks & PORT;
	msg->asked = &p->asked;
}

static int add_shutdown(struct dump *d, const struct file *f, short revents, Img__SkUdp *msg)
{
	int r = is_udp(f) ? inet_diag_shutdown(d, f) : 0;

	if (r < 0 && r != -ENOENT) /* a kernel without udp_diag */
		return fail(r, "%s: list sockets (udp_diag)", file_name(f));
	msg->shutdown = (r < 0 ? 0 : (uint32_t)r) | ((revents & POLLRDHUP) != 0) |
	                (revents & POLLHUP ? 2 : 0);
	return 0;
}

static int add_queue(struct dump *d, const struct file *f, int fd, short revents, struct parts *p,
                     Img__SkUdp *msg)
{
	int r;

	/* One that is shut down is readable for that alone. */
	bool waiting = (revents & POLLIN) && !(revents & POLLRDHUP);
	bool told = revents & POLLERR && kernel_socket_error(d, fd) != 0;

	if (revents & POLLERR)
		lose("%s (%s): %s", file_name(f), file_describe(f),
		     told ? "an error that the program was not told yet"
		          : "what waits in its error queue");
	if (waiting && (!is_udp(f) || told))
		lose("%s (%s): the datagrams that wait in it", file_name(f), file_describe(f));
	if (!is_udp(f) || told || !(revents & POLLIN))
		return 0;
	r = udp_queue_read(d, f, fd, &p->queue);
	msg->n_datagram = p->queue.all.n;
	msg->datagram = p->queue.list;
	return r;
}

static int add_options(struct dump *d, const struct file *f, int fd, struct parts *p,
                       Img__SkUdp *msg)
{
	int r = sk_inet_options(d, f, fd, NULL, &p->opts);

	if (r == 0)
		r = sk_unseen_read(d, f, fd, &p->opts);
	if (r < 0)
		return r;
	/* Of a connected one the kernel notes there where the last came in: set, it would be a wish. */
	if (msg->peer.len)
		sockopts_drop(&p->opts, SOL_SOCKET, SO_INCOMING_CPU);
	sk_inet_lose_counters(f, &p->opts);
	msg->options = sockopts_message(&p->opts);
	return msg->options ? 0 : -ENOMEM;
}

static int sk_udp_read(struct dump *d, const struct file *f, int fd, struct parts *p,
                       Img__SkUdp *msg)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN | POLLRDHUP };
	int r = add_corked(d, f, fd, p, msg);

	msg->family = (uint32_t)f->sock.family;
	msg->protocol = (uint32_t)f->sock.protocol;
	if (r == 0 && poll(&ready, 1, 0) < 0)
		r = fail(-errno, "%s: poll", file_name(f));
	if (r == 0)
		r = add_addresses(f, fd, p, msg);
	if (r == 0)
		add_asked(d, fd, p, msg);
	if (r == 0)
		r = add_options(d, f, fd, p, msg);
	if (r == 0)
		r = add_shutdown(d, f, ready.revents, msg);
	if (r == 0)
		r = mcast_read(d, f, fd, &p->groups);
	msg->n_group = p->groups.all.n;
	msg->group = p->groups.list;
	return r < 0 ? r : add_queue(d, f, fd, ready.revents, p, msg);
}

static int sk_udp_dump(struct dump *d, const struct file *f)
{
	auto_(parts_done) struct parts p = {};
	auto_(borrowed_done) struct borrowed b = file_borrow(f);
	Img__SkUdp msg = IMG__SK_UDP__INIT;
	int r = b.fd < 0 ? fail(b.fd, "%s: pidfd_getfd", file_name(f))
	                 : sk_udp_read(d, f, b.fd, &p, &msg);

	return r < 0 ? r : image_put(d->out, KIND_sk_udp, f->id, &msg.base);
}

static void sk_udp_release(struct dump *d, bool killed)
{
	inet_diag_forget(d);
	mcast_forget(d);
}

const struct dump_kind dump_sk_udp = {
	.owns = sk_udp_owns,
	.check = sk_udp_check,
	.dump = sk_udp_dump,
	.release = sk_udp_release,
};
