/*
 * Unix sockets, restore half. Both ends of a connection are made at once, by the
 * file with the lower id, which leaves the other end for its own file; where
 * that was closed, it is left for the time when queues are filled. An end that was
 * accepted is accepted again, from the listener that it came from or from one
 * with that name that nobody else can see.
 *
 * What waits in the sockets is sent when all files are open and all processes exist
 * (sk_unix_fill.c). listen(2) is called once more by the process that has the
 * listener, as the user of old: its clients are shown who that was (SO_PEERCRED).
 */
#include "restore/leftover.h"
#include "restore/sk_unix.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "restore/sockopt.h"

static const uint32_t levels[] = { SOL_SOCKET, 0 };

static const Img__SkUnix *sock_of(const struct restore *r, uint32_t id)
{
	return id ? (const Img__SkUnix *)images_one(r->images, KIND_sk_unix, id) : NULL;
}

static const Img__File *file_of(const struct restore *r, uint32_t id)
{
	return (const Img__File *)images_one(r->images, KIND_file, id);
}

/* ---- checks ---- */

static bool name_bad(const Img__SkUnix *msg)
{
	const Img__SkUnix__Name *n = msg->name;

	if (!n)
		return msg->accepted || msg->listens;
	return !unix_name_valid(&n->address) || (*n->dir && *n->dir != '/') || n->mode > 07777;
}

static bool links_bad(const struct restore *r, const Img__File *file, const Img__SkUnix *msg)
{
	const Img__SkUnix *peer = sock_of(r, msg->peer), *listener = sock_of(r, msg->listener);
	const Img__SkUnix *target = sock_of(r, msg->sends_to);
	bool bad = false;

	if (msg->peer)
		bad |= !peer || !msg->connected || peer->peer != file->id ||
		       peer->type != msg->type || msg->peer == file->id ||
		       (msg->accepted && peer->accepted);
	if (msg->listener)
		bad |= !listener || !msg->accepted || !listener->listens ||
		       listener->type != msg->type;
	if (msg->sends_to)
		bad |= !target || !target->name || target->type != SOCK_DGRAM ||
		       msg->type != SOCK_DGRAM || msg->connected;
	for (size_t i = 0; i < msg->n_pending; i++) {
		const Img__SkUnix *client = sock_of(r, msg->pending[i]);

		bad |= !client || client->type != msg->type || client->connected ||
		       client->listens || client->peer_name.len || client->n_queue;
		for (size_t k = 0; k < i; k++)
			bad |= msg->pending[i] == msg->pending[k];
	}
	return bad;
}

static bool queue_bad(const struct restore *r, const Img__SkUnix *msg,
                      Img__SkUnix__Message *const *queue, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const Img__SkUnix__Message *m = queue[i];

		if (m->n_file > 253 || (m->from.len && !unix_name_valid(&m->from)))
			return true;
		if (msg->type == SOCK_STREAM && (!m->data.len || m->from.len))
			return true;
		for (size_t k = 0; k < m->n_file; k++)
			if (!file_of(r, m->file[k]))
				return true;
	}
	return false;
}

static int sk_unix_check(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__SkUnix *msg = (const Img__SkUnix *)base;
	bool stream = msg->type == SOCK_STREAM || msg->type == SOCK_SEQPACKET;
	bool bad = msg->shutdown > 3 || (!stream && msg->type != SOCK_DGRAM);

	bad |= msg->peer_name.len && !unix_name_valid(&msg->peer_name);
	bad |= msg->peer_name.len && (msg->connected || msg->sends_to);
	bad |= msg->listens && (!stream || msg->connected || !msg->creds);
	bad |= msg->listens ? msg->n_pending > (uint64_t)msg->backlog + 1 : msg->n_pending > 0;
	bad |= msg->creds && (msg->creds->n_group > NGROUPS_MAX || msg->creds->pid > INT32_MAX);
	bad |= msg->inherited && (msg->connected || msg->listens || msg->sends_to || msg->name ||
	                          msg->peer_name.len || msg->n_queue || msg->number > INT32_MAX);
	bad |= msg->accepted && (!stream || !msg->connected);
	bad |= stream && msg->n_queue && !msg->connected;
	bad |= msg->reset && (!stream || !msg->connected || msg->peer);
	bad |= msg->n_ahead && (!stream || msg->connected || msg->listens);
	bad |= queue_bad(r, msg, msg->queue, msg->n_queue);
	bad |= queue_bad(r, msg, msg->ahead, msg->n_ahead);
	if (bad || name_bad(msg) || links_bad(r, file, msg))
		return fail(-EBADMSG, "file %u: socket: its state makes no sense", file->id);
	return sockopts_check(file, msg->options, levels);
}

/* ---- making them ---- */

/* A new file of that name must not be left; -1: there is none. */
static int name_note(struct restore *r, const Img__SkUnix__Name *name, bool hidden)
{
	const char *address = (const char *)name->address.data;
	bool below = name->root || *address != '/';
	char path[PATH_MAX];

	if (hidden || !*name->dir || !*address)
		return -1;
	if (snprintf(path, sizeof(path), "%s%s%.*s", below ? name->dir : "", below ? "/" : "",
	             (int)name->address.len, address) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	return leftover_expect(r, LEFT_NAME, path, 0);
}

static int name_bind(struct restore *r, const Img__File *file, int fd, const Img__SkUnix *msg,
                     bool hidden)
{
	int e, noted;

	if (!msg->name || r->opt->explain)
		return 0;
	noted = name_note(r, msg->name, hidden);
	e = noted < -1 ? noted : unix_bind(fd, msg->name, hidden);
	if (e < 0 && noted >= 0)
		leftover_forget(r, noted);
	if (e == -EADDRINUSE)
		return fail(e, "socket %u: name %s: somebody else uses it", file->id,
		            unix_name_text(&msg->name->address));
	return e < 0 ? fail(e, "socket %u: bind it to %s", file->id,
	                    unix_name_text(&msg->name->address))
	             : 0;
}

/* One socket with its own name and what must be set before it is connected. */
static int single_make(struct restore *r, const Img__File *file, const Img__SkUnix *msg,
                       bool hidden)
{
	auto_close int fd = socket(AF_UNIX, (int)msg->type | SOCK_CLOEXEC, 0);
	int e;

	if (fd < 0)
		return fail(-errno, "socket %u: create", file->id);
	e = sockopts_set(file, fd, msg->options, SOCKOPTS_EARLY);
	if (e == 0 && (!msg->accepted || hidden))
		e = name_bind(r, file, fd, msg, hidden);
	if (e == 0 && (msg->listens || hidden) && !r->opt->explain && listen(fd, SOMAXCONN) < 0)
		e = fail(-errno, "socket %u: listen", file->id);
	return e < 0 ? e : take_fd(&fd);
}

static int listen_again(int listener, int unused)
{
	return listen(listener, SOMAXCONN) < 0 ? -errno : 0;
}

/* CLIENT, with the record PEER or NULL, connects; SERVER of FILE is accepted. Each is shown who made the other. */
static int accept_from(const Img__File *file, const Img__SkUnix *msg, const Img__SkUnix *peer,
                       int listener, int client)
{
	int e = peer && peer->creds ? unix_as(file->id, peer->creds, listen_again, listener, -1)
	                            : 0;
	int fd;

	if (e == 0)
		e = unix_as(file->id, msg->creds, unix_connect, client, listener);
	if (e < 0)
		return fail(e, "socket %u: connect its client again", file->id);
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	return fd < 0 ? fail(-errno, "socket %u: accept it again", file->id) : fd;
}

/* FILE was accepted; PEER, with its record, is its client, or NULL: that was closed. */
static int accepted_make(struct restore *r, const Img__File *file, const Img__SkUnix *msg,
                         const Img__SkUnix *peer, int *ret_client)
{
	auto_close int client = -1, own = -1;
	int listener, e;

	client = peer ? single_make(r, file_of(r, msg->peer), peer, false)
	              : socket(AF_UNIX, (int)msg->type | SOCK_CLOEXEC, 0);
	if (client < 0)
		return peer ? client : fail(-errno, "socket %u: create", file->id);
	listener = own = msg->listener ? -1 : single_make(r, file, msg, true);
	if (msg->listener)
		listener = pool_file(r, msg->listener);
	if (listener < 0)
		return listener;
	e = accept_from(file, msg, peer, listener, client);
	if (e >= 0)
		*ret_client = take_fd(&client);
	return e;
}

/* In place of the descriptors A and B. */
static int pair_in_place(int type, int a, int b)
{
	int ends[2];

	if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	if (dup3(ends[0], a, O_CLOEXEC) < 0 || dup3(ends[1], b, O_CLOEXEC) < 0)
		return -errno;
	close(ends[0]);
	close(ends[1]);
	return 0;
}

static int stream_in_place(int a, int b)
{
	return pair_in_place(SOCK_STREAM, a, b);
}

static int dgram_in_place(int a, int b)
{
	return pair_in_place(SOCK_DGRAM, a, b);
}

static int seqpacket_in_place(int a, int b)
{
	return pair_in_place(SOCK_SEQPACKET, a, b);
}

static int socketpair_as(const struct restore *r, const Img__File *file, const Img__SkUnix *msg,
                         int ret[2])
{
	int e;

	/* Any two descriptors: they hold the places. */
	ret[0] = socket(AF_UNIX, (int)msg->type | SOCK_CLOEXEC, 0);
	ret[1] = ret[0] < 0 ? -1 : socket(AF_UNIX, (int)msg->type | SOCK_CLOEXEC, 0);
	e = ret[1] < 0 ? -errno
	               : unix_as(file->id, r->opt->explain ? NULL : msg->creds,
	                         msg->type == SOCK_STREAM  ? stream_in_place
	                         : msg->type == SOCK_DGRAM ? dgram_in_place
	                                                   : seqpacket_in_place,
	                         ret[0], ret[1]);
	return e < 0 ? fail(e, "socket %u: socketpair", file->id) : 0;
}

static int ends_make(struct restore *r, const Img__File *file, const Img__SkUnix *msg,
                     const Img__SkUnix *peer, int ret[2])
{
	const Img__File *other = peer ? file_of(r, msg->peer) : NULL;
	int e;

	if (!r->opt->explain && (msg->accepted || (peer && peer->accepted))) {
		bool own = msg->accepted;

		e = own ? accepted_make(r, file, msg, peer, &ret[1])
		        : accepted_make(r, other, peer, msg, &ret[0]);
		ret[own ? 0 : 1] = e;
		return e < 0 ? e : 0;
	}
	e = socketpair_as(r, file, msg, ret);
	if (e == 0)
		e = name_bind(r, file, ret[0], msg, false);
	if (e == 0 && peer)
		e = name_bind(r, other, ret[1], peer, false);
	return e;
}

static int pair_make(struct restore *r, const Img__File *file, const Img__SkUnix *msg)
{
	const Img__SkUnix *peer = sock_of(r, msg->peer);
	auto_close int own = -1, other = -1;
	int ends[2] = { -1, -1 };
	int e = ends_make(r, file, msg, peer, ends);

	own = ends[0], other = ends[1];
	if (e == 0)
		e = pool_leave(r, peer ? msg->peer : file->id, take_fd(&other));
	return e < 0 ? e : take_fd(&own);
}

/* What crtool opens itself is close-on-exec; what its caller gave it is not. */
static int inherit(const Img__File *file, const Img__SkUnix *msg)
{
	int number = (int)msg->number, own = fcntl(number, F_GETFD), family = 0, type = 0;
	socklen_t len = sizeof(int);
	int fd;

	if (own < 0 || own & FD_CLOEXEC ||
	    getsockopt(number, SOL_SOCKET, SO_DOMAIN, &family, &len) < 0 ||
	    getsockopt(number, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || family != AF_UNIX ||
	    type != (int)msg->type)
		return fail(-ENOTSUP,
		            "socket %u: its other end is outside: start crtool with a descriptor "
		            "%u in its place, a unix socket of the same type",
		            file->id, msg->number);
	fd = fcntl(number, F_DUPFD_CLOEXEC, 3);
	return fd < 0 ? fail(-errno, "socket %u: take descriptor %u", file->id, msg->number) : fd;
}

static int sk_unix_open(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__SkUnix *msg = (const Img__SkUnix *)base;
	auto_close int fd = -1;
	int e;

	if (msg->inherited && !r->opt->explain) {
		fd = inherit(file, msg);
	} else if (!msg->connected) {
		fd = single_make(r, file, msg, false);
	} else if (!msg->peer || file->id < msg->peer) {
		fd = pair_make(r, file, msg);
	} else {
		e = pool_file(r, msg->peer);
		fd = e < 0 ? e : pool_take(r, file->id);
	}
	if (fd < 0)
		return fd;
	e = pool_set_flags(fd, file);
	return e < 0 ? fail(e, "socket %u: set its flags", file->id) : take_fd(&fd);
}

/* ---- in the owner ---- */

static int sk_unix_emit(struct restore *r, struct rtask *t, int fd, const Img__File *file,
                        const ProtobufCMessage *base, struct script *s)
{
	const Img__SkUnix *msg = (const Img__SkUnix *)base;
	bool other = msg->creds && (msg->creds->uid != geteuid() || msg->creds->gid != getegid());

	int e;

	if (!msg->listens)
		return 0;
	/* All files are open, and the numbers of the tree still free: see unix_as(). */
	e = unix_pending(r, file->id, msg);
	if (e < 0)
		return e;
	if (other) {
		script_call(s, __NR_setresgid, msg->creds->gid, msg->creds->gid, getgid());
		script_call(s, __NR_setresuid, msg->creds->uid, msg->creds->uid, getuid());
	}
	script_call(s, __NR_listen, fd, msg->backlog);
	if (other) {
		script_call(s, __NR_setresuid, getuid(), geteuid(), getuid());
		script_call(s, __NR_setresgid, getgid(), getegid(), getgid());
	}
	return 0;
}

/* The first of them does it for all. */
static int sk_unix_finish(struct restore *r, int fd, const Img__File *file,
                          const ProtobufCMessage *base)
{
	size_t n;
	const struct record *rec = images_kind(r->images, KIND_sk_unix, &n);

	return rec->owner == file->id ? unix_fill(r) : 0;
}

const struct restore_kind restore_sk_unix = {
	.check = sk_unix_check,
	.open = sk_unix_open,
	.emit = sk_unix_emit,
	.finish = sk_unix_finish,
};
