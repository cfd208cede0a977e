/*
 * Established connections. Before the first is read, one lock stops the packets of
 * all. What repair mode alone tells (sequence numbers, the send queue, windows) is
 * read in it, between two calls that enter and leave it without a word to the
 * peer; a watcher does the leaving if crtool is killed meanwhile.
 *
 * When the tree is to be killed, a second lock that stays replaces the first,
 * and all connections are in repair mode: then the kernel forgets them without
 * telling the peers.
 */
#include "dump/sk_tcp_conn.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/resource.h>

#include "dump/sk_inet.h"
#include "dump/sk_tcp_watch.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/netlock.h"
#include "proto/netlock.pb-c.h"

struct tcp_conns {
	ARRAY(struct netlock_conn) ends;
	ARRAY(uint32_t) files; /* ids, beside watch->fds */
	struct watch *watch;
	size_t next;   /* to be read: files are written in the order of their ids */
	char name[32]; /* of the lock that may stay */
	int lock;      /* -1: none */
};

int tcp_state_of(int fd)
{
	struct tcp_info info = {};
	socklen_t len = sizeof(info);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 ? -errno : info.tcpi_state;
}

/* ---- which there are ---- */

/* The state of F, a TCP socket; CLOSED for all that are none. -errno. */
static int state_of_file(const struct file *f)
{
	auto_close int fd = -1;

	if (f->sock.protocol != IPPROTO_TCP)
		return CLOSED;
	fd = file_steal(f);
	return fd < 0 ? fd : tcp_state_of(fd);
}

/* Each costs a descriptor until the end. */
static void raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static int conns_find(struct dump *d, struct tcp_conns *c)
{
	array_each (f, &d->files) {
		bool carried = f->kind == KIND_sk_tcp && f->policy == FD_CARRY;
		int state = carried ? state_of_file(f) : CLOSED;
		uint32_t *id;

		if (state < 0)
			return fail(state, "%s: ask for its state", file_name(f));
		if (!tcp_state_connected(state))
			continue;
		id = array_add(&c->files);
		if (!id)
			return -ENOMEM;
		*id = f->id;
	}
	return 0;
}

static int ends_of(int fd, struct netlock_conn *ret)
{
	union inaddr local = {}, peer = {};
	socklen_t len = sizeof(local), peer_len = sizeof(peer);

	if (getsockname(fd, &local.sa, &len) < 0 || getpeername(fd, &peer.sa, &peer_len) < 0)
		return -errno;
	ret->local = inaddr_plain(&local);
	ret->peer = inaddr_plain(&peer);
	return 0;
}

static int conn_take(struct dump *d, struct tcp_conns *c, uint32_t id)
{
	const struct file *f = file_of(d, id);
	struct netlock_conn *ends = array_add(&c->ends);
	int fd = file_steal(f), r;

	if (fd == -EMFILE)
		return fail(
			fd,
			"%zu connections taken over, no descriptor left for one more: raise the "
			"hard limit of RLIMIT_NOFILE (ulimit -Hn)",
			c->watch->n);
	if (fd < 0)
		return fail(fd, "%s: pidfd_getfd", file_name(f));
	c->watch->fds[c->watch->n++] = (struct watch_fd){ .fd = fd };
	r = ends ? ends_of(fd, ends) : -ENOMEM;
	return r < 0 ? fail(r, "%s: its addresses", file_name(f)) : 0;
}

/* ---- the lock ---- */

static int explain_lock(int r)
{
	if (r == -EPERM)
		return fail(r, "lock the network: CAP_NET_ADMIN is needed in this network "
		               "namespace (--tcp-close needs no lock)");
	return fail(r, "lock the network by nftables (CONFIG_NF_TABLES, CONFIG_NF_TABLES_INET; "
	               "--tcp-close needs no lock)");
}

static int lock_put(struct dump *d, struct tcp_conns *c)
{
	Img__Netlock msg = IMG__NETLOCK__INIT;
	uint64_t number;

	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		return -EIO;
	snprintf(c->name, sizeof(c->name), "crtool-%016llx", (unsigned long long)number);
	msg.table = c->name;
	msg.connections = c->ends.n;
	return image_put(d->out, KIND_netlock, 0, &msg.base);
}

static int conns_lock(struct dump *d, struct tcp_conns *c)
{
	char name[48];
	int r = lock_put(d, c);

	if (r < 0)
		return fail(r, "write the record of the network lock");
	snprintf(name, sizeof(name), "%s-dump", c->name);
	c->lock = netlock_new(name, false, c->ends.v, c->ends.n);
	return c->lock < 0 ? explain_lock(c->lock) : 0;
}

int tcp_conns_begin(struct dump *d)
{
	struct tcp_conns *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	d->tcp_conns = c;
	c->lock = -1;
	r = conns_find(d, c);
	if (r < 0 || !c->files.n)
		return r;
	raise_limit();
	r = watch_new(c->files.n, &c->watch);
	if (r < 0)
		return fail(r, "start the watcher of connections");
	array_each (id, &c->files) {
		r = conn_take(d, c, *id);
		if (r < 0)
			return r;
	}
	return d->opt->tcp == TCP_CARRIED ? conns_lock(d, c) : 0;
}

static int end_with_reset(struct tcp_conns *c)
{
	const struct linger linger = { .l_onoff = 1 };

	for (size_t i = 0; i < c->watch->n; i++)
		if (setsockopt(c->watch->fds[i].fd, SOL_SOCKET, SO_LINGER, &linger,
		               sizeof(linger)) < 0)
			return fail(-errno, "SO_LINGER");
	return 0;
}

int tcp_conns_end(struct dump *d)
{
	struct tcp_conns *c = d->tcp_conns;
	int stays;

	if (!c || !c->watch)
		return 0;
	if (d->opt->tcp != TCP_CARRIED)
		return end_with_reset(c);
	snprintf(c->watch->lock, sizeof(c->watch->lock), "%s", c->name);
	stays = netlock_new(c->name, true, c->ends.v, c->ends.n);
	if (stays < 0)
		return explain_lock(stays);
	close(stays);
	for (size_t i = 0; i < c->watch->n; i++) {
		int r = watch_repair(&c->watch->fds[i]);

		if (r < 0)
			return fail(r, "file %u: TCP_REPAIR", c->files.v[i]);
	}
	c->watch->committed = true;
	return 0;
}

void tcp_conns_release(struct dump *d, bool killed)
{
	struct tcp_conns *c = d->tcp_conns;

	d->tcp_conns = NULL;
	if (!c)
		return;
	for (size_t i = 0; c->watch && i < c->watch->n; i++) {
		if (!killed && c->watch->fds[i].repairs)
			watch_leave(&c->watch->fds[i]);
		close(c->watch->fds[i].fd);
	}
	if (!killed && c->watch && *c->watch->lock)
		netlock_remove(c->watch->lock);
	watch_free(c->watch);
	closep(&c->lock);
	array_done(&c->ends);
	array_done(&c->files);
	free(c);
}

/* ---- reading one ---- */

static int queue_select(int fd, int queue)
{
	return setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, &queue, sizeof(queue)) < 0 ? -errno
	                                                                                : 0;
}

/* All SIZE bytes of the selected queue. */
static int queue_peek(int fd, size_t size, ProtobufCBinaryData *ret)
{
	ssize_t n;

	if (!size)
		return 0;
	ret->data = malloc(size);
	if (!ret->data)
		return -ENOMEM;
	n = recv(fd, ret->data, size, MSG_PEEK | MSG_DONTWAIT);
	if (n < 0)
		return -errno;
	ret->len = (size_t)n;
	return ret->len == size ? 0 : -EOPNOTSUPP; /* urgent data ends what is seen at once */
}

/* SO_PEEK_OFF is the program's, and would be obeyed. */
static int received_read(int fd, int size, ProtobufCBinaryData *ret)
{
	int off = -1, none = -1, r = sk_option(fd, SOL_SOCKET, SO_PEEK_OFF, &off);

	if (r < 0 && r != -EOPNOTSUPP)
		return r;
	if (off >= 0 && setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &none, sizeof(none)) < 0)
		return -errno;
	r = queue_peek(fd, (size_t)size, ret);
	if (off >= 0 && setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &off, sizeof(off)) < 0 && r == 0)
		r = -errno;
	return r;
}

static int receive_side(int fd, Img__SkTcp__Connection *msg)
{
	int size = 0, seq = 0, r = queue_select(fd, TCP_RECV_QUEUE);

	if (r == 0)
		r = sk_option(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, &seq);
	if (r == 0 && ioctl(fd, SIOCINQ, &size) < 0)
		r = -errno;
	if (r == 0)
		r = received_read(fd, size, &msg->received);
	msg->rcv_seq = (uint32_t)seq - (uint32_t)size - msg->fin_received;
	return r;
}

/* What is unsent ends the queue; a FIN counts as one byte behind it. */
static int send_side(int fd, bool fin_acked, Img__SkTcp__Connection *msg)
{
	ProtobufCBinaryData all = {};
	int unacked = 0, unsent = 0, seq = 0, r = queue_select(fd, TCP_SEND_QUEUE);
	size_t size, rest;

	if (r == 0)
		r = sk_option(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, &seq);
	if (r == 0 && (ioctl(fd, SIOCOUTQ, &unacked) < 0 || ioctl(fd, SIOCOUTQNSD, &unsent) < 0))
		r = -errno;
	if (r < 0)
		return r;
	size = (size_t)unacked - (msg->fin_sent && !fin_acked && unacked);
	rest = (size_t)unsent - (msg->fin_sent && unsent);
	msg->snd_seq = (uint32_t)seq - (uint32_t)size - msg->fin_sent;
	r = queue_peek(fd, size, &all);
	if (r == 0 && rest) {
		msg->unsent.data = malloc(rest);
		if (!msg->unsent.data)
			r = -ENOMEM;
		else
			memcpy(msg->unsent.data, all.data + size - rest, msg->unsent.len = rest);
	}
	msg->sent = all;
	msg->sent.len -= msg->unsent.len;
	return r;
}

/* A FIN that was received is told again at the restore, and is not there before that. */
static uint32_t not_after(uint32_t seq, uint32_t end)
{
	return (int32_t)(seq - end) > 0 ? end : seq;
}

static int window_read(int fd, Img__SkTcp__Connection *msg)
{
	uint32_t end = msg->rcv_seq + (uint32_t)msg->received.len;
	struct tcp_repair_window w;
	socklen_t len = sizeof(w);

	if (getsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &w, &len) < 0)
		return -errno;
	msg->snd_wl1 = not_after(w.snd_wl1, end + w.rcv_wnd);
	msg->snd_wnd = w.snd_wnd;
	msg->max_window = w.max_window;
	msg->rcv_wnd = w.rcv_wnd;
	msg->rcv_wup = not_after(w.rcv_wup, end);
	return 0;
}

static int repaired_read(int fd, int state, Img__SkTcp__Connection *msg)
{
	int mss = 0, stamp = 0, r = sk_option(fd, IPPROTO_TCP, TCP_MAXSEG, &mss);

	msg->mss = (uint32_t)mss;
	if (r == 0)
		r = sk_option(fd, IPPROTO_TCP, TCP_TIMESTAMP, &stamp);
	msg->timestamp = (uint32_t)stamp;
	if (r == 0)
		r = send_side(fd, state == FIN_WAIT2, msg);
	if (r == 0)
		r = receive_side(fd, msg);
	return r < 0 ? r : window_read(fd, msg);
}

static int info_read(int fd, int *ret_state, Img__SkTcp__Connection *msg)
{
	struct tcp_info info = {};
	socklen_t len = sizeof(info);
	int state;

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return -errno;
	*ret_state = state = info.tcpi_state;
	msg->options = info.tcpi_options & (TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_WSCALE);
	msg->snd_wscale = info.tcpi_snd_wscale;
	msg->rcv_wscale = info.tcpi_rcv_wscale;
	msg->fin_sent =
		state == FIN_WAIT1 || state == FIN_WAIT2 || state == CLOSING || state == LAST_ACK;
	msg->fin_received = state == CLOSE_WAIT || state == CLOSING || state == LAST_ACK;
	return 0;
}

static int conn_read(struct watch_fd *w, Img__SkTcp__Connection *msg)
{
	int state = 0, r = info_read(w->fd, &state, msg), left;

	if (r == 0)
		r = watch_repair(w);
	if (r < 0)
		return r;
	r = repaired_read(w->fd, state, msg);
	left = watch_leave(w);
	return r < 0 ? r : left;
}

int tcp_conn_read(struct dump *d, const struct file *f, Img__SkTcp__Connection *msg)
{
	struct tcp_conns *c = d->tcp_conns;
	int r;

	while (c->next < c->files.n && c->files.v[c->next] < f->id)
		c->next++;
	r = c->next < c->files.n && c->files.v[c->next] == f->id
	            ? conn_read(&c->watch->fds[c->next], msg)
	            : -ENOENT;
	if (r == -EOPNOTSUPP)
		return fail(-ENOTSUP,
		            "%s (%s): urgent data waits in it: not supported by this version",
		            file_name(f), file_describe(f));
	return r < 0 ? fail(r, "%s (%s): read the connection", file_name(f), file_describe(f)) : 0;
}

void tcp_conn_done(Img__SkTcp__Connection *msg)
{
	free(msg->sent.data);
	free(msg->unsent.data);
	free(msg->received.data);
}
