/*
 * UDP, UDP-Lite and ping sockets, restore half: the queue is filled while the
 * socket has no name yet, then it is bound and connected.
 *
 * A connected socket that has not asked for its port gets it by being connected, from a range of one
 * (IP_LOCAL_PORT_RANGE, 6.3); where it is not known, one of the range for those that do not ask most likely has
 * not asked. Where that does not lead to its address, it is bound.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "proto/sk_udp.pb-c.h"
#include "restore/sk_inet.h"
#include "restore/sk_mcast.h"
#include "restore/sk_udp_cork.h"
#include "restore/sk_udp_queue.h"

#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif

static bool is_udp(const Img__SkUdp *msg)
{
	return msg->protocol == IPPROTO_UDP || msg->protocol == IPPROTO_UDPLITE;
}

static bool protocol_valid(const Img__SkUdp *msg)
{
	if (msg->family != AF_INET && msg->family != AF_INET6)
		return false;
	return is_udp(msg) ||
	       msg->protocol == (msg->family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6);
}

static int sk_udp_check(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__SkUdp *msg = (const Img__SkUdp *)base;
	bool bad = !protocol_valid(msg) || msg->shutdown > 3;
	int e;

	bad |= msg->local.len && !inaddr_valid(msg->local.data, msg->local.len, (int)msg->family);
	bad |= msg->peer.len &&
	       (!msg->local.len || !inaddr_valid(msg->peer.data, msg->peer.len, (int)msg->family));
	bad |= msg->corked && !(is_udp(msg) && udp_cork_sound(msg));
	if (bad)
		return fail(-EBADMSG, "file %u: socket: its state makes no sense", file->id);
	e = sk_inet_check_options(file, msg->options, msg->protocol);
	if (e == 0)
		e = mcast_check(file, msg->family, msg->group, msg->n_group);
	return e < 0 ? e : udp_queue_check(file, msg);
}

/* ---- its place ---- */

static bool port_unasked(const Img__SkUdp *msg, uint16_t port)
{
	auto_free char *text = NULL;
	unsigned low, high;

	if (msg->asked)
		return !msg->asked->port && !msg->asked->address;
	return file_read(AT_FDCWD, "/proc/sys/net/ipv4/ip_local_port_range", &text) > 0 &&
	       sscanf(text, "%u %u", &low, &high) == 2 && port >= low && port <= high;
}

static int range_set(int fd, uint32_t range)
{
	return setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, &range, sizeof(range)) < 0 ? -errno
	                                                                                  : 0;
}

/* To its own. */
static int range_reset(int fd, const Img__SkUdp *msg)
{
	const Img__SockOpts__Value *v =
		sockopts_find(msg->options, IPPROTO_IP, IP_LOCAL_PORT_RANGE);
	uint32_t own = 0;

	if (v)
		memcpy(&own, v->value.data, sizeof(own));
	return range_set(fd, own);
}

static bool is_named(int fd, const union inaddr *want)
{
	union inaddr now = {};
	socklen_t len = sizeof(now);

	return getsockname(fd, &now.sa, &len) == 0 && inaddr_same_host(&now, want) &&
	       inaddr_port(&now) == inaddr_port(want);
}

/* Connected, and so named. What does not come to that leaves no trace. -errno. */
static int connect_unbound(int fd, const Img__SkUdp *msg, const union inaddr *local,
                           const union inaddr *peer)
{
	uint32_t port = inaddr_port(local);
	int e = is_udp(msg) && port_unasked(msg, (uint16_t)port) ? range_set(fd, port << 16 | port)
	                                                         : -EINVAL;

	if (e < 0)
		return e;
	if (connect(fd, &peer->sa, inaddr_len(peer)) < 0)
		e = -errno;
	else if (!is_named(fd, local))
		e = -EADDRNOTAVAIL;
	if (e < 0)
		sk_inet_disconnect(fd);
	return range_reset(fd, msg) < 0 ? -EPROTO : e;
}

/* Would connect(2) choose that address? */
static bool is_chosen(const Img__File *file, const Img__SkUdp *msg, const union inaddr *local,
                      const union inaddr *peer)
{
	auto_close int fd = socket((int)msg->family, SOCK_DGRAM | SOCK_CLOEXEC, (int)msg->protocol);
	union inaddr now = {};
	socklen_t len = sizeof(now);

	return fd >= 0 && sockopts_set(file, fd, msg->options, SOCKOPTS_EARLY) == 0 &&
	       connect(fd, &peer->sa, inaddr_len(peer)) == 0 &&
	       getsockname(fd, &now.sa, &len) == 0 && inaddr_same_host(&now, local);
}

/* Bound to the port alone, if it asked for that alone; -errno: it is to be bound to all of its name. */
static int bind_port(const Img__File *file, int fd, const Img__SkUdp *msg,
                     const union inaddr *local, const union inaddr *peer)
{
	union inaddr any = *local;

	if (!msg->asked || msg->asked->address || !is_udp(msg) ||
	    !is_chosen(file, msg, local, peer))
		return -EINVAL;
	if (any.sa.sa_family == AF_INET)
		any.v4.sin_addr.s_addr = htonl(INADDR_ANY);
	else
		any.v6.sin6_addr = in6addr_any;
	return bind(fd, &any.sa, inaddr_len(&any)) < 0 ? -errno : 0;
}

/* The same if it asked for the address alone. What does not come to that leaves no trace. */
static int bind_address(int fd, const Img__SkUdp *msg, const union inaddr *local)
{
	uint32_t port = inaddr_port(local);
	union inaddr any = *local;
	int e;

	if (!msg->asked || msg->asked->port || !msg->asked->address || !is_udp(msg))
		return -EINVAL;
	inaddr_set_port(&any, 0);
	e = range_set(fd, port << 16 | port);
	if (e == 0 && bind(fd, &any.sa, inaddr_len(&any)) < 0)
		e = -errno;
	if (e == 0 && !is_named(fd, local)) {
		sk_inet_disconnect(fd);
		e = -EADDRNOTAVAIL;
	}
	return range_reset(fd, msg) < 0 ? -EPROTO : e;
}

static int sock_place(const Img__File *file, int fd, const Img__SkUdp *msg)
{
	union inaddr local = inaddr_of(msg->local.data, msg->local.len);
	union inaddr peer = inaddr_of(msg->peer.data, msg->peer.len);
	int e = 0;

	sk_inet_scope(&local, msg->options);
	sk_inet_scope(&peer, msg->options);
	if (msg->peer.len && connect_unbound(fd, msg, &local, &peer) == 0)
		return 0;
	/* To be disconnected has taken the device away. */
	if (msg->peer.len)
		e = sockopts_set(file, fd, msg->options, SOCKOPTS_EARLY);
	if (e == 0 && msg->local.len &&
	    (!msg->peer.len ||
	     (bind_port(file, fd, msg, &local, &peer) < 0 && bind_address(fd, msg, &local) < 0)))
		e = sk_inet_bind(file, fd, &local, (int)msg->protocol);
	if (e == 0 && msg->peer.len)
		e = sk_inet_connect(file, fd, &peer);
	return e;
}

static int sock_make(const Img__SkUdp *msg)
{
	int fd = socket((int)msg->family, SOCK_DGRAM | SOCK_CLOEXEC, (int)msg->protocol);

	if (fd >= 0)
		return fd;
	if (errno == EACCES && !is_udp(msg))
		return fail(-EACCES,
		            "a ping socket: net.ipv4.ping_group_range does not have the group of "
		            "crtool");
	return fail(-errno, "a socket of family %u, protocol %u", msg->family, msg->protocol);
}

static int sk_udp_open(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__SkUdp *msg = (const Img__SkUdp *)base;
	auto_close int fd = sock_make(msg);
	int e = fd < 0 ? fd : mcast_join(file, fd, msg->group, msg->n_group);

	if (e == 0)
		e = udp_queue_fill(file, fd, msg);
	if (e == 0)
		e = sockopts_set(file, fd, msg->options, SOCKOPTS_EARLY);
	if (e == 0)
		e = sock_place(file, fd, msg);
	if (e == 0)
		e = sockopts_set(file, fd, msg->options, SOCKOPTS_LATE);
	if (e == 0)
		e = sk_inet_shutdown(fd, msg->shutdown);
	if (e == 0 && msg->corked)
		e = udp_cork_fill(file, fd, msg);
	if (e == 0)
		e = pool_set_flags(fd, file);
	if (e < 0)
		return log_failure() ? e : fail(e, "socket %u: set it up", file->id);
	return take_fd(&fd);
}

const struct restore_kind restore_sk_udp = {
	.check = sk_udp_check,
	.open = sk_udp_open,
};
