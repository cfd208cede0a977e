/*
 * TCP and MPTCP sockets, dump half. All is asked of a stolen descriptor, at a
 * cost that does not depend on how many sockets there are: TCP_INFO tells the
 * state, and of a listener its backlog and how many connections wait in it.
 *
 * A connection that waits to be accepted belongs to no descriptor and can be
 * taken out of the queue, but not put back: it is refused, or let go by policy.
 *
 * Connections are carried or let go as --tcp-established and --tcp-close say
 * (sk_tcp_conn.c).
 *
 * Not carried: connections of MPTCP, handshakes that are under way.
 */
#include <errno.h>
#include <linux/tcp.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "dump/borrow.h"
#include "dump/sk_inet.h"
#include "dump/sk_tcp_conn.h"
#include "dump/sk_tcp_dead.h"
#include "dump/sk_tcp_diag.h"
#include "dump/sk_tcp_listen.h"
#include "dump/sk_unseen.h"
#include "dump/stages.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/sk_tcp.pb-c.h"

#define MSS_LEAST  88 /* TCP_MIN_MSS */
#define STEP_MS    5
#define CONNECT_MS 250 /* for a handshake; whoever looks at the tree looks several times */

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static bool sk_tcp_owns(const struct file *f)
{
	return sk_inet_is(f) && f->sock.type == SOCK_STREAM &&
	       (f->sock.protocol == IPPROTO_TCP || f->sock.protocol == IPPROTO_MPTCP);
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
	s->state = listens ? LISTENING : s->info.tcpi_state ? s->info.tcpi_state : CLOSED;
	return 0;
}

static int sock_read(const struct file *f, int fd, struct sock *s)
{
	int r;

	memset(s, 0, sizeof(*s));
	s->fd = fd;
	s->family = f->sock.family;
	s->protocol = f->sock.protocol;
	r = info_read(s);
	return r < 0 ? fail(r, "%s: ask for its state", file_name(f)) : 0;
}

/* ---- checks ---- */

static int check_closed(struct dump *d, const struct file *f, int fd)
{
	auto_(tcp_dead_done) struct tcp_dead dead = {};

	return tcp_dead_read(d, f, fd, &dead);
}

static bool is_half_way(int state)
{
	return state == SYN_SENT || state == SYN_RECV;
}

/* It is there in a moment, or, where what it asked with was lost, or held up by a dump, in a second. */
static void await_connection(const struct dump *d, struct sock *s)
{
	for (int ms = 0; is_half_way(s->state) && !d->frozen && ms < CONNECT_MS; ms += STEP_MS) {
		usleep(STEP_MS * 1000);
		if (info_read(s) < 0)
			return;
	}
}

static int check_connection(struct dump *d, const struct file *f, const struct sock *s)
{
	if (d->opt->tcp == TCP_LET_GO)
		return 0;
	if (s->protocol == IPPROTO_MPTCP)
		return fail(-ENOTSUP,
		            "%s (%s): a connection of MPTCP cannot be saved; --tcp-close ends it",
		            file_name(f), file_describe(f));
	if (d->opt->tcp == TCP_CARRIED && tcp_state_connected(s->state))
		return 0;
	d->passing |= d->frozen;
	if (d->opt->tcp == TCP_CARRIED)
		return fail(
			-ENOTSUP,
			"%s (%s): is %s, which cannot be saved: try again when it is; --tcp-close "
			"ends it",
			file_name(f), file_describe(f),
			s->state == SYN_SENT ? "being connected (SYN_SENT)"
					     : "half connected (SYN_RECV)");
	return fail(-ENOTSUP,
	            "%s (%s): a connection; --tcp-established carries it, --tcp-close ends it",
	            file_name(f), file_describe(f));
}

/* Another protocol between TCP and the program. */
static int check_ulp(const struct file *f, int fd)
{
	char ulp[16] = "";
	socklen_t len = sizeof(ulp) - 1;

	if (f->sock.protocol != IPPROTO_TCP ||
	    getsockopt(fd, IPPROTO_TCP, TCP_ULP, ulp, &len) < 0 || !*ulp)
		return 0;
	return fail(-ENOTSUP,
	            "%s (%s): the kernel itself %s it (TCP_ULP %s): not supported by this version",
	            file_name(f), file_describe(f), !strcmp(ulp, "tls") ? "encrypts" : "works on",
	            ulp);
}

static int sk_tcp_check_asked(struct dump *d, const struct file *f)
{
	auto_(borrowed_done) struct borrowed b = file_borrow(f);
	int fd = b.fd, r;
	struct sock s;

	r = fd < 0 ? fail(fd, "%s: pidfd_getfd", file_name(f)) : sk_inet_check_netns(d, f, fd);

	if (r == 0)
		r = check_ulp(f, fd);

	if (r == 0)
		r = sock_read(f, fd, &s);
	if (r < 0)
		return r;
	if (d->opt->tcp == TCP_CARRIED)
		await_connection(d, &s);
	if (s.state != CLOSED && s.state != LISTENING)
		return check_connection(d, f, &s);
	r = sk_unseen_check(d, f, fd);
	if (r < 0)
		return r;
	return s.state == LISTENING ? tcp_listener_check(d, f, fd) : check_closed(d, f, fd);
}

/* What is listed is of our network namespace. */
static int sk_tcp_check(struct dump *d, const struct file *f)
{
	const struct tcp_diag *diag = tcp_diag_find(d, f);

	if (!diag || diag->has_ulp || !tcp_state_connected(diag->state))
		return sk_tcp_check_asked(d, f);
	return check_connection(
		d, f, &(struct sock){ .protocol = f->sock.protocol, .state = diag->state });
}

/* ---- record ---- */

/* What the record holds besides the options. */
struct parts {
	union inaddr local;
	struct tcp_dead dead;
	struct sockopts opts;
};

static void parts_done(struct parts *p)
{
	tcp_dead_done(&p->dead);
	sockopts_done(&p->opts);
}

static int add_local(const struct file *f, int fd, struct parts *p, Img__SkTcp *msg)
{
	int r = sk_inet_local(fd, &p->local);

	if (r < 0)
		return fail(r, "%s: getsockname", file_name(f));
	if (r > 0) {
		msg->local.data = (uint8_t *)&p->local;
		msg->local.len = inaddr_len(&p->local);
	}
	return 0;
}

/* The program finds that it was reset. */
static void add_end(const struct file *f, Img__SkTcp *msg)
{
	lose("%s (%s): the connection is ended, as --tcp-close asks", file_name(f),
	     file_describe(f));
	msg->state = CLOSED;
	msg->dead = msg->reset = true;
}

static void add_dead(const struct file *f, const struct tcp_dead *dead, Img__SkTcp *msg)
{
	tcp_dead_lose(f, dead);
	msg->dead = true;
	msg->reset = dead->error == ECONNRESET;
	msg->error = msg->reset ? 0 : (uint32_t)dead->error;
	msg->unread = dead->unread;
}

static int add_state(struct dump *d, const struct file *f, const struct sock *s, struct parts *p,
                     Img__SkTcp *msg)
{
	int r = 0;

	if (tcp_state_connected(s->state) && d->opt->tcp != TCP_LET_GO)
		return passing(d, fail(-EAGAIN, "%s (%s): has just been connected; try again",
		                       file_name(f), file_describe(f)));
	msg->state = (uint32_t)s->state;
	if (s->state == CLOSED) {
		r = tcp_dead_read(d, f, s->fd, &p->dead);
		if (r < 0 || !p->dead.ended)
			return r < 0 ? r : add_local(f, s->fd, p, msg);
		add_dead(f, &p->dead, msg);
		return 0;
	}
	if (s->state == LISTENING) {
		msg->backlog = s->info.tcpi_sacked;
		r = tcp_listener_check(d, f, s->fd);
		if (r == 0 && s->info.tcpi_unacked)
			lose("%s (%s): %u connections that wait to be accepted, as --tcp-close "
			     "asks",
			     file_name(f), file_describe(f), s->info.tcpi_unacked);
	} else if (d->opt->tcp == TCP_LET_GO) {
		add_end(f, msg);
	}
	if (r == 0 && !msg->dead)
		r = add_local(f, s->fd, p, msg);
	return r;
}

static void lose_syn(const struct file *f)
{
	lose("%s (%s): the packet that it began with (TCP_SAVED_SYN), which the program has not "
	     "fetched yet",
	     file_name(f), file_describe(f));
}

static int sk_tcp_write(struct dump *d, const struct file *f, const struct sock *s, struct parts *p)
{
	const struct tcp_told told = {};
	struct sockopt_source source = { tcp_conn_option, &told };
	Img__SkTcp msg = IMG__SK_TCP__INIT;
	int r;

	msg.family = (uint32_t)s->family;
	msg.protocol = (uint32_t)s->protocol;
	r = add_state(d, f, s, p, &msg);
	if (!msg.dead && (s->state == CLOSED || s->state == LISTENING))
		source.value = tcp_sock_option;
	if (r == 0)
		r = sk_inet_options(d, f, s->fd, &source, &p->opts);
	if (r == 0 && (s->state == CLOSED || s->state == LISTENING))
		r = sk_unseen_read(d, f, s->fd, &p->opts);
	if (r < 0)
		return r;
	sk_inet_lose_counters(f, &p->opts);
	if (d->opt->tcp != TCP_LET_GO && tcp_has_syn(s->fd))
		lose_syn(f);
	/* Nobody may set so little: it is what IP options leave of the usual size. */
	if (sockopts_int(&p->opts, IPPROTO_TCP, TCP_MAXSEG, MSS_LEAST) < MSS_LEAST)
		sockopts_drop(&p->opts, IPPROTO_TCP, TCP_MAXSEG);
	msg.options = sockopts_message(&p->opts);
	return msg.options ? image_put(d->out, KIND_sk_tcp, f->id, &msg.base) : -ENOMEM;
}

static int connection_write(struct dump *d, const struct file *f, struct tcp_conn *conn)
{
	Img__SkTcp msg = IMG__SK_TCP__INIT;

	if (conn->events & POLLERR)
		lose("%s (%s): an error, or what waits in its error queue, that the program was "
		     "not told yet",
		     file_name(f), file_describe(f));
	sk_inet_lose_counters(f, &conn->opts);
	if (conn->has_syn)
		lose_syn(f);
	if (conn->has_label)
		lose("%s (%s): a flow label that it has leased (IPV6_FLOWLABEL_MGR)", file_name(f),
		     file_describe(f));
	msg.family = (uint32_t)f->sock.family;
	msg.protocol = (uint32_t)f->sock.protocol;
	msg.state = ESTABLISHED;
	msg.local.data = (uint8_t *)&conn->local;
	msg.local.len = inaddr_len(&conn->local);
	msg.peer.data = (uint8_t *)&conn->peer;
	msg.peer.len = inaddr_len(&conn->peer);
	msg.connection = &conn->msg;
	msg.options = sockopts_message(&conn->opts);
	return msg.options ? image_put(d->out, KIND_sk_tcp, f->id, &msg.base) : -ENOMEM;
}

static int connection_dump(struct dump *d, const struct file *f, struct tcp_conn *conn)
{
	int r = tcp_conn_read(d, f, conn);

	if (r == 0)
		r = connection_write(d, f, conn);
	tcp_conn_forget(conn);
	return r;
}

static int sk_tcp_dump(struct dump *d, const struct file *f)
{
	struct tcp_conn *conn = d->opt->tcp == TCP_CARRIED ? tcp_conn_find(d, f) : NULL;
	int r = conn ? connection_dump(d, f, conn) : -ENOTCONN;
	auto_(parts_done) struct parts p = {};
	auto_(borrowed_done) struct borrowed b = { .fd = -1 };
	struct sock s;

	if (r != -ENOTCONN)
		return r;
	b = file_borrow(f);
	r = b.fd < 0 ? fail(b.fd, "%s: pidfd_getfd", file_name(f)) : sock_read(f, b.fd, &s);
	return r < 0 ? r : sk_tcp_write(d, f, &s, &p);
}

static void sk_tcp_release(struct dump *d, bool killed)
{
	tcp_conns_release(d, killed);
	tcp_listeners_release(d);
}

const struct dump_kind dump_sk_tcp = {
	.owns = sk_tcp_owns,
	.check = sk_tcp_check,
	.hold = tcp_listeners_hold,
	.begin = tcp_conns_begin,
	.dump = sk_tcp_dump,
	.end = tcp_conns_end,
	.release = sk_tcp_release,
};
