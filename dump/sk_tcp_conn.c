/*
 * Established connections. Before the first is read, one lock stops the packets of
 * all. Then they are read (sk_tcp_read.c), many of them by helpers; a watcher
 * leaves repair mode if crtool is killed meanwhile.
 *
 * When the tree is to be killed, a second lock that stays replaces the first,
 * and all connections are in repair mode: then the kernel forgets them without
 * telling the peers.
 */
#include "dump/sk_tcp_conn.h"

#include <errno.h>
#include <linux/tcp.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "dump/borrow.h"
#include "dump/guard.h"
#include "dump/sk_inet.h"
#include "dump/sk_tcp_listen.h"
#include "dump/sk_tcp_watch.h"
#include "dump/sk_udp_held.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/netlock.h"
#include "proto/netlock.pb-c.h"

#define HELPERS    3
#define AHEAD_MIN  32   /* connections for which a helper pays */
#define AHEAD_SIZE 4096 /* bytes of a connection that is read ahead */

struct tcp_conns {
	ARRAY(struct tcp_conn) all; /* beside watch->fds, by file id */
	struct watch *watch;
	size_t next;          /* to be written: files are written in the order of their ids */
	size_t ahead;         /* to be read ahead */
	char name[32];        /* of the lock that may stay ... */
	struct udp_held held; /* ... and, if that stays, is for these, too */
	int lock;             /* -1: none */
	struct dump *d;
};

/* ---- which there are ---- */

static bool may_be_one(const struct file *f)
{
	return f->kind == KIND_sk_tcp && f->policy == FD_CARRY && f->sock.protocol == IPPROTO_TCP;
}

static size_t count(const struct dump *d)
{
	size_t n = 0;

	array_each (f, &d->files)
		n += may_be_one(f);
	return n;
}

static int state_of(int fd)
{
	struct tcp_info info = {};
	socklen_t len = sizeof(info);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 ? -errno : info.tcpi_state;
}

static int ends_of(const struct file *f, int fd, struct tcp_conn *conn)
{
	socklen_t len = sizeof(conn->local), peer_len = sizeof(conn->peer);

	if (conn->diag && f->sock.family == AF_INET) {
		const struct inet_diag_sockid *id = &conn->diag->id;

		conn->local.v4 = (struct sockaddr_in){ .sin_family = AF_INET,
			                               .sin_port = id->idiag_sport,
			                               .sin_addr.s_addr = id->idiag_src[0] };
		conn->peer.v4 = (struct sockaddr_in){ .sin_family = AF_INET,
			                              .sin_port = id->idiag_dport,
			                              .sin_addr.s_addr = id->idiag_dst[0] };
		return 0;
	}

	return getsockname(fd, &conn->local.sa, &len) < 0 ||
	                       getpeername(fd, &conn->peer.sa, &peer_len) < 0
	               ? -errno
	               : 0;
}

/* Somebody else is about to save it, or has made it so. */
static int check_repair(const struct file *f, int fd)
{
	int value = 0;

	if (sk_option(fd, IPPROTO_TCP, TCP_REPAIR, &value) < 0 || value != 1)
		return 0;
	return fail(-ENOTSUP,
	            "%s (%s): the program has it in repair mode (TCP_REPAIR): try again when it "
	            "is not",
	            file_name(f), file_describe(f));
}

static int explain_steal(const struct file *f, int r, size_t n)
{
	if (r == -EMFILE)
		return fail(
			r,
			"%zu connections taken over, no descriptor left for one more: raise the "
			"hard limit of RLIMIT_NOFILE (ulimit -Hn)",
			n);
	return fail(r, "%s: pidfd_getfd", file_name(f));
}

/* If F is one. Its ends may go away before they are asked for. */
static int conn_take(struct tcp_conns *c, const struct file *f)
{
	const struct tcp_diag *diag = tcp_diag_find(c->d, f);
	auto_(borrowed_done) struct borrowed b = file_borrow(f);
	bool listed = diag && tcp_state_connected(diag->state);
	int state = b.fd < 0 ? b.fd : listed ? diag->state : state_of(b.fd), r;
	struct tcp_conn *conn;

	if (b.fd < 0)
		return explain_steal(f, b.fd, c->all.n);
	if (state < 0)
		return fail(state, "%s: ask for its state", file_name(f));
	if (!tcp_state_connected(state))
		return 0;
	r = check_repair(f, b.fd);
	if (r < 0)
		return r;
	conn = array_add(&c->all);
	if (!conn)
		return -ENOMEM;
	*conn = (struct tcp_conn){ .file = f->id, .diag = diag };
	img__sk_tcp__connection__init(&conn->msg);
	r = ends_of(f, b.fd, conn);
	if (r == -ENOTCONN) {
		c->all.n--;
		return 0;
	}
	c->watch->fds[c->watch->n++] = (struct watch_fd){ .fd = take_fd(&b.fd), .reuse = -1 };
	return r < 0 ? fail(r, "%s: its addresses", file_name(f)) : 0;
}

/* ---- the lock ---- */

/* Connections, or listeners that are held up. */
static bool to_lock(const struct tcp_conns *c)
{
	struct netlock lock = {};

	tcp_listeners_lock(c->d, &lock);
	return c->d->opt->tcp == TCP_CARRIED && (c->all.n || lock.nlisteners);
}

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
	struct netlock lock = {};

	msg.table = c->name;
	msg.connections = c->all.n;
	msg.udp = c->held.all.n;
	tcp_listeners_lock(d, &lock);
	msg.listeners = lock.nlisteners;
	return image_put(d->out, KIND_netlock, 0, &msg.base);
}

static int lock_new(const struct tcp_conns *c, const char *name, bool stays)
{
	ARRAY(struct netlock_conn) ends = {};
	struct netlock lock = {};
	int r = 0;

	array_each (conn, &c->all) {
		struct netlock_conn *at = array_add(&ends);

		if (at)
			*at = (struct netlock_conn){ inaddr_plain(&conn->local),
				                     inaddr_plain(&conn->peer) };
		else
			r = -ENOMEM;
	}
	lock.conns = ends.v;
	lock.nconns = ends.n;
	lock.held = c->held.all.v;
	lock.nheld = stays ? c->held.all.n : 0;
	tcp_listeners_lock(c->d, &lock);
	if (r == 0)
		r = netlock_new(name, stays, &lock);
	array_done(&ends);
	return r < 0 ? explain_lock(r) : r;
}

/* Where there is no lock to be had, UDP alone does not need it. */
static int lock_lost(struct tcp_conns *c, int r)
{
	log_forget();
	lose("what is sent to UDP sockets while they are gone: senders are told (nftables: %s)",
	     strerror(-r));
	c->held.all.n = 0;
	return 0;
}

static int conns_lock(struct dump *d, struct tcp_conns *c)
{
	uint64_t number;
	char name[48];
	int r;

	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		return fail(-EIO, "a name for the network lock");
	snprintf(c->name, sizeof(c->name), "crtool-%016llx", (unsigned long long)number);
	snprintf(name, sizeof(name), "%s-dump", c->name);
	c->lock = lock_new(c, name, false);
	if (c->lock < 0)
		return to_lock(c) ? c->lock : lock_lost(c, c->lock);
	r = lock_put(d, c);
	return r < 0 ? fail(r, "write the record of the network lock") : 0;
}

/* ---- reading ---- */

/* Its options, and with them what is in the way of reading it. */
static struct tcp_ways ways_of(const struct tcp_conn *conn, struct watch_fd *w)
{
	w->reuse = sockopts_int(&conn->opts, SOL_SOCKET, SO_REUSEADDR, 0);
	return (struct tcp_ways){ sockopts_int(&conn->opts, SOL_SOCKET, SO_OOBINLINE, 0),
		                  sockopts_int(&conn->opts, SOL_SOCKET, SO_PEEK_OFF, -1) };
}

/* Without a word: who cannot be read so is read again when its turn comes, and explained. */
static void conn_try(struct tcp_conns *c, size_t i)
{
	struct tcp_conn *conn = &c->all.v[i];
	struct watch_fd *w = &c->watch->fds[i];
	const struct file *f = file_of(c->d, conn->file);
	const struct tcp_told told = tcp_told_of(conn->diag, f, w->fd);
	const struct sockopt_source source = { tcp_conn_option, &told };
	int r = sk_inet_options_try(c->d, f, w->fd, &source, &conn->opts);
	struct tcp_ways ways = ways_of(conn, w);

	conn->has_syn = tcp_has_syn(w->fd);
	conn->has_label = f->sock.family == AF_INET6 && tcp_has_label(w->fd);
	if (r == 0)
		r = tcp_read(w, &ways, AHEAD_SIZE, &conn->msg, &conn->events);
	conn->ready = r == 0;
	if (!conn->ready)
		tcp_conn_forget(conn);
}

static void *read_ahead(void *arg)
{
	struct tcp_conns *c = arg;
	size_t i;

	while ((i = __atomic_fetch_add(&c->ahead, 1, __ATOMIC_RELAXED)) < c->all.n)
		conn_try(c, i);
	return NULL;
}

static void conns_read(struct tcp_conns *c)
{
	pthread_t helpers[HELPERS];
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	size_t n = 0, want = c->all.n / AHEAD_MIN;

	want = want < (size_t)cpus ? want : (size_t)cpus;
	while (n + 1 < want && n < HELPERS && !pthread_create(&helpers[n], NULL, read_ahead, c))
		n++;
	if (want > 1)
		read_ahead(c);
	while (n > 0)
		pthread_join(helpers[--n], NULL);
}

struct tcp_conn *tcp_conn_find(struct dump *d, const struct file *f)
{
	struct tcp_conns *c = d->tcp_conns;

	while (c->next < c->all.n && c->all.v[c->next].file < f->id)
		c->next++;
	return c->next < c->all.n && c->all.v[c->next].file == f->id ? &c->all.v[c->next] : NULL;
}

int tcp_conn_read(struct dump *d, const struct file *f, struct tcp_conn *conn)
{
	struct watch_fd *w = &d->tcp_conns->watch->fds[conn - d->tcp_conns->all.v];
	const struct tcp_told told = tcp_told_of(conn->diag, f, w->fd);
	const struct sockopt_source source = { tcp_conn_option, &told };
	struct tcp_ways ways;
	int r;

	if (conn->ready)
		return 0;
	if (watch_is_changed(w))
		return fail(-EIO, "%s (%s): its options cannot be put back", file_name(f),
		            file_describe(f));
	r = sk_inet_options(d, f, w->fd, &source, &conn->opts);
	if (r < 0)
		return r;
	ways = ways_of(conn, w);
	conn->has_syn = tcp_has_syn(w->fd);
	conn->has_label = f->sock.family == AF_INET6 && tcp_has_label(w->fd);
	r = tcp_read(w, &ways, 0, &conn->msg, &conn->events);
	if (r == -ENOTCONN)
		return r;
	if (r == -EOPNOTSUPP)
		return fail(-ENOTSUP,
		            "%s (%s): urgent data waits in it, and this kernel does not show what "
		            "is behind it (SO_PEEK_OFF of TCP)",
		            file_name(f), file_describe(f));
	return r < 0 ? fail(r, "%s (%s): read the connection", file_name(f), file_describe(f)) : 0;
}

void tcp_conn_forget(struct tcp_conn *conn)
{
	sockopts_done(&conn->opts);
	tcp_read_done(&conn->msg);
}

/* ---- all of them ---- */

/* Of IPv4 and of IPv6. */
static int options_prepare(struct dump *d, struct tcp_conns *c)
{
	int r = 0;

	for (size_t i = 0; i < c->all.n && r == 0; i++) {
		const struct file *f = file_of(d, c->all.v[i].file);

		if (i == 0 || f->sock.family != file_of(d, c->all.v[i - 1].file)->sock.family)
			r = sockopts_prepare(d, f);
	}
	return r;
}

static int conns_find(struct dump *d, struct tcp_conns *c)
{
	size_t n = count(d);
	int r = 0;

	if (!n && !c->held.all.n)
		return 0;
	r = watch_new(d, n, &c->watch);
	if (r < 0)
		return fail(r, "start the watcher of connections");
	for (size_t i = 0; i < d->files.n && r == 0; i++)
		if (may_be_one(&d->files.v[i]))
			r = conn_take(c, &d->files.v[i]);
	return r;
}

int tcp_conns_begin(struct dump *d)
{
	struct tcp_conns *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	d->tcp_conns = c;
	c->d = d;
	c->lock = -1;
	r = d->opt->tcp == TCP_CARRIED ? udp_held_find(d, &c->held) : 0;
	if (r == 0)
		r = conns_find(d, c);
	if (r == 0 && c->watch)
		r = tcp_keys_refuse(d);
	if (r < 0 || (!to_lock(c) && !c->held.all.n))
		return r;
	r = conns_lock(d, c);
	if (r == 0)
		r = options_prepare(d, c);
	if (r == 0)
		conns_read(c);
	return r;
}

/* By then it is settled that the tree ends: where one cannot be, its peer finds it closed. */
static int end_with_reset(struct tcp_conns *c)
{
	const struct linger linger = { .l_onoff = 1 };
	int r = guard_note_end(c->d);

	for (size_t i = 0; r == 0 && i < c->all.n; i++)
		if (setsockopt(c->watch->fds[i].fd, SOL_SOCKET, SO_LINGER, &linger,
		               sizeof(linger)) < 0)
			warn("file %u: its peer finds the connection closed, not reset: %s",
			     c->all.v[i].file, strerror(errno));
	return r;
}

int tcp_conns_end(struct dump *d)
{
	struct tcp_conns *c = d->tcp_conns;
	int stays, r = 0;

	if (c && d->opt->tcp != TCP_CARRIED)
		return end_with_reset(c);
	if (!c || (!to_lock(c) && !c->held.all.n))
		return 0;
	snprintf(c->watch->lock, sizeof(c->watch->lock), "%s", c->name);
	stays = lock_new(c, c->name, true);
	if (stays < 0)
		return stays;
	close(stays);
	for (size_t i = 0; i < c->watch->n; i++) {
		r = watch_repair(&c->watch->fds[i]);
		if (r < 0)
			return fail(r, "file %u: TCP_REPAIR", c->all.v[i].file);
	}
	r = guard_note_end(d);
	if (r == 0)
		c->watch->committed = true;
	return r;
}

void tcp_conns_release(struct dump *d, bool killed)
{
	struct tcp_conns *c = d->tcp_conns;

	d->tcp_conns = NULL;
	if (!c)
		return;
	if (!killed && c->watch)
		watch_leave_all(c->watch);
	for (size_t i = 0; c->watch && i < c->watch->n; i++) {
		if (file_of(d, c->all.v[i].file)->kept != c->watch->fds[i].fd)
			close(c->watch->fds[i].fd);
	}
	if (!killed && c->watch && *c->watch->lock)
		netlock_remove(c->watch->lock);
	watch_free(d, c->watch);
	closep(&c->lock);
	array_each (conn, &c->all)
		tcp_conn_forget(conn);
	array_done(&c->all);
	udp_held_done(&c->held);
	free(c);
}
