/*
 * Datagrams, restore half: forged (lib/forge.h), so that each comes from whom it came
 * from, and sent on the loopback to a port that nobody knows, which the new socket has for
 * that time and then gives back: what is in its queue stays. Nobody else gets them,
 * whoever shares its real port, and a filter lets nothing in that comes by the network.
 *
 * Where the program is told what a datagram was sent to, it goes to that, an
 * address of this machine or a group; else to the loopback address.
 */
#include "restore/sk_udp_queue.h"

#include <errno.h>
#include <ifaddrs.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/forge.h"
#include "lib/log.h"
#include "restore/sk_inet.h"

#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif
#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif

#define DATA_MAX   65527 /* of IPv6 */
#define ARRIVAL_MS 500
#define BUFFER_MAX (1 << 30)

/* ---- check ---- */

static bool datagram_valid(const Img__SkUdp__Datagram *m, uint32_t family)
{
	union inaddr from, plain;

	if (!inaddr_valid(m->source.data, m->source.len, (int)family))
		return false;
	from = inaddr_of(m->source.data, m->source.len);
	plain = inaddr_plain(&from);
	if (m->dest.len && !inaddr_valid(m->dest.data, m->dest.len, plain.sa.sa_family))
		return false;
	return m->data.len <= DATA_MAX && m->ttl <= UINT8_MAX && m->tos <= UINT8_MAX &&
	       strlen(m->device) < IF_NAMESIZE;
}

int udp_queue_check(const Img__File *file, const Img__SkUdp *msg)
{
	bool bad =
		msg->n_datagram && msg->protocol != IPPROTO_UDP && msg->protocol != IPPROTO_UDPLITE;

	for (size_t i = 0; i < msg->n_datagram; i++)
		bad |= !datagram_valid(msg->datagram[i], msg->family);
	return bad ? fail(-EBADMSG, "file %u: socket: what waits in it makes no sense", file->id)
	           : 0;
}

/* ---- where to ---- */

static bool is_multicast(const union inaddr *a)
{
	return a->sa.sa_family == AF_INET ? IN_MULTICAST(ntohl(a->v4.sin_addr.s_addr))
	                                  : IN6_IS_ADDR_MULTICAST(&a->v6.sin6_addr);
}

/* The number of an interface; 0: there is none of that name. -errno. */
static int device_index(const char *name)
{
	unsigned index = *name ? if_nametoindex(name) : 0;

	return index || !*name || errno == ENODEV ? (int)index : -errno;
}

/* An address of this machine, to which nothing leaves it: it would itself be the sender. -EADDRNOTAVAIL: it is none. */
static int local_check(const union inaddr *a, unsigned device)
{
	auto_close int fd = -1;
	union inaddr to = *a, from = {};
	socklen_t len = sizeof(from);

	if (to.sa.sa_family == AF_INET && ntohl(to.v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET)
		return 0;
	inaddr_set_port(&to, 9);
	if (to.sa.sa_family == AF_INET6)
		to.v6.sin6_scope_id = device;
	fd = socket(a->sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, &to.sa, inaddr_len(&to)) < 0 ||
	    getsockname(fd, &from.sa, &len) < 0)
		return error_passes(-errno) ? -errno : -EADDRNOTAVAIL;
	return inaddr_same_host(&from, a) ? 0 : -EADDRNOTAVAIL;
}

static void ifaddrsp(struct ifaddrs **list)
{
	if (*list)
		freeifaddrs(*list);
}

/* The address of a link that DEVICE has. */
static int link_address(const char *device, union inaddr *ret)
{
	auto_(ifaddrsp) struct ifaddrs *list = NULL;

	if (getifaddrs(&list) < 0)
		return -errno;
	for (const struct ifaddrs *i = list; i; i = i->ifa_next) {
		const union inaddr *a = (const union inaddr *)i->ifa_addr;

		if (!a || strcmp(i->ifa_name, device) != 0 || a->sa.sa_family != AF_INET6 ||
		    !IN6_IS_ADDR_LINKLOCAL(&a->v6.sin6_addr))
			continue;
		*ret = inaddr_of(a, sizeof(a->v6));
		return 0;
	}
	return -EADDRNOTAVAIL;
}

static int hidden_dest(const Img__SkUdp__Datagram *m, struct forged *what)
{
	memset(&what->to, 0, sizeof(what->to));
	what->to.sa.sa_family = what->from.sa.sa_family;
	if (what->from.sa.sa_family == AF_INET)
		what->to.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else if (IN6_IS_ADDR_LINKLOCAL(&what->from.v6.sin6_addr))
		return link_address(m->device, &what->to);
	else
		what->to.v6.sin6_addr = in6addr_loopback;
	what->device = 0;
	return 0;
}

/* Sent by its own interface, but only where that cannot be told from the address. */
static int told_dest(const Img__SkUdp__Datagram *m, struct forged *what)
{
	what->to = inaddr_of(m->dest.data, m->dest.len);
	if (is_multicast(&what->to)) {
		what->ttl = 0;
		return what->device ? 0 : -ENODEV;
	}
	if (what->to.sa.sa_family == AF_INET || !IN6_IS_ADDR_LINKLOCAL(&what->to.v6.sin6_addr))
		what->device = 0;
	return local_check(&what->to, what->device);
}

static int datagram_send(struct forge *forge, const Img__SkUdp *msg, const Img__SkUdp__Datagram *m,
                         uint16_t port)
{
	union inaddr from = inaddr_of(m->source.data, m->source.len);
	int device = device_index(m->device), e;
	struct forged what = {
		.from = inaddr_plain(&from),
		.device = device < 0 ? 0 : (unsigned)device,
		.protocol = (uint8_t)msg->protocol,
		.ttl = m->ttl ? (uint8_t)m->ttl : 64,
		.tos = (uint8_t)m->tos,
		.data = m->data.data,
		.size = m->data.len,
	};

	if (device < 0)
		return device;
	e = m->dest.len ? told_dest(m, &what) : hidden_dest(m, &what);
	if (e < 0)
		return e;
	if (what.to.sa.sa_family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&what.to.v6.sin6_addr))
		what.device = (unsigned)device;
	inaddr_set_port(&what.to, port);
	return forge_send(forge, &what);
}

/* ---- the socket ---- */

static int int_set(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

/* What it has received and nobody read, in bytes as the kernel counts. -errno. */
static int64_t waiting(int fd)
{
	uint32_t info[9] = {};

	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &(socklen_t){ sizeof(info) }) < 0)
		return -errno;
	return info[0];
}

static int arrival(int fd, int64_t before)
{
	for (int ms = 0; ms < ARRIVAL_MS; ms++) {
		int64_t now = waiting(fd);

		if (now < 0)
			return (int)now;
		if (now > before)
			return 0;
		poll(NULL, 0, ms ? 1 : 0);
	}
	return -EHOSTUNREACH;
}

/* Only what comes by the loopback, or is a copy of a multicast of this machine's own. */
static int filter_set(int fd)
{
	int loopback = device_index("lo");
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_IFINDEX)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)loopback, 2, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_LOOPBACK, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog prog = { .len = ARRAY_SIZE(program), .filter = program };

	if (loopback < 0)
		return loopback;
	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) < 0 ? -errno : 0;
}

/* What is noted of a datagram when it comes in must be asked for before. */
static int notes_set(int fd, const Img__SkUdp *msg)
{
	static const int names[][2] = { { IPPROTO_IP, IP_PKTINFO },
		                        { IPPROTO_IPV6, IPV6_RECVPKTINFO } };
	int e = 0;

	for (size_t i = 0; i < ARRAY_SIZE(names) && e == 0; i++)
		if (sockopts_find(msg->options, (uint32_t)names[i][0], (uint32_t)names[i][1]))
			e = int_set(fd, names[i][0], names[i][1], 1);
	return e;
}

/* A call that wants a port and then fails, as it says no receiver. The port, or -errno. */
static int port_get(int fd)
{
	union inaddr local = {};
	socklen_t len = sizeof(local);

	if (send(fd, "", 0, MSG_DONTWAIT) == 0 || errno != EDESTADDRREQ)
		return -EPROTO;
	if (getsockname(fd, &local.sa, &len) < 0)
		return -errno;
	return inaddr_port(&local) ? inaddr_port(&local) : -EADDRNOTAVAIL;
}

static int queue_open(int fd, const Img__SkUdp *msg)
{
	int e = int_set(fd, SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_MAX);

	if (e < 0)
		e = int_set(fd, SOL_SOCKET, SO_RCVBUF, BUFFER_MAX);
	if (e == 0)
		e = notes_set(fd, msg);
	if (e == 0)
		e = filter_set(fd);
	return e < 0 ? e : port_get(fd);
}

static int queue_close(int fd, int size)
{
	int e = sk_inet_disconnect(fd);

	if (e == 0)
		e = int_set(fd, SOL_SOCKET, SO_DETACH_FILTER, 0);
	if (e == 0 && int_set(fd, SOL_SOCKET, SO_RCVBUFFORCE, size / 2) < 0)
		e = int_set(fd, SOL_SOCKET, SO_RCVBUF, size / 2);
	if (e == 0)
		e = int_set(fd, SOL_SOCKET, SO_BUF_LOCK, 0);
	return e == -ENOPROTOOPT ? 0 : e;
}

static const char *reason(int e)
{
	switch (e) {
	case -EHOSTUNREACH:
		return "one did not arrive: a packet filter, or the loopback device is down";
	case -EPERM:
		return "to send them as they came takes CAP_NET_RAW";
	case -EADDRNOTAVAIL:
		return "no address of this machine is what it was sent to";
	default:
		return strerror(-e);
	}
}

/* One behind the other, so that they keep their order. What is lost leads to no other being sent. -errno explained. */
static int queue_send(const Img__File *file, int fd, const Img__SkUdp *msg, uint16_t port)
{
	auto_(forge_done) struct forge forge = FORGE_NONE;
	size_t lost = 0;
	int why = 0;

	for (size_t i = 0; i < msg->n_datagram && why != -EHOSTUNREACH && why != -EPERM; i++) {
		int64_t before = waiting(fd);
		int e = before < 0 ? (int)before
		                   : datagram_send(&forge, msg, msg->datagram[i], port);

		if (e == 0)
			e = arrival(fd, before);
		if (error_passes(e))
			return fail(e, "socket %u: a datagram that waited in it", file->id);
		lost += e < 0;
		why = e < 0 ? e : why;
		if (why == -EHOSTUNREACH || why == -EPERM)
			lost = lost - 1 + msg->n_datagram - i;
	}
	if (lost)
		lose("socket %u: %zu of the %zu datagrams that waited in it (%s)", file->id, lost,
		     msg->n_datagram, reason(why));
	return 0;
}

int udp_queue_fill(const Img__File *file, int fd, const Img__SkUdp *msg)
{
	int size = 0, port, e;

	if (!msg->n_datagram)
		return 0;
	if (getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, &(socklen_t){ sizeof(size) }) < 0)
		return fail(-errno, "socket %u: SO_RCVBUF", file->id);
	port = queue_open(fd, msg);
	if (port < 0)
		return fail(port, "socket %u: a port to fill its queue by", file->id);
	e = queue_send(file, fd, msg, (uint16_t)port);
	if (e < 0)
		return e;
	e = queue_close(fd, size);
	return e < 0 ? fail(e, "socket %u: set up after its queue was filled", file->id) : 0;
}
