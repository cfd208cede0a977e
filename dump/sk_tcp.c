/*
 * TCP and MPTCP sockets, dump half. All is asked of a stolen descriptor, at a
 * cost that does not depend on how many sockets there are: TCP_INFO tells the
 * state, and of a listener its backlog and how many connections wait in it.
 *
 * A connection that waits to be accepted belongs to no descriptor and can be
 * taken out of the queue, but not put back: it is refused, or let go by policy.
 *
 * Not carried: connections, SYN_SENT, MPTCP connections.
 */
#include <errno.h>
#include <linux/tcp.h>
#include <poll.h>
#include <string.h>

#include "dump/sk_inet.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/sk_tcp.pb-c.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

enum { ESTABLISHED = 1, SYN_SENT, SYN_RECV, CLOSED = 7, LISTEN = 10 };

static bool sk_tcp_owns(const struct file *f)
{
	int type, protocol;

	return sk_inet_is(f, &type, &protocol) && type == SOCK_STREAM &&
	       (protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP);
}

/* What is known of one socket. */
struct sock {
	int fd, family, protocol, state;
	struct tcp_info info;
};

/* MPTCP answers TCP_INFO from its first subflow, which a new one has not. */
static int info_read(struct sock *s)
{
	int listens = 0, r = sk_option(s->fd, SOL_SOCKET, SO_ACCEPTCONN, &listens);
	socklen_t len = sizeof(s->info);

	if (r < 0)
		return r;
	if (getsockopt(s->fd, IPPROTO_TCP, TCP_INFO, &s->info, &len) < 0 &&
	    s->protocol == IPPROTO_TCP)
		return -errno;
	s->state = listens ? LISTEN : s->info.tcpi_state ? s->info.tcpi_state : CLOSED;
	return 0;
}

static int sock_read(const struct file *f, int fd, struct sock *s)
{
	int r;

	memset(s, 0, sizeof(*s));
	s->fd = fd;
	r = sk_option(fd, SOL_SOCKET, SO_DOMAIN, &s->family);
	if (r == 0)
		r = sk_option(fd, SOL_SOCKET, SO_PROTOCOL, &s->protocol);
	if (r == 0)
		r = info_read(s);
	return r < 0 ? fail(r, "%s: ask for its state", file_name(f)) : 0;
}

/* ---- checks ---- */

static int check_listener(const struct file *f, const struct sock *s)
{
	if (!s->info.tcpi_unacked)
		return 0;
	return fail(-ENOTSUP,
	            "%s (%s): %u connections wait to be accepted, which cannot be saved: try again "
	            "when they are",
	            file_name(f), file_describe(f), s->info.tcpi_unacked);
}

/* One that was connected and is no more, or waits with an error, is not like a new one. */
static int check_closed(const struct file *f, const struct sock *s)
{
	struct pollfd p = { .fd = s->fd, .events = POLLIN | POLLRDHUP };

	if (poll(&p, 1, 0) < 0)
		return fail(-errno, "%s: poll", file_name(f));
	if (p.revents & (POLLERR | POLLIN | POLLRDHUP))
		return fail(-ENOTSUP,
		            "%s: a connection that has ended and is not closed yet: not supported "
		            "by this version",
		            file_name(f));
	return 0;
}

static int sk_tcp_check(struct dump *d, const struct file *f)
{
	auto_close int fd = file_steal(f);
	struct sock s;
	int r = fd < 0 ? fail(fd, "%s: pidfd_getfd", file_name(f)) : sk_inet_check_netns(f, fd);

	if (r == 0)
		r = sock_read(f, fd, &s);
	if (r < 0)
		return r;
	if (s.state == LISTEN)
		return check_listener(f, &s);
	if (s.state == CLOSED)
		return check_closed(f, &s);
	return fail(-ENOTSUP, "%s (%s): not supported by this version", file_name(f),
	            file_describe(f));
}

/* ---- record ---- */

static int sk_tcp_write(struct dump *d, const struct file *f, struct sock *s, struct sockopts *opts)
{
	Img__SkTcp msg = IMG__SK_TCP__INIT;
	union inaddr local;
	int r = sk_inet_local(s->fd, &local);

	if (r < 0)
		return fail(r, "%s: getsockname", file_name(f));
	if (r > 0) {
		msg.local.data = (uint8_t *)&local;
		msg.local.len = inaddr_len(&local);
	}
	msg.family = (uint32_t)s->family;
	msg.protocol = (uint32_t)s->protocol;
	msg.state = (uint32_t)s->state;
	if (s->state == LISTEN)
		msg.backlog = s->info.tcpi_sacked;
	r = sk_inet_options(d, f, s->fd, s->protocol, opts);
	if (r < 0)
		return r;
	msg.options = sockopts_message(opts);
	return msg.options ? image_put(d->out, KIND_sk_tcp, f->id, &msg.base) : -ENOMEM;
}

static int sk_tcp_dump(struct dump *d, const struct file *f)
{
	auto_(sockopts_done) struct sockopts opts = {};
	auto_close int fd = file_steal(f);
	struct sock s;
	int r = fd < 0 ? fail(fd, "%s: pidfd_getfd", file_name(f)) : sock_read(f, fd, &s);

	return r < 0 ? r : sk_tcp_write(d, f, &s, &opts);
}

const struct dump_kind dump_sk_tcp = {
	.owns = sk_tcp_owns,
	.check = sk_tcp_check,
	.dump = sk_tcp_dump,
};
