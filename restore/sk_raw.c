/* Raw IPv4 and IPv6 sockets, restore half. The kernel asks crtool for CAP_NET_RAW, as it has asked the program. */
#include <errno.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/sk_raw.pb-c.h"
#include "restore/sk_inet.h"
#include "restore/sk_mcast.h"

static const uint32_t levels[] = { SOL_SOCKET, IPPROTO_IP, IPPROTO_IPV6, SOL_RAW, IPPROTO_ICMPV6 };

static int sk_raw_check(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__SkRaw *msg = (const Img__SkRaw *)base;
	bool bad = msg->family != AF_INET && msg->family != AF_INET6;
	int e;

	bad |= msg->protocol >= IPPROTO_MAX || msg->shutdown > 3;
	bad |= msg->local.len && !inaddr_valid(msg->local.data, msg->local.len, (int)msg->family);
	bad |= msg->peer.len && !inaddr_valid(msg->peer.data, msg->peer.len, (int)msg->family);
	if (bad)
		return fail(-EBADMSG, "file %u: raw socket: its state makes no sense", file->id);
	e = sockopts_check_levels(file, msg->options, levels, ARRAY_SIZE(levels));
	return e < 0 ? e : mcast_check(file, msg->family, msg->group, msg->n_group);
}

static int sock_place(const Img__File *file, int fd, const Img__SkRaw *msg)
{
	union inaddr local = inaddr_of(msg->local.data, msg->local.len);
	union inaddr peer = inaddr_of(msg->peer.data, msg->peer.len);
	int e = 0;

	sk_inet_scope(&local, msg->options);
	sk_inet_scope(&peer, msg->options);
	if (msg->local.len)
		e = sk_inet_bind(file, fd, &local, (int)msg->protocol);
	return e == 0 && msg->peer.len ? sk_inet_connect(file, fd, &peer) : e;
}

static int sk_raw_open(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__SkRaw *msg = (const Img__SkRaw *)base;
	auto_close int fd = socket((int)msg->family, SOCK_RAW | SOCK_CLOEXEC, (int)msg->protocol);
	int e;

	if (fd < 0)
		return fail(-errno, "raw socket %u: create", file->id);
	e = sockopts_set(file, fd, msg->options, SOCKOPTS_EARLY);
	if (e == 0)
		e = sock_place(file, fd, msg);
	if (e == 0)
		e = mcast_join(file, fd, msg->group, msg->n_group);
	if (e == 0)
		e = sockopts_set(file, fd, msg->options, SOCKOPTS_LATE);
	if (e == 0)
		e = sk_inet_shutdown(fd, msg->shutdown);
	if (e == 0)
		e = pool_set_flags(fd, file);
	if (e < 0)
		return log_failure() ? e : fail(e, "raw socket %u: set it up", file->id);
	return take_fd(&fd);
}

const struct restore_kind restore_sk_raw = {
	.check = sk_raw_check,
	.open = sk_raw_open,
};
