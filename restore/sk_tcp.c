/*
 * TCP and MPTCP sockets, restore half. Every one is bound with SO_REUSEADDR, as
 * connections of the same port may stand already; the option gets its own
 * value when the socket stands.
 */
#include <errno.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/sk_tcp.pb-c.h"
#include "restore/sk_inet.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

enum { ESTABLISHED = 1, CLOSED = 7, LISTEN = 10 };

static int sk_tcp_check(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__SkTcp *msg = (const Img__SkTcp *)base;
	bool bad = msg->family != AF_INET && msg->family != AF_INET6;

	bad |= msg->protocol != IPPROTO_TCP && msg->protocol != IPPROTO_MPTCP;
	bad |= msg->state != CLOSED && msg->state != LISTEN;
	bad |= msg->local.len && !inaddr_valid(msg->local.data, msg->local.len, (int)msg->family);
	bad |= msg->peer.len || msg->connection || msg->dead || msg->reset;
	if (bad)
		return fail(-EBADMSG, "file %u: socket: its state makes no sense", file->id);
	return sk_inet_check_options(file, msg->options, msg->protocol);
}

static int reuse_set(int fd, int value)
{
	return setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &value, sizeof(value)) < 0 ? -errno : 0;
}

/* As the image says, after all that needed another value. */
static int reuse_reset(int fd, const Img__SkTcp *msg)
{
	const Img__SockOpts__Value *v = sockopts_find(msg->options, SOL_SOCKET, SO_REUSEADDR);
	int value = 0;

	if (v)
		memcpy(&value, v->value.data, sizeof(value));
	return reuse_set(fd, value);
}

static int sock_place(const Img__File *file, int fd, const Img__SkTcp *msg)
{
	union inaddr local = inaddr_of(msg->local.data, msg->local.len);
	int e = 0;

	if (msg->local.len)
		e = sk_inet_bind(file, fd, &local, (int)msg->protocol);
	if (e == 0 && msg->state == LISTEN && listen(fd, (int)msg->backlog) < 0)
		e = errno == EADDRINUSE ? sk_inet_bind(file, fd, &local, (int)msg->protocol)
		                        : fail(-errno, "socket %u: listen", file->id);
	return e;
}

static int sk_tcp_open(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__SkTcp *msg = (const Img__SkTcp *)base;
	auto_close int fd =
		socket((int)msg->family, SOCK_STREAM | SOCK_CLOEXEC, (int)msg->protocol);
	int e;

	if (fd < 0)
		return fail(-errno, "socket %u: create", file->id);
	e = sockopts_set(file, fd, msg->options, SOCKOPTS_EARLY);
	if (e == 0)
		e = reuse_set(fd, 1);
	if (e == 0)
		e = sock_place(file, fd, msg);
	if (e == 0)
		e = sockopts_set(file, fd, msg->options, SOCKOPTS_LATE);
	if (e == 0)
		e = reuse_reset(fd, msg);
	if (e == 0)
		e = pool_set_flags(fd, file);
	if (e < 0)
		return log_failure() ? e : fail(e, "socket %u: set it up", file->id);
	return take_fd(&fd);
}

const struct restore_kind restore_sk_tcp = {
	.check = sk_tcp_check,
	.open = sk_tcp_open,
};
