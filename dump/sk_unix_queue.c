/*
 * What waits in a unix socket, without taking it: SO_PEEK_OFF moves on behind
 * what was seen and is put back, as is SO_PASSCRED, without which credentials
 * would not be shown. Peeking installs the descriptors that are in flight in crtool's
 * own table.
 *
 * A stream is cut behind each message that bears descriptors. Bytes before it that bear
 * none cannot be told from it (a peek at them shows its descriptors, too: net/unix/af_unix.c), so
 * after a restore descriptors may come earlier in a stream than they were sent, never later. A message without any
 * content is seen once: the kernel marks it, and peeking at an offset skips it from then on.
 */
#include <errno.h>
#include <stddef.h>
#include <poll.h>
#include <string.h>

#include "dump/guard.h"
#include "dump/sk_unix.h"
#include "lib/cleanup.h"
#include "lib/log.h"

#define PIECE   (1 << 20) /* of a stream; no message is larger than that by default */
#define MAX_FDS 253       /* SCM_MAX_FD of the kernel: descriptors of one message */

union control {
	struct cmsghdr head;
	char space[CMSG_SPACE(MAX_FDS * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred)) + 512];
};

struct peek {
	struct sockaddr_un from;
	struct msghdr msg;
	struct iovec iov;
	union control control;
};

static int flag_get(int fd, int name, int *ret)
{
	return getsockopt(fd, SOL_SOCKET, name, ret, &(socklen_t){ sizeof(*ret) }) < 0 ? -errno : 0;
}

static int flag_set(int fd, int name, int value)
{
	return setsockopt(fd, SOL_SOCKET, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

/* All of them get an id or are closed. */
static int files_take(struct dump *d, const int *fds, size_t n, Img__SkUnix__Message *m)
{
	int r = 0;

	m->file = calloc(n + 1, sizeof(*m->file));
	if (!m->file)
		r = -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		if (r < 0)
			close(fds[i]);
		else
			r = files_add_own(d, fds[i], &m->file[m->n_file++]);
	}
	return r;
}

static int creds_take(const struct ucred *cred, Img__SkUnix__Message *m)
{
	if (!cred->pid)
		return 0; /* the sender left none */
	m->creds = malloc(sizeof(*m->creds));
	if (!m->creds)
		return -ENOMEM;
	img__sk_unix__creds__init(m->creds);
	m->creds->pid = (uint32_t)cred->pid;
	m->creds->uid = cred->uid;
	m->creds->gid = cred->gid;
	return 0;
}

static int control_take(struct dump *d, struct msghdr *msg, Img__SkUnix__Message *m)
{
	int r = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		int e = 0;

		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			e = files_take(d, (const int *)CMSG_DATA(c),
			               (c->cmsg_len - CMSG_LEN(0)) / sizeof(int), m);
		else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS)
			e = creds_take((const struct ucred *)CMSG_DATA(c), m);
		if (e < 0)
			r = e;
	}
	return r;
}

static int bytes_copy(const void *data, size_t len, ProtobufCBinaryData *ret)
{
	ret->data = malloc(len + 1);
	if (!ret->data)
		return -ENOMEM;
	memcpy(ret->data, data, len);
	ret->len = len;
	return 0;
}

static int message_add(struct dump *d, struct unix_queue *q, struct peek *p, size_t n)
{
	Img__SkUnix__Message *m = array_add(&q->all);
	size_t head = offsetof(struct sockaddr_un, sun_path);
	int r;

	if (!m)
		return -ENOMEM;
	img__sk_unix__message__init(m);
	r = control_take(d, &p->msg, m);
	if (r == 0)
		r = bytes_copy(p->iov.iov_base, n, &m->data);
	if (r == 0 && p->msg.msg_namelen > head) {
		size_t len = p->msg.msg_namelen - head;

		if (p->from.sun_path[0])
			len = strnlen(p->from.sun_path, len);
		r = bytes_copy(p->from.sun_path, len, &m->from);
	}
	if (r == 0 && p->msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
		r = -EMSGSIZE;
	return r;
}

/* The next one behind what was peeked at. 1; 0: there is none. */
static int message_peek(struct dump *d, int fd, int type, bool eof, struct peek *p,
                        struct unix_queue *q)
{
	ssize_t n;
	int r;

	p->msg = (struct msghdr){
		.msg_name = &p->from,
		.msg_namelen = type == SOCK_DGRAM ? sizeof(p->from) : 0,
		.msg_iov = &p->iov,
		.msg_iovlen = 1,
		.msg_control = &p->control,
		.msg_controllen = sizeof(p->control),
	};
	n = recvmsg(fd, &p->msg, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	if (n == 0 && (type == SOCK_STREAM || eof))
		return 0;
	r = message_add(d, q, p, (size_t)n);
	return r < 0 ? r : 1;
}

static int queue_peek(struct dump *d, const struct file *f, int fd, int type, bool eof,
                      struct unix_queue *q)
{
	auto_free struct peek *p = malloc(sizeof(*p));
	auto_free char *buf = malloc(PIECE);
	int was, r = p && buf ? flag_get(fd, SO_PEEK_OFF, &was) : -ENOMEM, e;

	if (r == 0)
		r = guard_note_option(d, f, SO_PEEK_OFF, was);
	if (r == 0)
		r = flag_set(fd, SO_PEEK_OFF, 0);
	if (r < 0)
		return r;
	p->iov = (struct iovec){ buf, PIECE };
	do
		r = message_peek(d, fd, type, eof, p, q);
	while (r > 0);
	e = guard_undo_option(d, f, fd, SO_PEEK_OFF, was);
	return r < 0 ? r : e;
}

/* Data that is out of band lies where peeking does not show it. */
static int urgent_check(int fd, int type)
{
	char c;

	if (type != SOCK_STREAM || recv(fd, &c, 1, MSG_OOB | MSG_PEEK | MSG_DONTWAIT) < 0)
		return 0;
	return -ENOTSUP;
}

int unix_queue_read(struct dump *d, const struct file *f, int fd, int type, bool eof,
                    struct unix_queue *ret)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN | POLLPRI };
	const struct file who = { .task = f->task, .fd = f->fd }; /* F moves when files are added */
	int was, r, e;

	if (poll(&ready, 1, 0) <= 0 || !(ready.revents & (POLLIN | POLLPRI)))
		return 0;
	r = urgent_check(fd, type);
	if (r < 0)
		return fail(r, "unix socket: out-of-band data waits in it: not supported by this "
		               "version; let the program read it first");
	r = flag_get(fd, SO_PASSCRED, &was);
	if (r == 0 && !was)
		r = guard_note_option(d, &who, SO_PASSCRED, 0);
	if (r == 0 && !was)
		r = flag_set(fd, SO_PASSCRED, 1);
	if (r < 0)
		return r;
	r = queue_peek(d, &who, fd, type, eof, ret);
	e = was ? 0 : guard_undo_option(d, &who, fd, SO_PASSCRED, 0);
	if (r < 0 || e < 0)
		return r < 0 ? r : e;
	ret->list = calloc(ret->all.n + 1, sizeof(*ret->list));
	if (!ret->list)
		return -ENOMEM;
	for (size_t i = 0; i < ret->all.n; i++)
		ret->list[i] = &ret->all.v[i];
	return 0;
}

void unix_queue_done(struct unix_queue *q)
{
	array_each (m, &q->all) {
		free(m->data.data);
		free(m->from.data);
		free(m->file);
		free(m->creds);
	}
	array_done(&q->all);
	free(q->list);
	q->list = NULL;
}
