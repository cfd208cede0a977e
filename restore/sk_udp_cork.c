/* What the first call of sendmsg(2) says holds for all of a datagram (ip(7), ipv6(7)): addresses, ttl, tos. */
#include "restore/sk_udp_cork.h"

#include <errno.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "restore/sk_inet.h"

#define DATA_MAX 65535

bool udp_cork_sound(const Img__SkUdp *msg)
{
	const Img__SkUdp__Corked *c = msg->corked;
	union inaddr to;

	if (!inaddr_valid(c->dest.data, c->dest.len, AF_INET) &&
	    !inaddr_valid(c->dest.data, c->dest.len, AF_INET6))
		return false;
	to = inaddr_of(c->dest.data, c->dest.len);
	return (to.sa.sa_family == (int)msg->family || msg->family == AF_INET6) &&
	       inaddr_valid(c->source.data, c->source.len, to.sa.sa_family) &&
	       c->data.len <= DATA_MAX && c->ttl >= -1 && c->ttl <= UINT8_MAX && c->tos >= -1 &&
	       c->tos <= UINT8_MAX;
}

/* ---- what is told besides ---- */

struct control {
	_Alignas(struct cmsghdr) uint8_t bytes[256];
	size_t len;
};

static void control_add(struct control *c, int level, int type, const void *what, size_t size)
{
	struct cmsghdr *head = (void *)(c->bytes + c->len);

	*head = (struct cmsghdr){ CMSG_LEN(size), level, type };
	memcpy(CMSG_DATA(head), what, size);
	c->len += CMSG_SPACE(size);
}

static void control_v4(struct control *c, const Img__SkUdp__Corked *m, const union inaddr *from)
{
	const struct in_pktinfo info = { .ipi_spec_dst = from->v4.sin_addr };

	control_add(c, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
	if (m->ttl > 0)
		control_add(c, IPPROTO_IP, IP_TTL, &m->ttl, sizeof(int));
	if (m->tos >= 0)
		control_add(c, IPPROTO_IP, IP_TOS, &m->tos, sizeof(int));
}

static void control_v6(struct control *c, const Img__SkUdp__Corked *m, const union inaddr *from,
                       uint32_t scope)
{
	const struct in6_pktinfo info = { from->v6.sin6_addr, scope };

	control_add(c, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
	if (m->ttl >= 0)
		control_add(c, IPPROTO_IPV6, IPV6_HOPLIMIT, &m->ttl, sizeof(int));
	if (m->tos >= 0)
		control_add(c, IPPROTO_IPV6, IPV6_TCLASS, &m->tos, sizeof(int));
}

/* In the clothes of IPv6. */
static union inaddr dressed(const union inaddr *a)
{
	union inaddr ret = { .v6 = { .sin6_family = AF_INET6, .sin6_port = a->v4.sin_port } };

	ret.v6.sin6_addr.s6_addr[10] = ret.v6.sin6_addr.s6_addr[11] = 0xff;
	memcpy(ret.v6.sin6_addr.s6_addr + 12, &a->v4.sin_addr, sizeof(a->v4.sin_addr));
	return ret;
}

/* ---- */

/* No such address or network here; everything else may be another way at another time. */
static bool is_lost(int e)
{
	return e == -ENETUNREACH || e == -EHOSTUNREACH || e == -EADDRNOTAVAIL || e == -ENETDOWN ||
	       e == -ENODEV || e == -EINVAL;
}

int udp_cork_fill(const Img__File *file, int fd, const Img__SkUdp *msg)
{
	const Img__SkUdp__Corked *m = msg->corked;
	union inaddr to = inaddr_of(m->dest.data, m->dest.len);
	union inaddr from = inaddr_of(m->source.data, m->source.len);
	struct iovec iov = { m->data.data, m->data.len };
	struct control control = {};
	struct msghdr what = { .msg_iov = &iov, .msg_iovlen = 1 };
	int e;

	if (to.sa.sa_family == AF_INET && msg->family == AF_INET6)
		to = dressed(&to);
	else if (to.sa.sa_family == AF_INET)
		control_v4(&control, m, &from);
	else
		control_v6(&control, m, &from, to.v6.sin6_scope_id);
	what.msg_name = &to, what.msg_namelen = inaddr_len(&to);
	what.msg_control = control.len ? control.bytes : NULL;
	what.msg_controllen = control.len;
	e = sendmsg(fd, &what, MSG_MORE | MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
	if (!is_lost(e))
		return e < 0 ? fail(e, "socket %u: the data that was corked in it", file->id) : 0;
	lose("socket %u: %zu bytes that were corked in it, for %s: %s", file->id, m->data.len,
	     inaddr_text(&to), strerror(-e));
	return 0;
}
