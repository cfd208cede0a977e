/*
 * Unix sockets, dump half. All is read from a stolen descriptor and from
 * sock_diag: who is connected to whom, names, what waits.
 *
 * A connection that nobody has accepted yet has one end only, the client: sk_unix_wait.c.
 *
 * Not carried: out-of-band data, errors of datagram sockets that wait (SO_ERROR), the label of SO_PEERSEC.
 * Who is behind SO_PEERPIDFD of a connection is not there any more after a restore.
 */
#include "dump/borrow.h"
#include "dump/kernel_memory.h"
#include "dump/sk_unix.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>

#include "dump/sockopt.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"

static bool sk_unix_owns(const struct file *f)
{
	return f->sock.family == AF_UNIX;
}

/* ---- whom it is connected to ---- */

enum relation {
	ALONE,   /* not connected */
	PAIR,    /* with another file of the tree */
	CLOSED,  /* the other end is no more */
	WAITS,   /* for a listener of the tree to accept it */
	SENDS,   /* datagrams, to a socket of the tree that has a name */
	OUTSIDE, /* of the tree is the other end */
};

struct end {
	enum relation relation;
	uint32_t id;  /* of the file at the other end */
	uint32_t ino; /* of the socket there */
	struct unix_sock sock;
};

static int end_find(struct dump *d, const struct file *f, const struct unix_sock *sock,
                    struct end *ret)
{
	uint32_t listener = sock->has_peer && !sock->peer ? unix_sock_waits(d, sock->ino) : 0;
	const struct file *file;

	memset(ret, 0, sizeof(*ret));
	ret->ino = listener ? listener : sock->peer;
	ret->relation = sock->has_peer && sock->state != TCP_LISTEN ? CLOSED : ALONE;
	if (!ret->ino || ret->relation == ALONE)
		return 0;
	file = file_by_inode(d, f->st.st_dev, ret->ino);
	ret->relation = OUTSIDE;
	if (!file)
		return 0;
	ret->id = file->id;
	ret->relation = listener ? WAITS : PAIR;
	if (listener || sock->type != SOCK_DGRAM)
		return 0;
	if (unix_sock_find(d, ret->ino, &ret->sock) < 0)
		return -ENOENT;
	if (ret->sock.peer == sock->ino && !(ret->sock.named && sock->named))
		return 0; /* of socketpair(2) */
	ret->relation = SENDS;
	return ret->sock.named ? 0 : -EPROTO;
}

/* ---- checks ---- */

static int refuse(const struct file *f, const char *why)
{
	return fail(-ENOTSUP, "%s (%s): %s", file_name(f), file_describe(f), why);
}

/* An end that nobody has open may be in flight to a socket of the tree: that is seen once it is frozen. */
static int check_outside(struct dump *d, const struct file *f, const struct unix_sock *sock,
                         const struct end *end, int fd, bool in_flight_known)
{
	struct unix_address peer;
	bool has_name = unix_address_get(fd, true, &peer);
	const char *who;

	/* Where datagrams to a name lead a restore can find out again. */
	if (sock->type == SOCK_DGRAM && has_name)
		return 0;
	switch (unix_policy(d, &peer)) {
	case UNIX_CLOSE:
	case UNIX_INHERIT:
		return 0;
	case UNIX_RECONNECT:
		return has_name && !sock->named ? 0
		                                : refuse(f, "its other end is outside of the tree "
		                                            "and has no name to connect to anew; "
		                                            "--ext-unix=close lets it go");
	default:
		who = unix_holder(end->ino);
		if (!*who && !in_flight_known)
			return 0;
		return fail(
			-ENOTSUP,
			"%s (%s): its other end%s%s%s is outside of the tree; --ext-unix=%sclose "
			"lets the connection go, =inherit takes a descriptor of crtool restore",
			file_name(f), file_describe(f), *who ? ", " : "", who, *who ? "," : "",
			has_name ? "reconnect or =" : "");
	}
}

/* What is skipped of what waits the memory of the kernel tells, which takes time to be opened. */
static void memory_prepare(struct dump *d, const struct unix_sock *sock, int fd)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };

	if (!d->frozen && sock->type != SOCK_STREAM && poll(&ready, 1, 0) == 1)
		kernel_memory(d);
}

static int sk_unix_check(struct dump *d, const struct file *f)
{
	auto_(borrowed_done) struct borrowed b = file_borrow(f);
	struct unix_sock sock;
	struct end end;
	int fd = b.fd, r = fd < 0 ? fd : unix_sock_find(d, f->st.st_ino, &sock);

	if (r == -ENOENT)
		return refuse(f, "of another network namespace: not supported by this version");
	if (r == 0)
		r = end_find(d, f, &sock, &end);
	if (r == -EPROTO)
		return refuse(f,
		              "it sends to a socket without a name: not supported by this version");
	if (r < 0)
		return fail(r, "%s: ask for its state", file_name(f));
	if (sock.state == TCP_LISTEN)
		return unix_waiting_check(d, f, &sock);
	r = sockopts_filter_check(f, fd);
	if (r < 0)
		return r;
	memory_prepare(d, &sock, fd);
	return end.relation == OUTSIDE ? check_outside(d, f, &sock, &end, fd, false) : 0;
}

/* ---- record ---- */

struct parts {
	struct borrowed borrowed;
	int fd; /* that */
	struct unix_sock sock;
	struct end end;
	struct unix_queue queue;
	struct sockopts options;
	struct unix_name name;
	struct unix_address peer;
	uint32_t *pending;
	Img__SkUnix__Creds creds;
	uint32_t *groups; /* of creds */
	struct unix_waiter waiter;
};

static void parts_done(struct parts *p)
{
	borrowed_done(&p->borrowed);
	unix_queue_done(&p->queue);
	sockopts_done(&p->options);
	free(p->pending);
	free(p->groups);
	unix_waiter_done(&p->waiter);
}

/* Does a connected socket have its name from its listener, or did it bind one itself? */
static bool was_accepted(struct dump *d, const struct parts *p)
{
	struct unix_sock peer;

	if (p->sock.type == SOCK_DGRAM || !p->sock.named)
		return false;
	if (p->end.relation != PAIR || unix_sock_find(d, p->end.ino, &peer) < 0 || !peer.named)
		return true;
	if (unix_sock_listener(d, &p->sock))
		return true;
	/* It came to be when its client was there already. */
	return !unix_sock_listener(d, &peer) && p->sock.ino > peer.ino;
}

static int name_read(struct dump *d, const struct file *f, struct parts *p, Img__SkUnix *msg)
{
	const struct file *listener;
	int r;

	if (!p->sock.named || msg->inherited)
		return 0;
	r = unix_name_read(f, p->fd, &p->name);
	if (r < 0)
		return fail(r, "%s: read its name", file_name(f));
	msg->name = &p->name.msg;
	msg->accepted = msg->connected && was_accepted(d, p);
	if (!msg->accepted)
		return 0;
	p->name.base[0] = '\0'; /* the file is the listener's */
	listener = file_by_inode(d, f->st.st_dev, unix_sock_listener(d, &p->sock));
	msg->listener = listener ? listener->id : 0;
	return 0;
}

static int outside_read(struct dump *d, const struct file *f, struct parts *p, Img__SkUnix *msg)
{
	bool has_name = unix_address_get(p->fd, true, &p->peer);
	bool datagrams = p->sock.type == SOCK_DGRAM && has_name;
	enum unix_policy policy = datagrams ? UNIX_RECONNECT : unix_policy(d, &p->peer);
	int r = check_outside(d, f, &p->sock, &p->end, p->fd, true);

	if (r < 0)
		return r;
	msg->connected = policy == UNIX_CLOSE;
	if (policy == UNIX_CLOSE) {
		lose("%s (%s): its other end is outside of the tree: closed", file_name(f),
		     file_describe(f));
		return 0;
	}
	if (policy == UNIX_INHERIT) {
		msg->inherited = true;
		msg->number = (uint32_t)f->fd;
		return 0;
	}
	msg->peer_name.data = (uint8_t *)p->peer.un.sun_path;
	msg->peer_name.len = p->peer.len;
	if (!datagrams)
		lose("%s (%s): will be connected anew", file_name(f), file_describe(f));
	return 0;
}

/* Who made the other end, or listens. Of a datagram socket only socketpair(2) is noted. */
static int creds_read(struct parts *p, Img__SkUnix *msg)
{
	struct ucred cred = {};
	socklen_t len = 0;

	if (getsockopt(p->fd, SOL_SOCKET, SO_PEERCRED, &cred, &(socklen_t){ sizeof(cred) }) < 0)
		return -errno;
	if (!msg->listens && !cred.pid && cred.uid == UINT32_MAX)
		return 0;
	img__sk_unix__creds__init(&p->creds);
	p->creds.pid = (uint32_t)cred.pid;
	p->creds.uid = cred.uid;
	p->creds.gid = cred.gid;
	msg->creds = &p->creds;
	if (msg->listens || getsockopt(p->fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &len) == 0 ||
	    errno != ERANGE)
		return 0;
	p->groups = malloc(len);
	if (!p->groups)
		return -ENOMEM;
	if (getsockopt(p->fd, SOL_SOCKET, SO_PEERGROUPS, p->groups, &len) < 0)
		return -errno;
	p->creds.group = p->groups;
	p->creds.n_group = len / sizeof(*p->groups);
	return 0;
}

static int listener_read(struct dump *d, const struct file *f, struct parts *p, Img__SkUnix *msg)
{
	const uint32_t *clients = NULL;
	uint32_t n = unix_sock_waiting(d, p->sock.ino, &clients);

	p->pending = calloc(n + 1, sizeof(*p->pending));
	if (!p->pending)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		const struct file *client = file_by_inode(d, f->st.st_dev, clients[i]);

		if (client)
			p->pending[msg->n_pending++] = client->id;
		else
			lose("%s (%s): the connection of %s, which waits in it", file_name(f),
			     file_describe(f), unix_holder(clients[i]));
	}
	msg->pending = p->pending;
	msg->listens = true;
	msg->backlog = p->sock.wqueue;
	return 0;
}

static int queue_read(struct dump *d, const struct file *f, struct parts *p, Img__SkUnix *msg)
{
	int r;

	if (p->sock.state == TCP_LISTEN || (p->sock.type != SOCK_DGRAM && !p->sock.has_peer) ||
	    p->end.relation == WAITS)
		return 0;
	r = unix_queue_read(d, f, p->fd, p->sock.type, p->sock.shutdown & 1, &p->queue);
	if (r < 0)
		return log_failure() ? r : fail(r, "%s: read what waits in it", file_name(f));
	msg->n_queue = p->queue.all.n;
	msg->queue = p->queue.list;
	msg->reset = p->queue.reset && p->end.relation == CLOSED;
	if (((msg->peer_name.len && p->sock.type != SOCK_DGRAM) || msg->inherited) && msg->n_queue)
		return refuse(f, "to be connected anew, but something waits in it to be read");
	return 0;
}

static int parts_open(struct dump *d, const struct file *f, struct parts *p)
{
	int r;

	p->borrowed = file_borrow(f);
	p->fd = p->borrowed.fd;
	r = p->fd < 0 ? p->fd : unix_sock_find(d, f->st.st_ino, &p->sock);
	if (r == 0)
		r = end_find(d, f, &p->sock, &p->end);
	return r < 0 ? fail(r, "%s: ask for its state", file_name(f)) : 0;
}

static int sk_unix_read(struct dump *d, const struct file *f, struct parts *p, Img__SkUnix *msg)
{
	int r = sockopts_read(d, f, p->fd, SOL_SOCKET, &p->options);

	msg->type = p->sock.type;
	msg->shutdown = p->sock.shutdown;
	msg->connected = p->end.relation == PAIR || p->end.relation == CLOSED;
	msg->peer = p->end.relation == PAIR ? p->end.id : 0;
	msg->sends_to = p->end.relation == SENDS ? p->end.id : 0;
	if (r == 0 && p->end.relation == OUTSIDE)
		r = outside_read(d, f, p, msg);
	if (r == 0)
		r = name_read(d, f, p, msg);
	if (r == 0 && p->sock.state == TCP_LISTEN)
		r = listener_read(d, f, p, msg);
	if (r == 0 && (msg->connected || msg->listens)) {
		r = creds_read(p, msg);
		if (r < 0)
			return fail(r, "%s: who is at its other end", file_name(f));
	}
	if (r == 0 && p->end.relation == WAITS)
		r = unix_waiter_read(d, f, p->fd, p->sock.wqueue, &p->waiter, msg);
	return r < 0 ? r : queue_read(d, f, p, msg);
}

static int sk_unix_dump(struct dump *d, const struct file *f)
{
	auto_(parts_done) struct parts p = { .borrowed.fd = -1 };
	Img__SkUnix msg = IMG__SK_UNIX__INIT;
	int r = parts_open(d, f, &p);

	if (r == 0)
		r = sk_unix_read(d, f, &p, &msg);
	if (r < 0)
		return r;
	msg.options = sockopts_message(&p.options);
	return msg.options ? image_put(d->out, KIND_sk_unix, f->id, &msg.base) : -ENOMEM;
}

/* Files that are in flight. */
static int sk_unix_reach(struct dump *d, const struct file *f)
{
	auto_(unix_queue_done) struct unix_queue queue = {};
	auto_(borrowed_done) struct borrowed b = { .fd = -1 };
	struct unix_sock sock;
	uint64_t in_flight = 0;
	int r;

	if (!fdinfo_u64(f->fdinfo, "scm_fds", 10, &in_flight) || !in_flight)
		return 0;
	b = file_borrow(f);
	r = b.fd < 0 ? b.fd : unix_sock_find(d, f->st.st_ino, &sock);
	if (r == 0)
		r = unix_queue_read(d, f, b.fd, sock.type, sock.shutdown & 1, &queue);
	return r < 0 && !log_failure() ? fail(r, "unix socket: read what is in flight") : r;
}

const struct dump_kind dump_sk_unix = {
	.owns = sk_unix_owns,
	.check = sk_unix_check,
	.reach = sk_unix_reach,
	.dump = sk_unix_dump,
};
