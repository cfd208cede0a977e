/*
 * Established connections. While all of them are locked, each is bound and
 * connected in repair mode, which sends nothing, and gets back its sequence
 * numbers, options, windows and queues. At the commit the locks go, ours and that of the
 * dump; each leaves repair mode, which asks the peer for its window, and gets what
 * was not sent yet.
 *
 * A FIN of ours is sent again: a peer who has it already acknowledges it once
 * more. One that we have received is told again (sk_tcp_segment.c), and so is what begins with an urgent
 * byte: who is told of that by a signal (SIGURG) is told again.
 */
#include "restore/sk_tcp_conn.h"

#include <errno.h>
#include <linux/tcp.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/netlock.h"
#include "lib/portowner.h"
#include "proto/netlock.pb-c.h"
#include "restore/sk_inet.h"
#include "restore/sk_tcp_map.h"
#include "restore/sk_tcp_queue.h"
#include "restore/sk_tcp_segment.h"

#define TOLD_WAIT_MS 1000

enum { OPT_MSS = 2, OPT_WINDOW = 3, OPT_SACK_PERM = 4, OPT_TIMESTAMP = 8 };

struct conn {
	const Img__File *file;
	const Img__SkTcp *msg;
};

struct tcp_conns {
	ARRAY(struct conn) all;
	int lock; /* -1: none */
};

/* ---- lock ---- */

static struct netlock_conn ends_of(const struct restore *r, const Img__SkTcp *msg)
{
	union inaddr local = tcp_local(r, msg), peer = tcp_peer(r, msg);

	return (struct netlock_conn){ inaddr_plain(&local), inaddr_plain(&peer) };
}

static int explain_lock(int e)
{
	return fail(e, "lock the network for the connections: it needs nftables and CAP_NET_ADMIN "
	               "in this network namespace (--tcp-close restores without connections)");
}

int tcp_restore_begin(struct restore *r)
{
	struct tcp_conns *c = calloc(1, sizeof(*c));
	ARRAY(struct netlock_conn) ends = {};
	const struct record *recs;
	char name[48];
	size_t n;

	if (!c)
		return -ENOMEM;
	r->tcp_conns = c;
	c->lock = -1;
	recs = images_kind(r->images, KIND_sk_tcp, &n);
	for (size_t i = 0; i < n && !r->opt->tcp_close; i++) {
		const Img__SkTcp *msg = (const Img__SkTcp *)recs[i].msg;
		struct netlock_conn *at = msg->connection ? array_add(&ends) : NULL;

		if (at)
			*at = ends_of(r, msg);
	}
	snprintf(name, sizeof(name), "crtool-restore-%d", getpid());
	if (ends.n)
		c->lock = netlock_new(name, false,
		                      &(struct netlock){ .conns = ends.v, .nconns = ends.n });
	n = ends.n;
	array_done(&ends);
	return n && c->lock < 0 ? explain_lock(c->lock) : 0;
}

void tcp_restore_done(struct restore *r)
{
	if (!r->tcp_conns)
		return;
	closep(&r->tcp_conns->lock);
	array_done(&r->tcp_conns->all);
	free(r->tcp_conns);
	r->tcp_conns = NULL;
}

/* ---- in repair mode ---- */

static int negotiated_set(int fd, const Img__SkTcp__Connection *c)
{
	struct tcp_repair_opt opts[4] = { { OPT_MSS, c->mss } };
	size_t n = 1;

	if (c->options & TCPI_OPT_WSCALE)
		opts[n++] =
			(struct tcp_repair_opt){ OPT_WINDOW, c->snd_wscale | c->rcv_wscale << 16 };
	if (c->options & TCPI_OPT_SACK)
		opts[n++] = (struct tcp_repair_opt){ OPT_SACK_PERM, 0 };
	if (c->options & TCPI_OPT_TIMESTAMPS)
		opts[n++] = (struct tcp_repair_opt){ OPT_TIMESTAMP, 0 };
	if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_OPTIONS, opts, (socklen_t)(n * sizeof(*opts))) <
	    0)
		return -errno;
	return tcp_option_set(fd, TCP_TIMESTAMP, (int)c->timestamp);
}

static int window_set(int fd, const Img__SkTcp__Connection *c)
{
	const struct tcp_repair_window w = { .snd_wl1 = c->snd_wl1,
		                             .snd_wnd = c->snd_wnd,
		                             .max_window = c->max_window,
		                             .rcv_wnd = c->rcv_wnd,
		                             .rcv_wup = c->rcv_wup };

	return setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &w, sizeof(w)) < 0 ? -errno : 0;
}

/*
 * How much a segment holds was computed before the peer's MSS and its window were known, from the least of all, and
 * would stay so. Setting options, of which there are none, makes the kernel compute it anew (ip(7), IP_OPTIONS; for
 * IPv6 only where there are some: a structure of them without any). Where it does not, segments stay small.
 */
static void segments_size(int fd, int family)
{
	char nothing = 0;

	if (family == AF_INET) {
		setsockopt(fd, IPPROTO_IP, IP_OPTIONS, &nothing, 0);
		return;
	}
	setsockopt(fd, IPPROTO_IPV6, IPV6_2292PKTOPTIONS, &nothing, 1);
	setsockopt(fd, IPPROTO_IPV6, IPV6_2292PKTOPTIONS, &nothing, 0);
}

/* What follows the connect: queues need room, which conn_commit() takes back. */
static int state_fill(int fd, int family, const Img__SkTcp__Connection *c)
{
	int e = negotiated_set(fd, c);

	if (e == 0 && (c->received.len || c->urgent.len))
		e = tcp_receive_widen(fd);
	if (e == 0 && (c->sent.len || c->unsent.len))
		e = sockopts_widen(fd);
	if (e == 0)
		e = tcp_queue_fill(fd, TCP_RECV_QUEUE, &c->received);
	if (e == 0)
		e = tcp_queue_fill(fd, TCP_SEND_QUEUE, &c->sent);
	if (e == 0)
		e = window_set(fd, c);
	segments_size(fd, family);
	return e;
}

int tcp_conn_make(struct restore *r, const Img__File *file, const Img__SkTcp *msg, int fd)
{
	union inaddr local = tcp_local(r, msg), peer = tcp_peer(r, msg);
	const Img__SkTcp__Connection *c = msg->connection;
	struct conn *conn = array_add(&r->tcp_conns->all);
	int e = conn ? tcp_option_set(fd, TCP_REPAIR, TCP_REPAIR_ON) : -ENOMEM;

	if (e == 0)
		*conn = (struct conn){ file, msg };
	if (e == 0)
		e = tcp_seq_set(fd, TCP_SEND_QUEUE, c->snd_seq);
	if (e == 0)
		e = tcp_seq_set(fd, TCP_RECV_QUEUE, c->rcv_seq);
	if (e < 0)
		return fail(e, "socket %u: TCP_REPAIR", file->id);
	e = sk_inet_bind(file, fd, &local, IPPROTO_TCP);
	if (e < 0)
		return e;
	if (connect(fd, &peer.sa, inaddr_len(&peer)) < 0)
		return errno == EADDRNOTAVAIL
		               ? fail(-EADDRNOTAVAIL,
		                      "socket %u: the connection of %s with %s exists already, at "
		                      "%s",
		                      file->id, inaddr_text(&local), inaddr_text(&peer),
		                      port_owner(&local, IPPROTO_TCP))
		               : fail(-errno, "socket %u: connect %s to %s again", file->id,
		                      inaddr_text(&local), inaddr_text(&peer));
	e = state_fill(fd, (int)msg->family, c);
	return e < 0 ? fail(e, "socket %u: the state of its connection with %s", file->id,
	                    inaddr_text(&peer))
	             : 0;
}

/* ---- at the commit ---- */

static int info_read(int fd, struct tcp_info *ret)
{
	*ret = (struct tcp_info){};
	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, ret, &(socklen_t){ sizeof(*ret) }) < 0 ? -errno
	                                                                                    : 0;
}

/* Until it is in this STATE (0: any) and has received so many BYTES. */
static int wait_told(int fd, int state, uint64_t bytes)
{
	for (int i = 0; i < TOLD_WAIT_MS; i++) {
		struct tcp_info info;
		int e = info_read(fd, &info);

		if (e < 0)
			return e;
		if ((!state || info.tcpi_state == state) && info.tcpi_bytes_received >= bytes)
			return 0;
		usleep(1000);
	}
	return -ETIMEDOUT;
}

/* Until the urgent byte is there, which is taken out if the program had done so. SO_OOBINLINE comes later. */
static int wait_urgent(int fd, bool take)
{
	char byte;

	for (int i = 0; i < TOLD_WAIT_MS; i++) {
		if (recv(fd, &byte, 1, MSG_OOB | MSG_DONTWAIT | (take ? 0 : MSG_PEEK)) == 1)
			return 0;
		if (errno != EAGAIN && errno != EINVAL)
			return -errno;
		usleep(1000);
	}
	return -ETIMEDOUT;
}

/* Of the peer, behind what is in the queue. */
static struct segment next_segment(const struct restore *r, const struct conn *conn)
{
	const Img__SkTcp__Connection *c = conn->msg->connection;
	struct netlock_conn ends = ends_of(r, conn->msg);
	uint32_t window = c->snd_wnd >> (c->options & TCPI_OPT_WSCALE ? c->snd_wscale : 0);

	return (struct segment){ .from = ends.peer,
		                 .to = ends.local,
		                 .seq = c->rcv_seq + (uint32_t)c->received.len,
		                 .ack = c->snd_seq,
		                 .window = window > UINT16_MAX ? UINT16_MAX : (uint16_t)window };
}

static int fin_tell(const struct restore *r, int fd, const struct conn *conn)
{
	struct segment s = next_segment(r, conn);
	int e;

	s.seq += (uint32_t)conn->msg->connection->urgent.len;
	s.fin = true;
	e = segment_send(&s);
	return e < 0 ? e : wait_told(fd, 8 /* CLOSE_WAIT */, 0);
}

static int urgent_tell(const struct restore *r, int fd, const struct conn *conn)
{
	const Img__SkTcp__Connection *c = conn->msg->connection;
	struct segment s = next_segment(r, conn);
	struct tcp_info before;
	int e = info_read(fd, &before);

	for (size_t at = 0; e == 0 && at < c->urgent.len; at += s.size) {
		size_t left = c->urgent.len - at;

		s.urgent = !at;
		s.data = c->urgent.data + at;
		s.size = left < SEGMENT_MAX ? left : SEGMENT_MAX;
		e = segment_send(&s);
		if (e == 0 && s.urgent)
			e = wait_urgent(fd, c->urgent_read);
		s.seq += (uint32_t)s.size;
	}
	return e < 0 ? e : wait_told(fd, 0, before.tcpi_bytes_received + c->urgent.len);
}

static int unsent_send(int fd, const ProtobufCBinaryData *data)
{
	for (size_t at = 0; at < data->len;) {
		ssize_t n = send(fd, data->data + at, data->len - at, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0)
			return -errno;
		at += (size_t)n;
	}
	return 0;
}

/* What the peer had sent before the dump. */
static int peer_tell(const struct restore *r, int fd, const struct conn *conn)
{
	const Img__SkTcp__Connection *c = conn->msg->connection;
	struct segment_device device;
	int e, back;

	if (!c->urgent.len && !c->fin_received)
		return 0;
	e = segment_device_off(fd, &device);
	if (e < 0)
		return e;
	if (c->urgent.len)
		e = urgent_tell(r, fd, conn);
	if (e == 0 && c->fin_received)
		e = fin_tell(r, fd, conn);
	back = segment_device_on(fd, &device);
	return e < 0 ? e : back;
}

static int conn_loose(const struct restore *r, int fd, const struct conn *conn)
{
	const Img__SkTcp__Connection *c = conn->msg->connection;
	int e = tcp_option_set(fd, TCP_REPAIR, TCP_REPAIR_OFF);

	/* At once: what may remain of it (TIME_WAIT) keeps what it has then. */
	if (e == 0)
		e = tcp_reuse_reset(fd, conn->msg);
	/* Before more is sent: what bears an acknowledgement that is older than all of the peer's window is dropped. */
	if (e == 0)
		e = peer_tell(r, fd, conn);
	if (e == 0)
		e = unsent_send(fd, &c->unsent);
	if (e == 0 && c->fin_sent && shutdown(fd, SHUT_WR) < 0 && errno != ENOTCONN)
		e = -errno;
	if (e == 0 && c->deaf && shutdown(fd, SHUT_RD) < 0 && errno != ENOTCONN)
		e = -errno;
	return e;
}

static int conn_commit(struct restore *r, const struct conn *conn)
{
	const Img__SkTcp__Connection *c = conn->msg->connection;
	int fd = pool_file(r, conn->file->id), e;

	if (fd < 0)
		return fd;
	e = conn_loose(r, fd, conn);
	if (e == 0 && (c->received.len || c->urgent.len))
		e = sockopts_unwiden(fd, SO_RCVBUF);
	if (e == 0 && (c->sent.len || c->unsent.len))
		e = sockopts_unwiden(fd, SO_SNDBUF);
	if (e < 0)
		return fail(e, "socket %u: let its connection go on", conn->file->id);
	return sockopts_set(conn->file, fd, conn->msg->options, SOCKOPTS_LATE);
}

static int unlock(struct restore *r)
{
	const Img__Netlock *lock = (const Img__Netlock *)images_one(r->images, KIND_netlock, 0);
	int e = lock ? netlock_remove(lock->table) : 0;

	closep(&r->tcp_conns->lock);
	r->tcp_conns->lock = -1;
	/* Who must not remove it has made none for UDP alone, most likely. */
	if (e == -EPERM && !lock->connections && !lock->listeners) {
		warn("the network lock %s of its UDP sockets, if there is one, stays: it needs "
		     "CAP_NET_ADMIN",
		     lock->table);
		e = 0;
	}
	return e == -ENOENT ? 0 : e;
}

int tcp_restore_commit(struct restore *r)
{
	int e = unlock(r);

	if (e < 0)
		return fail(e, "remove the network lock");
	array_each (conn, &r->tcp_conns->all) {
		e = conn_commit(r, conn);
		if (e < 0)
			return e;
	}
	return 0;
}
