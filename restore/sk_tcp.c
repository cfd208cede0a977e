/*
 * TCP and MPTCP sockets, restore half. Every one is bound with SO_REUSEADDR, as
 * connections of the same port may stand already; the option gets its own
 * value when the socket stands.
 */
#include <errno.h>
#include <linux/tcp.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/sk_tcp.pb-c.h"
#include "restore/sk_inet.h"
#include "restore/sk_tcp_conn.h"
#include "restore/sk_tcp_dead.h"
#include "restore/sk_tcp_map.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

#define OPTIONS (TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_WSCALE)

#define MAX_ERRNO 4095

enum { ESTABLISHED = 1, CLOSED = 7, LISTEN = 10 };

/* Beyond this the kernel judges itself, by refusing. */
static bool connection_valid(const Img__SkTcp *msg)
{
	const Img__SkTcp__Connection *c = msg->connection;

	return msg->protocol == IPPROTO_TCP && msg->local.len &&
	       inaddr_valid(msg->peer.data, msg->peer.len, (int)msg->family) &&
	       c->snd_wscale <= 14 && c->rcv_wscale <= 14 && c->mss <= UINT16_MAX &&
	       !(c->options & ~(uint32_t)OPTIONS);
}

static int sk_tcp_check(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__SkTcp *msg = (const Img__SkTcp *)base;
	bool bad = msg->family != AF_INET && msg->family != AF_INET6;

	bad |= msg->protocol != IPPROTO_TCP && msg->protocol != IPPROTO_MPTCP;
	bad |= msg->state != (msg->connection        ? ESTABLISHED
	                      : msg->state == LISTEN ? LISTEN
	                                             : CLOSED);
	bad |= msg->local.len && !inaddr_valid(msg->local.data, msg->local.len, (int)msg->family);
	bad |= msg->dead ? msg->state != CLOSED || msg->local.len || msg->error > MAX_ERRNO
	                 : msg->reset || msg->error || msg->unread.len;
	bad |= msg->unread.len && msg->protocol != IPPROTO_TCP;
	bad |= msg->connection ? !connection_valid(msg) : msg->peer.len != 0;
	if (bad)
		return fail(-EBADMSG, "file %u: socket: its state makes no sense", file->id);
	return sk_inet_check_options(file, msg->options, msg->protocol);
}

static int reuse_set(int fd, int value)
{
	return setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &value, sizeof(value)) < 0 ? -errno : 0;
}

int tcp_reuse_reset(int fd, const Img__SkTcp *msg)
{
	const Img__SockOpts__Value *v = sockopts_find(msg->options, SOL_SOCKET, SO_REUSEADDR);
	int value = 0;

	if (v)
		memcpy(&value, v->value.data, sizeof(value));
	return reuse_set(fd, value);
}

static int sock_place(struct restore *r, const Img__File *file, int fd, const Img__SkTcp *msg)
{
	union inaddr local = tcp_local(r, msg);
	int e = 0;

	if (msg->dead || (msg->connection && r->opt->tcp_close)) {
		e = tcp_dead_make(fd, msg,
		                  msg->reset || msg->connection ? ECONNRESET : (int)msg->error);
		return e < 0 ? fail(e, "socket %u: a connection that has ended", file->id) : 0;
	}
	if (msg->connection)
		return tcp_conn_make(r, file, msg, fd);
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
		e = sock_place(r, file, fd, msg);
	if (e == 0 && (!msg->connection || r->opt->tcp_close)) {
		e = sockopts_set(file, fd, msg->options, SOCKOPTS_LATE);
		if (e == 0)
			e = tcp_reuse_reset(fd, msg);
	}
	if (e == 0)
		e = pool_set_flags(fd, file);
	if (e < 0)
		return log_failure() ? e : fail(e, "socket %u: set it up", file->id);
	return take_fd(&fd);
}

const struct restore_kind restore_sk_tcp = {
	.check = sk_tcp_check,
	.open = sk_tcp_open,
	.begin = tcp_restore_begin,
	.commit = tcp_restore_commit,
	.done = tcp_restore_done,
};
