/*
 * Unix sockets without a name, restore half. One socketpair(2) makes both ends:
 * the file with the lower id does it, fills both queues, each from the other
 * end, and leaves that one for its own file. Buffer sizes come after the
 * content, which may have been sent with larger ones.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/sk_unix.pb-c.h"
#include "restore/restore.h"
#include "restore/sockopt.h"

static const uint32_t levels[] = { SOL_SOCKET, 0 };

static int sk_unix_check(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__SkUnix *msg = (const Img__SkUnix *)base, *peer;
	bool bad = msg->shutdown > 3 ||
	           msg->peer_name.len > sizeof(((struct sockaddr_un *)0)->sun_path);

	bad |= msg->type != SOCK_STREAM && msg->type != SOCK_DGRAM && msg->type != SOCK_SEQPACKET;
	bad |= (msg->peer || msg->n_queue) && !msg->connected;
	if (msg->peer) {
		peer = (const Img__SkUnix *)images_one(r->images, KIND_sk_unix, msg->peer);
		bad |= !peer || peer->peer != file->id || peer->type != msg->type ||
		       msg->peer == file->id;
	}
	if (bad)
		return fail(-EBADMSG, "file %u: socket: its state makes no sense", file->id);
	return sockopts_check(file, msg->options, levels);
}

/* MSG arrives at the other end of FD. */
static int queue_fill(int fd, const Img__SkUnix *msg)
{
	int e = msg->n_queue ? sockopts_widen(fd) : 0;

	if (e < 0)
		return e;
	for (size_t i = 0; i < msg->n_queue; i++) {
		const ProtobufCBinaryData *piece = &msg->queue[i];

		if (send(fd, piece->data, piece->len, MSG_DONTWAIT | MSG_NOSIGNAL) !=
		    (ssize_t)piece->len)
			return errno ? -errno : -EIO;
	}
	return 0;
}

static int sock_set_up(const Img__File *file, int fd, const Img__SkUnix *msg, bool filled)
{
	int e = filled ? sockopts_unwiden(fd) : 0;

	if (e == 0 && msg->shutdown && msg->connected && msg->peer &&
	    shutdown(fd, (int)msg->shutdown - 1) < 0)
		e = -errno;
	if (e < 0)
		return fail(e, "socket %u: set its state", file->id);
	e = sockopts_set(file, fd, msg->options, SOCKOPTS_EARLY);
	return e < 0 ? e : sockopts_set(file, fd, msg->options, SOCKOPTS_LATE);
}

/* The flags of File are set by each file's own open(). */
static int pair_make(struct restore *r, const Img__File *file, const Img__SkUnix *msg)
{
	const Img__SkUnix *peer =
		(const Img__SkUnix *)images_one(r->images, KIND_sk_unix, msg->peer);
	auto_close int own = -1, other = -1;
	int p[2], e;

	if (socketpair(AF_UNIX, (int)msg->type | SOCK_CLOEXEC, 0, p) < 0)
		return fail(-errno, "socket %u: socketpair", file->id);
	own = p[0], other = p[1];
	e = queue_fill(other, msg);
	if (e == 0 && peer)
		e = queue_fill(own, peer);
	if (e < 0)
		return fail(e, "socket %u: fill its queue", file->id);
	e = sock_set_up(file, own, msg, peer && peer->n_queue);
	if (e == 0 && peer)
		e = sock_set_up((const Img__File *)images_one(r->images, KIND_file, msg->peer),
		                other, peer, msg->n_queue);
	if (e == 0 && peer)
		e = pool_leave(r, msg->peer, take_fd(&other));
	return e < 0 ? e : take_fd(&own);
}

/* A datagram socket that sends to a name, or one that is not connected at all. */
static int single_make(const Img__File *file, const Img__SkUnix *msg)
{
	auto_close int fd = socket(AF_UNIX, (int)msg->type | SOCK_CLOEXEC, 0);
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int e;

	if (fd < 0)
		return fail(-errno, "socket %u: create", file->id);
	memcpy(name.sun_path, msg->peer_name.data, msg->peer_name.len);
	if (msg->peer_name.len &&
	    connect(fd, (struct sockaddr *)&name,
	            (socklen_t)(sizeof(sa_family_t) + msg->peer_name.len)) < 0)
		return fail(-errno, "socket %u: connect to %s%.*s", file->id,
		            name.sun_path[0] ? "" : "@", (int)msg->peer_name.len - 1,
		            name.sun_path + !name.sun_path[0]);
	e = sock_set_up(file, fd, msg, false);
	return e < 0 ? e : take_fd(&fd);
}

static int sk_unix_open(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__SkUnix *msg = (const Img__SkUnix *)base;
	auto_close int fd = -1;
	int e;

	if (!msg->connected) {
		fd = single_make(file, msg);
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

const struct restore_kind restore_sk_unix = {
	.check = sk_unix_check,
	.open = sk_unix_open,
};
