/*
 * What waits in unix sockets. In this order, each for all sockets: the content of
 * the queues, sent by the other ends; connections that wait to be accepted; then
 * whom datagram sockets send to, options and what was shut down or closed, any of
 * which could hinder the content.
 *
 * A datagram shows the name of its sender, so it is sent by the socket that has
 * that name, or by one that bears it for the moment.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "restore/sk_unix.h"
#include "restore/sockopt.h"

#define MAX_FDS 253

union control {
	struct cmsghdr head;
	char space[CMSG_SPACE(MAX_FDS * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
};

static struct cmsghdr *control_add(struct msghdr *msg, struct cmsghdr *at, int type,
                                   const void *data, size_t size)
{
	at->cmsg_level = SOL_SOCKET;
	at->cmsg_type = type;
	at->cmsg_len = CMSG_LEN(size);
	memcpy(CMSG_DATA(at), data, size);
	msg->msg_controllen += CMSG_SPACE(size);
	return (struct cmsghdr *)((char *)at + CMSG_SPACE(size));
}

/* The control messages of M. */
static int control_fill(struct restore *r, const Img__SkUnix__Message *m, struct msghdr *msg,
                        union control *space, bool with_creds)
{
	struct cmsghdr *at = &space->head;
	int fds[MAX_FDS];

	memset(space, 0, sizeof(*space));
	msg->msg_control = space;
	msg->msg_controllen = 0;
	for (size_t i = 0; i < m->n_file; i++) {
		fds[i] = pool_file(r, m->file[i]);
		if (fds[i] < 0)
			return fds[i];
	}
	if (m->n_file)
		at = control_add(msg, at, SCM_RIGHTS, fds, m->n_file * sizeof(int));
	if (with_creds && m->creds) {
		struct ucred cred = { (pid_t)m->creds->pid, m->creds->uid, m->creds->gid };

		control_add(msg, at, SCM_CREDENTIALS, &cred, sizeof(cred));
	}
	return 0;
}

/* TO: a descriptor of ours; -1: whom FD is connected to. */
static int message_send(struct restore *r, uint32_t id, int fd, int to,
                        const Img__SkUnix__Message *m)
{
	struct iovec iov = { m->data.data, m->data.len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	union control space;
	int e = control_fill(r, m, &msg, &space, true);
	ssize_t n = e < 0 ? 0 : unix_send_to(fd, to, &msg);

	if (n == -ESRCH && m->creds) { /* who sent it is no more */
		warn("socket %u: a message from process %u, which is no more, comes without its "
		     "credentials",
		     id, m->creds->pid);
		e = control_fill(r, m, &msg, &space, false);
		n = e < 0 ? 0 : unix_send_to(fd, to, &msg);
	}
	if (e < 0)
		return e;
	if (n != (ssize_t)m->data.len)
		return fail(n < 0 ? (int)n : -EIO, "socket %u: fill its queue", id);
	return 0;
}

/* ---- queues ---- */

/* The other end of a connection; one that was closed is ours alone until settle(). */
static int other_end(struct restore *r, uint32_t id, const Img__SkUnix *msg)
{
	int fd = msg->peer ? pool_file(r, msg->peer) : pool_take(r, id), e;

	if (fd < 0)
		return fail(fd, "socket %u: there is no other end", id);
	if (msg->peer)
		return fd;
	e = pool_leave(r, id, fd);
	return e < 0 ? e : fd;
}

static int pair_fill(struct restore *r, uint32_t id, const Img__SkUnix *msg)
{
	int from = other_end(r, id, msg), e;
	const ProtobufCBinaryData *name = &msg->queue[0]->from;
	Img__SkUnix__Name bound = IMG__SK_UNIX__NAME__INIT;

	if (from < 0)
		return from;
	bound.address = *name;
	e = !msg->peer && name->len ? unix_bind(from, &bound, true) : 0;
	if (e == 0)
		e = sockopts_widen(from);
	if (e < 0)
		return fail(e, "socket %u: prepare its other end", id);
	for (size_t i = 0; e == 0 && i < msg->n_queue; i++)
		e = message_send(r, id, from, -1, msg->queue[i]);
	if (e == 0 && msg->peer) {
		e = sockopts_unwiden(from, SO_SNDBUF);
		if (e < 0)
			fail(e, "socket %u: buffer of its other end", id);
	}
	return e;
}

/* A socket of the name of the sender, connected to TARGET. */
static int sender_make(uint32_t id, int target, const ProtobufCBinaryData *from)
{
	auto_close int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	Img__SkUnix__Name name = IMG__SK_UNIX__NAME__INIT;
	int e = fd < 0 ? -errno : 0;

	name.address = *from;
	if (e == 0 && from->len)
		e = unix_bind(fd, &name, true);
	if (e == 0)
		e = unix_connect(fd, target);
	if (e == 0)
		e = sockopts_widen(fd);
	return e < 0 ? fail(e, "socket %u: a sender named %s for what waits in it", id,
	                    unix_name_text(from))
	             : take_fd(&fd);
}

/* The datagram socket of the checkpoint with that name, or 0. Its own connection comes later. */
static uint32_t sender_find(const struct restore *r, const ProtobufCBinaryData *name)
{
	size_t n;
	const struct record *rec = images_kind(r->images, KIND_sk_unix, &n);

	for (size_t i = 0; name->len && i < n; i++) {
		const Img__SkUnix *s = (const Img__SkUnix *)rec[i].msg;

		if (s->type == SOCK_DGRAM && s->name && !s->connected &&
		    s->name->address.len == name->len &&
		    !memcmp(s->name->address.data, name->data, name->len))
			return rec[i].owner;
	}
	return 0;
}

static int datagram_fill(struct restore *r, uint32_t id, const Img__SkUnix__Message *m)
{
	uint32_t sender = sender_find(r, &m->from);
	int target = pool_file(r, id), fd, e;
	auto_close int own = -1;

	if (target < 0)
		return target;
	if (!sender) {
		fd = own = sender_make(id, target, &m->from);
		return fd < 0 ? fd : message_send(r, id, fd, -1, m);
	}
	fd = pool_file(r, sender);
	if (fd < 0)
		return fd;
	e = sockopts_widen(fd);
	if (e == 0)
		e = message_send(r, id, fd, target, m);
	if (e == 0)
		e = sockopts_unwiden(fd, SO_SNDBUF);
	return e < 0 && !log_failure() ? fail(e, "socket %u: its buffer", sender) : e;
}

static int queue_fill(struct restore *r, uint32_t id, const Img__SkUnix *msg)
{
	int e = 0;

	if (!msg->n_queue)
		return 0;
	if (msg->connected)
		return pair_fill(r, id, msg);
	for (size_t i = 0; e == 0 && i < msg->n_queue; i++)
		e = datagram_fill(r, id, msg->queue[i]);
	return e;
}

/* ---- connections that wait ---- */

static int listen_again(int listener, int unused)
{
	return listen(listener, SOMAXCONN) < 0 ? -errno : 0;
}

/* Each is shown who the other is: that must not be us. */
static int pending_connect(struct restore *r, int listener, uint32_t client_id)
{
	const Img__SkUnix *from =
		(const Img__SkUnix *)images_one(r->images, KIND_sk_unix, client_id);
	int client = pool_file(r, client_id);

	if (client < 0 || r->opt->explain)
		return client < 0 ? client : 0;
	return unix_as(client_id, from->creds, unix_connect, client, listener);
}

int unix_pending(struct restore *r, uint32_t id, const Img__SkUnix *msg)
{
	int listener = msg->n_pending ? pool_file(r, id) : 0, e = 0;

	if (listener >= 0 && msg->n_pending && !r->opt->explain)
		e = unix_as(id, msg->creds, listen_again, listener, -1);
	if (e < 0)
		return fail(e, "socket %u: listen as who did", id);
	for (size_t i = 0; listener >= 0 && i < msg->n_pending; i++) {
		e = pending_connect(r, listener, msg->pending[i]);

		if (e < 0)
			return fail(e, "socket %u: connect socket %u, which waited in it", id,
			            msg->pending[i]);
	}
	return listener < 0 ? listener : 0;
}

static bool is_connected(int fd)
{
	struct sockaddr_un un;

	return getpeername(fd, (struct sockaddr *)&un, &(socklen_t){ sizeof(un) }) == 0;
}

/* A listener that is in flight has no owner who has come to unix_pending(). */
static int pending_fill(struct restore *r, uint32_t id, const Img__SkUnix *msg)
{
	int listener = msg->n_pending ? pool_file(r, id) : 0;

	for (size_t i = 0; listener >= 0 && i < msg->n_pending; i++) {
		int client = pool_file(r, msg->pending[i]);
		int e = client < 0 || is_connected(client) ? client
		                                           : unix_connect(client, listener);

		if (e < 0)
			return fail(e, "socket %u: connect socket %u, which waited in it", id,
			            msg->pending[i]);
	}
	return listener < 0 ? listener : 0;
}

/* What a client has sent before it is accepted. */
static int ahead_send(struct restore *r, uint32_t id, const Img__SkUnix *msg)
{
	int fd = msg->n_ahead ? pool_file(r, id) : 0;
	int e = fd < 0 || !msg->n_ahead ? fd : sockopts_widen(fd);

	for (size_t i = 0; e == 0 && i < msg->n_ahead; i++)
		e = message_send(r, id, fd, -1, msg->ahead[i]);
	if (e == 0 && msg->n_ahead)
		e = sockopts_unwiden(fd, SO_SNDBUF);
	return e < 0 && !log_failure() ? fail(e, "socket %u: its buffer", id) : e;
}

/* ---- the rest ---- */

static int name_connect(struct restore *r, uint32_t id, const Img__SkUnix *msg)
{
	int fd = msg->peer_name.len ? pool_file(r, id) : 0;
	int e = fd < 0 || !msg->peer_name.len ? fd : unix_connect_name(fd, &msg->peer_name);

	return e < 0 ? fail(e, "socket %u: connect to %s", id, unix_name_text(&msg->peer_name)) : 0;
}

/* The index of the socket that the one with that index sends to; -1: to none. */
static ssize_t target_of(const struct restore *r, const struct record *rec, size_t i)
{
	uint32_t id = ((const Img__SkUnix *)rec[i].msg)->sends_to;
	size_t n;

	return id ? images_find(r->images, KIND_sk_unix, id, &n) - rec : -1;
}

static int target_connect(struct restore *r, const struct record *rec, size_t i)
{
	uint32_t to = ((const Img__SkUnix *)rec[i].msg)->sends_to;
	int fd = pool_file(r, rec[i].owner), target = fd < 0 ? fd : pool_file(r, to);
	int e = target < 0 ? target : unix_connect(fd, target);

	return e < 0 ? fail(e, "socket %u: connect to socket %u", rec[i].owner, to) : 0;
}

/* I, and whoever of those that it sends to has no other senders left that are not connected. */
static int chain_connect(struct restore *r, const struct record *rec, uint32_t *senders, size_t i)
{
	while (senders[i] == 0) {
		ssize_t to = target_of(r, rec, i);
		int e = to < 0 ? 0 : target_connect(r, rec, i);

		senders[i] = UINT32_MAX; /* done */
		if (to < 0 || e < 0)
			return e;
		senders[to]--;
		i = (size_t)to;
	}
	return 0;
}

/*
 * A connected socket accepts nobody but whom it is connected to: those that send to
 * it come first. What remains are circles, which are of two or of one.
 */
static int targets_connect(struct restore *r, const struct record *rec, size_t n)
{
	auto_free uint32_t *senders = calloc(n + 1, sizeof(*senders));
	int e = senders ? 0 : -ENOMEM;

	for (size_t i = 0; e == 0 && i < n; i++)
		if (target_of(r, rec, i) >= 0)
			senders[target_of(r, rec, i)]++;
	for (size_t i = 0; e == 0 && i < n; i++)
		if (senders[i] == 0)
			e = chain_connect(r, rec, senders, i);
	for (size_t i = 0; e == 0 && i < n; i++)
		if (senders[i] != UINT32_MAX)
			e = target_connect(r, rec, i);
	return e;
}

/* With something unread it is told to who sent that (ECONNRESET). */
static int other_close(struct restore *r, uint32_t id, int fd, bool unread)
{
	int other = pool_take(r, id);
	ssize_t n = unread ? send(fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) : 1;

	closep(&other);
	return n == 1 ? 0 : fail(n < 0 ? -errno : -EIO, "socket %u: fill its other end", id);
}

static int settle(struct restore *r, uint32_t id, const Img__SkUnix *msg)
{
	const Img__File *file = (const Img__File *)images_one(r->images, KIND_file, id);
	int fd = pool_file(r, id);
	int e = fd < 0 ? fd : 0;

	if (e == 0 && msg->connected && !msg->peer) {
		e = other_close(r, id, fd, msg->reset);
	} else if (e == 0 && msg->shutdown && !msg->listens &&
	           shutdown(fd, (int)msg->shutdown - 1) < 0) {
		e = fail(-errno, "socket %u: shutdown", id);
	}
	/* What is made as a pair, or accepted, has had none yet, and here it makes no difference. */
	if (e == 0 && msg->connected)
		e = sockopts_set(file, fd, msg->options, SOCKOPTS_EARLY);
	return e < 0 ? e : sockopts_set(file, fd, msg->options, SOCKOPTS_LATE);
}

int unix_fill(struct restore *r)
{
	static int (*const steps[])(struct restore * r, uint32_t id,
	                            const Img__SkUnix *msg) = { queue_fill, pending_fill,
		                                                ahead_send, name_connect, settle };
	size_t n;
	const struct record *rec = images_kind(r->images, KIND_sk_unix, &n);
	int e = 0;

	for (size_t step = 0; step < ARRAY_SIZE(steps); step++) {
		if (steps[step] == settle)
			e = targets_connect(r, rec, n);
		for (size_t i = 0; e == 0 && i < n; i++)
			e = steps[step](r, rec[i].owner, (const Img__SkUnix *)rec[i].msg);
		if (e < 0)
			return e;
	}
	return 0;
}
