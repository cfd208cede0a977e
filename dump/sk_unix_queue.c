/*
 * What waits in a unix socket, without taking it: SO_PEEK_OFF moves on behind
 * what was seen and is put back, as is SO_PASSCRED, without which credentials
 * would not be shown. Peeking installs the descriptors that are in flight in crtool's
 * own table.
 *
 * A stream is cut behind each message that bears descriptors. Bytes before it that bear
 * none cannot be told from it (a peek at them shows its descriptors, too: net/unix/af_unix.c), so
 * after a restore descriptors may come earlier in a stream than they were sent, never later. A message without any
 * content is seen once: the kernel marks it, and peeking at an offset skips it from then on, but for the first. What
 * was skipped is looked for in its memory (sk_unix_missed.c).
 */
#include <errno.h>
#include <stddef.h>
#include <poll.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>

#include "dump/guard.h"
#include "dump/kernel_memory.h"
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
static int message_peek(struct dump *d, int fd, int type, struct peek *p, struct unix_queue *q)
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
	if (n == 0 && type == SOCK_STREAM)
		return 0;
	r = message_add(d, q, p, (size_t)n);
	return r < 0 ? r : 1;
}

/* One without content that was peeked at before is seen if it is the first, and SO_PEEK_OFF is not set. */
static int first_peek(struct dump *d, int fd, int type, bool ends, struct peek *p,
                      struct unix_queue *q)
{
	bool is_first = type != SOCK_STREAM && !ends &&
	                recv(fd, NULL, 0, MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC) == 0;
	int r = is_first ? message_peek(d, fd, type, p, q) : 0;

	return r < 0 ? r : flag_set(fd, SO_PEEK_OFF, 0);
}

/* Behind the last byte the error would be told to us, or there is an end that looks like messages without content. */
static int all_peek(struct dump *d, int fd, int type, bool ends, struct peek *p,
                    struct unix_queue *q)
{
	int left = 0, r = 1;

	if (ends && ioctl(fd, SIOCINQ, &left) < 0)
		return -errno;
	while (r > 0 && (!ends || left > 0)) {
		r = message_peek(d, fd, type, p, q);
		left -= r > 0 ? (int)q->all.v[q->all.n - 1].data.len : 0;
	}
	return r;
}

static int queue_peek(struct dump *d, const struct file *f, int fd, int type, bool eof,
                      struct unix_queue *q)
{
	auto_free struct peek *p = malloc(sizeof(*p));
	auto_free char *buf = malloc(PIECE);
	bool ends = q->reset || (eof && type == SOCK_SEQPACKET);
	int was, r = p && buf ? flag_get(fd, SO_PEEK_OFF, &was) : -ENOMEM, e;

	if (r == 0)
		r = guard_note_option(d, f, SO_PEEK_OFF, was);
	if (r < 0)
		return r;
	p->iov = (struct iovec){ buf, PIECE };
	r = flag_set(fd, SO_PEEK_OFF, q->reset ? 0 : -1);
	if (r == 0 && !q->reset)
		r = first_peek(d, fd, type, ends, p, q);
	if (r == 0)
		r = all_peek(d, fd, type, ends, p, q);
	if (r >= 0 && type != SOCK_STREAM)
		r = unix_missed_add(d, f, fd, q);
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

static int list_make(struct unix_queue *q)
{
	q->list = calloc(q->all.n + 1, sizeof(*q->list));
	if (!q->list)
		return -ENOMEM;
	for (size_t i = 0; i < q->all.n; i++)
		q->list[i] = &q->all.v[i];
	return 0;
}

static int messages_add(const struct unix_messages *from, struct unix_queue *q)
{
	int r = 0;

	array_each (one, &from->all) {
		Img__SkUnix__Message *m = r == 0 ? array_add(&q->all) : NULL;

		if (!m)
			return r < 0 ? r : -ENOMEM;
		img__sk_unix__message__init(m);
		r = bytes_copy(one->data, one->size, &m->data);
	}
	return r < 0 ? r : list_make(q);
}

/* Of a socket with messages whoever looks at it is told the error first. */
static int unpeeked_read(struct dump *d, int fd, int type, struct unix_queue *q)
{
	const struct kmem *k = type == SOCK_SEQPACKET ? kernel_memory(d) : NULL;
	auto_(unix_facts_done) struct unix_messages waiting = {};
	int unread = 0, r = k ? unix_facts_read(k, fd, false, &waiting) : -EOPNOTSUPP;

	if (r == 0)
		return messages_add(&waiting, q);
	if (type == SOCK_SEQPACKET && ioctl(fd, SIOCINQ, &unread) == 0 && !unread)
		return list_make(q);
	return fail(-ENOTSUP,
	            "unix socket: an error waits in it that the program was not told yet: "
	            "not supported by this version; let the program read it first");
}

int unix_queue_read(struct dump *d, const struct file *f, int fd, int type, bool eof,
                    struct unix_queue *ret)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN | POLLPRI };
	const struct file who = { .task = f->task, .fd = f->fd }; /* F moves when files are added */
	int was, r, e;

	if (poll(&ready, 1, 0) <= 0 || !(ready.revents & (POLLIN | POLLPRI | POLLERR)))
		return 0;
	ret->reset = ready.revents & POLLERR;
	if (ret->reset && type != SOCK_STREAM)
		return unpeeked_read(d, fd, type, ret);
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
	return list_make(ret);
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
