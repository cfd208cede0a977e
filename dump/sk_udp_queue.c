/*
 * Datagrams are peeked at, one behind the other (SO_PEEK_OFF). What else a program
 * has asked to be told about them, by options, is told to us as well: what was not
 * asked for need not be kept.
 *
 * The kernel takes empty datagrams that somebody has peeked at before for none
 * (net/core/datagram.c), but for the first in the queue: its memory tells of them, where that can be read, but not
 * what else a program has asked to be told.
 *
 * A pending error would be told to us instead of the program, and is not told again:
 * where there is one, nothing is read.
 */
#include "dump/sk_udp_queue.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>

#include "dump/guard.h"
#include "dump/kernel_memory.h"
#include "dump/sk_inet.h"
#include "lib/cleanup.h"
#include "lib/datagram_facts.h"
#include "lib/fd.h"
#include "lib/log.h"

#define PIECE \
	(1 << 17) /* no datagram is larger; several that came as one (UDP_GRO) are not either */

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

struct peek {
	struct msghdr msg;
	struct iovec iov;
	union inaddr from;
	_Alignas(struct cmsghdr) char control[4096];
	/* what came beside the data */
	union inaddr dest;
	unsigned device;
	int ttl, tos, segment;
};

/* ---- what came beside the data ---- */

static int control_int(const struct cmsghdr *c)
{
	int value = 0;

	/* IP_TOS is one byte, all else an int. */
	memcpy(&value, CMSG_DATA(c), c->cmsg_len < CMSG_LEN(sizeof(int)) ? 1 : sizeof(int));
	return value;
}

static void control_v4(struct peek *p, const struct cmsghdr *c)
{
	const struct in_pktinfo *info = (const void *)CMSG_DATA(c);

	if (c->cmsg_type == IP_PKTINFO) {
		p->dest.v4.sin_family = AF_INET;
		p->dest.v4.sin_addr = info->ipi_addr;
		p->device = (unsigned)info->ipi_ifindex;
	} else if (c->cmsg_type == IP_RECVORIGDSTADDR) {
		memcpy(&p->dest.v4, CMSG_DATA(c), sizeof(p->dest.v4));
		p->dest.v4.sin_port = 0;
	} else if (c->cmsg_type == IP_TTL) {
		p->ttl = control_int(c);
	} else if (c->cmsg_type == IP_TOS) {
		p->tos = control_int(c);
	}
}

static void control_v6(struct peek *p, const struct cmsghdr *c)
{
	const struct in6_pktinfo *info = (const void *)CMSG_DATA(c);

	if (c->cmsg_type == IPV6_PKTINFO) {
		p->dest.v6 = (struct sockaddr_in6){ .sin6_family = AF_INET6,
			                            .sin6_addr = info->ipi6_addr };
		p->device = info->ipi6_ifindex;
	} else if (c->cmsg_type == IPV6_ORIGDSTADDR) {
		memcpy(&p->dest.v6, CMSG_DATA(c), sizeof(p->dest.v6));
		p->dest.v6.sin6_port = 0;
	} else if (c->cmsg_type == IPV6_HOPLIMIT) {
		p->ttl = control_int(c);
	} else if (c->cmsg_type == IPV6_TCLASS) {
		p->tos = control_int(c);
	}
}

static void control_take(struct peek *p)
{
	memset(&p->dest, 0, sizeof(p->dest));
	p->device = 0;
	p->ttl = p->tos = p->segment = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&p->msg); c; c = CMSG_NXTHDR(&p->msg, c)) {
		if (c->cmsg_level == IPPROTO_IP)
			control_v4(p, c);
		else if (c->cmsg_level == IPPROTO_IPV6)
			control_v6(p, c);
		else if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO)
			p->segment = control_int(c);
	}
	if (p->dest.sa.sa_family)
		p->dest = inaddr_plain(&p->dest);
	/* An address of a link is told with its interface. */
	if (!p->device && p->from.sa.sa_family == AF_INET6)
		p->device = p->from.v6.sin6_scope_id;
}

/* ---- datagrams ---- */

static int bytes_copy(const void *data, size_t len, ProtobufCBinaryData *ret)
{
	ret->data = malloc(len + 1);
	if (!ret->data)
		return -ENOMEM;
	memcpy(ret->data, data, len);
	ret->len = len;
	return 0;
}

static int datagram_add(struct udp_queue *q, const struct peek *p, const char *data, size_t n)
{
	Img__SkUdp__Datagram *m = array_add(&q->all);
	char name[IF_NAMESIZE];
	int r;

	if (!m)
		return -ENOMEM;
	img__sk_udp__datagram__init(m);
	r = bytes_copy(data, n, &m->data);
	if (r == 0)
		r = bytes_copy(&p->from, p->msg.msg_namelen, &m->source);
	if (r == 0 && p->dest.sa.sa_family)
		r = bytes_copy(&p->dest, inaddr_len(&p->dest), &m->dest);
	if (r == 0 && p->device && if_indextoname(p->device, name)) {
		m->device = strdup(name);
		r = m->device ? 0 : -ENOMEM;
	}
	m->ttl = (uint32_t)p->ttl & 0xff;
	m->tos = (uint32_t)p->tos & 0xff;
	return r;
}

/* Several that the kernel has put together are told one by one. */
static int datagrams_add(struct udp_queue *q, const struct peek *p, size_t n)
{
	const char *data = p->iov.iov_base;
	size_t step = p->segment > 0 ? (size_t)p->segment : n, at = 0;
	int r;

	do {
		r = datagram_add(q, p, data + at, n - at < step ? n - at : step);
		at += step;
	} while (r == 0 && at < n);
	return r;
}

/* 1: one was there; 0: none. */
static int datagram_peek(int fd, struct peek *p, struct udp_queue *q, bool only_empty)
{
	ssize_t n;
	int r;

	memset(&p->from, 0, sizeof(p->from));
	p->msg = (struct msghdr){
		.msg_name = &p->from,
		.msg_namelen = sizeof(p->from),
		.msg_iov = &p->iov,
		.msg_iovlen = 1,
		.msg_control = p->control,
		.msg_controllen = sizeof(p->control),
	};
	n = recvmsg(fd, &p->msg, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	if (p->msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
		return -EMSGSIZE;
	if (only_empty && n)
		return 0;
	control_take(p);
	q->seen++;
	r = datagrams_add(q, p, (size_t)n);
	return r < 0 ? r : 1;
}

static int peek_off_set(int fd, int value)
{
	return setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int queue_peek(struct dump *d, const struct file *f, int fd, struct udp_queue *q)
{
	auto_free struct peek *p = malloc(sizeof(*p));
	auto_free char *buf = malloc(PIECE);
	int was, e, r = p && buf ? sk_option(fd, SOL_SOCKET, SO_PEEK_OFF, &was) : -ENOMEM;

	if (r == 0)
		r = guard_note_option(d, f, SO_PEEK_OFF, was);
	if (r < 0)
		return r;
	p->iov = (struct iovec){ buf, PIECE };
	r = peek_off_set(fd, -1);
	if (r == 0)
		r = datagram_peek(fd, p, q, true);
	if (r >= 0)
		r = peek_off_set(fd, 0);
	while (r >= 0 && (r = datagram_peek(fd, p, q, false)) > 0)
		;
	e = guard_undo_option(d, f, fd, SO_PEEK_OFF, was);
	return r < 0 ? r : e;
}

/* ---- what peeking does not show ---- */

/* An empty one, before the one with that number. */
static int empty_insert(struct udp_queue *q, size_t at, const union inaddr *from)
{
	struct peek p = { .from = *from, .msg.msg_namelen = inaddr_len(from) };
	Img__SkUdp__Datagram added;
	int r = datagram_add(q, &p, "", 0);

	if (r < 0)
		return r;
	added = q->all.v[q->all.n - 1];
	memmove(q->all.v + at + 1, q->all.v + at, (q->all.n - 1 - at) * sizeof(added));
	q->all.v[at] = added;
	return 0;
}

static bool is_from(const Img__SkUdp__Datagram *m, const union inaddr *from)
{
	return m->source.len == inaddr_len(from) && !memcmp(m->source.data, from, m->source.len);
}

/* The next one, which *AT is moved behind. 0; -ESTALE: they are not what was peeked at. */
static int empty_find(const struct kmem *k, const struct datagram_fact *one, int family,
                      struct udp_queue *q, size_t *at)
{
	union inaddr from;
	int r = one->size ? 0 : datagram_facts_from(k, one, family, &from);

	if (r == 0 && !one->size &&
	    !(*at < q->all.n && !q->all.v[*at].data.len && is_from(&q->all.v[*at], &from)))
		r = empty_insert(q, *at, &from);
	if (r == 0 && !one->size)
		++*at;
	for (size_t left = one->size; r == 0 && left; left -= q->all.v[(*at)++].data.len)
		if (*at == q->all.n || !q->all.v[*at].data.len || q->all.v[*at].data.len > left)
			r = -ESTALE;
	return r;
}

static int empties_find(struct dump *d, const struct file *f, int fd, struct udp_queue *q)
{
	auto_(datagram_facts_done) struct datagram_facts all = {};
	const struct kmem *k = kernel_memory(d);
	size_t at = 0;
	int r = k ? datagram_facts_read(k, fd, true, q->seen, &all) : 0;

	if (r < 0)
		return error_passes(r) ? r : 0;
	for (size_t i = 0; i < all.all.n && r == 0; i++)
		r = empty_find(k, &all.all.v[i], f->sock.family, q, &at);
	if (r < 0 && !error_passes(r))
		lose("%s (%s): datagrams without content that wait in it, and were peeked at "
		     "before",
		     file_name(f), file_describe(f));
	return error_passes(r) ? r : 0;
}

int udp_queue_read(struct dump *d, const struct file *f, int fd, struct udp_queue *ret)
{
	int r = queue_peek(d, f, fd, ret);

	if (r == 0)
		r = empties_find(d, f, fd, ret);
	if (r < 0)
		return fail(r, "%s (%s): peek at what waits in it", file_name(f), file_describe(f));
	ret->list = calloc(ret->all.n + 1, sizeof(*ret->list));
	if (!ret->list)
		return -ENOMEM;
	for (size_t i = 0; i < ret->all.n; i++)
		ret->list[i] = &ret->all.v[i];
	return 0;
}

void udp_queue_done(struct udp_queue *q)
{
	array_each (m, &q->all) {
		free(m->source.data);
		free(m->data.data);
		free(m->dest.data);
		if (m->device != protobuf_c_empty_string)
			free(m->device);
	}
	array_done(&q->all);
	free(q->list);
	q->list = NULL;
}
