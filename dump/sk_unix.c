/*
 * Unix sockets without a name, dump half: pairs with both ends in the tree or
 * one of them closed (socketpair(2), or connected in any way), sockets that are
 * not connected yet, and datagram sockets connected to a name outside that
 * hold nothing (syslog(3)).
 *
 * All is read from a stolen descriptor and from sock_diag. The queue is peeked at
 * with SO_PEEK_OFF, which is put back: nothing is consumed.
 *
 * Not carried yet: names and listeners, ends outside of the tree, descriptors in
 * flight, credentials of messages that wait, out-of-band data. SO_PEERCRED
 * shows crtool after a restore.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "dump/dump.h"
#include "dump/sk_unix_diag.h"
#include "dump/sockopt.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/sk_unix.pb-c.h"

#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif

#define PIECE (1 << 20) /* of a stream; no message is larger than that by default */

static int option_get(int fd, int name, uint32_t *ret)
{
	socklen_t len = sizeof(*ret);

	return getsockopt(fd, SOL_SOCKET, name, ret, &len) < 0 ? -errno : 0;
}

static bool sk_unix_owns(const struct file *f)
{
	uint32_t family = AF_UNSPEC;
	auto_close int fd = -1;

	if (!S_ISSOCK(f->st.st_mode) || (f->flags & O_PATH) || f->fd < 0)
		return false;
	fd = file_steal(f);
	return fd >= 0 && option_get(fd, SO_DOMAIN, &family) == 0 && family == AF_UNIX;
}

/* ---- checks ---- */

static int refuse(const struct file *f, const char *why)
{
	return fail(-ENOTSUP, "%s (%s): %s: not supported by this version", file_name(f),
	            file_describe(f), why);
}

/* The other end, 0: it was closed; -ENOENT: it is outside. */
static int peer_find(struct dump *d, const struct file *f, const struct unix_sock *sock,
                     uint32_t *ret_id)
{
	struct unix_sock peer;
	const struct file *end;
	int r;

	*ret_id = 0;
	if (!sock->peer)
		return 0;
	end = file_by_inode(d, f->st.st_dev, sock->peer);
	if (!end)
		return -ENOENT;
	r = unix_sock_find(d, sock->peer, &peer);
	if (r < 0)
		return r;
	*ret_id = end->id;
	return peer.peer == sock->ino && !peer.named && peer.type == sock->type ? 0 : -EPROTO;
}

/* Datagrams go to a name: where that leads a restore can find out again. */
static bool may_reconnect(const struct unix_sock *sock, int fd, struct sockaddr_un *ret,
                          socklen_t *ret_len)
{
	char c;

	*ret_len = sizeof(*ret);
	return sock->type == SOCK_DGRAM && sock->has_peer &&
	       getpeername(fd, (struct sockaddr *)ret, ret_len) == 0 &&
	       *ret_len > sizeof(sa_family_t) && recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
	       errno == EAGAIN;
}

static int check_peer(struct dump *d, const struct file *f, const struct unix_sock *sock, int fd)
{
	struct sockaddr_un name;
	socklen_t len;
	uint32_t id;
	int r = peer_find(d, f, sock, &id);

	if ((r == -ENOENT || r == -EPROTO) && may_reconnect(sock, fd, &name, &len))
		return 0;
	if (r == -ENOENT)
		return refuse(f, "its other end is outside of the tree");
	if (r == -EPROTO)
		return refuse(f, "its other end has a name");
	return r < 0 ? fail(r, "%s: find its other end", file_name(f)) : 0;
}

static int sk_unix_check(struct dump *d, const struct file *f)
{
	auto_close int fd = file_steal(f);
	struct unix_sock sock;
	uint64_t in_flight = 0;
	uint32_t listens = 0;
	int r = fd < 0 ? fd : unix_sock_find(d, f->st.st_ino, &sock);

	if (r == -ENOENT)
		return refuse(f, "of another network namespace");
	if (r == 0)
		r = option_get(fd, SO_ACCEPTCONN, &listens);
	if (r < 0)
		return fail(r, "%s: ask for its state", file_name(f));
	if (listens || sock.named)
		return refuse(f, "a socket with a name");
	if (fdinfo_u64(f->fdinfo, "scm_fds", 10, &in_flight) && in_flight)
		return refuse(f, "descriptors are in flight to it");
	return check_peer(d, f, &sock, fd);
}

/* ---- record ---- */

struct parts {
	ARRAY(ProtobufCBinaryData) queue;
	struct sockopts options;
	struct sockaddr_un name;
};

static void parts_done(struct parts *p)
{
	array_each (piece, &p->queue)
		free(piece->data);
	array_done(&p->queue);
	sockopts_done(&p->options);
}

/* The next message, or piece of the stream, behind what was peeked at. 0: there is none. */
static ssize_t queue_peek(int fd, struct parts *p, char *buf)
{
	struct iovec iov = { buf, PIECE };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n = recvmsg(fd, &msg, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	ProtobufCBinaryData *piece;

	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	if (msg.msg_flags & MSG_TRUNC)
		return -EMSGSIZE;
	if (n == 0)
		return 0;
	piece = array_add(&p->queue);
	if (!piece)
		return -ENOMEM;
	piece->data = malloc((size_t)n);
	if (!piece->data)
		return -ENOMEM;
	memcpy(piece->data, buf, (size_t)n);
	piece->len = (size_t)n;
	return 1;
}

static int queue_read(int fd, struct parts *p)
{
	auto_free char *buf = malloc(PIECE);
	uint32_t was = 0;
	int zero = 0, r = buf ? option_get(fd, SO_PEEK_OFF, &was) : -ENOMEM;
	ssize_t n;

	if (r < 0)
		return r;
	if (setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &zero, sizeof(zero)) < 0)
		return -errno;
	while ((n = queue_peek(fd, p, buf)) > 0)
		continue;
	if (setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &was, sizeof(was)) < 0)
		return -errno;
	return (int)n;
}

static bool has_option(const struct parts *p, int name)
{
	array_each (o, &p->options.all)
		if (o->level == SOL_SOCKET && (int)o->name == name)
			return true;
	return false;
}

static int sk_unix_read(struct dump *d, const struct file *f, struct parts *p, Img__SkUnix *msg)
{
	auto_close int fd = file_steal(f);
	struct unix_sock sock;
	socklen_t len;
	int r = fd < 0 ? fd : unix_sock_find(d, f->st.st_ino, &sock);

	if (r == 0)
		r = sockopts_read(d, f, fd, SOL_SOCKET, &p->options);
	if (r < 0)
		return r;
	msg->type = sock.type;
	msg->shutdown = sock.shutdown;
	if (!sock.has_peer)
		return 0;
	r = peer_find(d, f, &sock, &msg->peer);
	if ((r == -ENOENT || r == -EPROTO) && may_reconnect(&sock, fd, &p->name, &len)) {
		msg->peer = 0;
		msg->peer_name.data = (uint8_t *)p->name.sun_path;
		msg->peer_name.len = len - sizeof(sa_family_t);
		return 0;
	}
	msg->connected = true;
	return r < 0 ? r : queue_read(fd, p);
}

static int sk_unix_put(struct dump *d, const struct file *f, struct parts *p, Img__SkUnix *msg)
{
	msg->options = sockopts_message(&p->options);
	if (!msg->options)
		return -ENOMEM;
	msg->n_queue = p->queue.n;
	msg->queue = p->queue.v;
	return image_put(d->out, KIND_sk_unix, f->id, &msg->base);
}

static int sk_unix_dump(struct dump *d, const struct file *f)
{
	auto_(parts_done) struct parts p = {};
	Img__SkUnix msg = IMG__SK_UNIX__INIT;
	int r = sk_unix_read(d, f, &p, &msg);

	if (r < 0)
		return log_failure() ? r : fail(r, "%s: read its state", file_name(f));
	if (p.queue.n && (has_option(&p, SO_PASSCRED) || has_option(&p, SO_PASSPIDFD)))
		return refuse(f, "messages with credentials wait in it");
	return sk_unix_put(d, f, &p, &msg);
}

const struct dump_kind dump_sk_unix = {
	.owns = sk_unix_owns,
	.check = sk_unix_check,
	.dump = sk_unix_dump,
};
