/*
 * Every option of a socket that can be told is as it was: sk_options KIND. Whatever takes an int is
 * given another one than it had, by trying all numbers; then all that getsockopt(2) answers is written down, known
 * to crtool or not, and compared afterwards.
 *
 *	tcp4 tcp6    both ends of a connection
 *	ended4 ended6  an end of one that the other has reset
 *	each4 each6  of many connections each has one option changed alone: no other tells that it is
 *	listen4 listen6  a listener
 *	udp4 udp6    a bound socket
 *	raw4 raw6    raw sockets
 *	stream dgram seqpacket  unix sockets, a pair
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "zdtm.h"

#define NAMES   130
#define SIZE    64
#define SOCKETS 200 /* of many: so that what the kernel lists of all is looked at */

static const int levels[] = { SOL_SOCKET,  IPPROTO_IP, IPPROTO_IPV6,  IPPROTO_TCP,
	                      IPPROTO_UDP, SOL_RAW,    IPPROTO_ICMPV6 };
#define LEVELS (sizeof(levels) / sizeof(*levels))

struct name {
	int level, name;
};

/* Not to be set: what they do is no state, or another test's. */
static const struct name no_set[] = {
	{ SOL_SOCKET, SO_ATTACH_FILTER },
	{ SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF },
	{ SOL_SOCKET, SO_LOCK_FILTER },
	{ SOL_SOCKET, 53 /* SO_CNX_ADVICE */ },
	{ SOL_SOCKET, SO_BINDTODEVICE },
	{ SOL_SOCKET, 62 /* SO_BINDTOIFINDEX */ },
	{ SOL_SOCKET, 73 /* SO_RESERVE_MEM: what it has depends on memory */ },
	{ SOL_SOCKET, SO_DONTROUTE },
	{ IPPROTO_IP, IP_TRANSPARENT },
	{ IPPROTO_IP, 16 /* IP_IPSEC_POLICY */ },
	{ IPPROTO_IP, IP_UNICAST_IF },
	{ IPPROTO_IPV6, IPV6_ADDRFORM },
	{ IPPROTO_IPV6, IPV6_TRANSPARENT },
	{ IPPROTO_IPV6, IPV6_UNICAST_IF },
	{ IPPROTO_IPV6, IPV6_ROUTER_ALERT },
	{ IPPROTO_IPV6, 6 /* IPV6_2292PKTOPTIONS */ },
	{ IPPROTO_TCP, TCP_REPAIR },
	{ IPPROTO_TCP, TCP_MAXSEG },
	{ IPPROTO_TCP, TCP_WINDOW_CLAMP },
	{ IPPROTO_TCP, TCP_TX_DELAY },
	{ IPPROTO_TCP, TCP_ULP },
	{ IPPROTO_UDP, UDP_ENCAP },
	{ IPPROTO_UDP, UDP_CORK },
};

/* Not to be compared: reading clears it, or it tells of the path, of time and of the machine. */
static const struct name no_get[] = {
	{ SOL_SOCKET, SO_ERROR },
	{ SOL_SOCKET, 55 /* SO_MEMINFO */ },
	{ SOL_SOCKET, 56 /* SO_INCOMING_NAPI_ID */ },
	{ SOL_SOCKET, 57 /* SO_COOKIE */ },
	{ SOL_SOCKET, 77 /* SO_PEERPIDFD */ },
	{ IPPROTO_IP, IP_PKTOPTIONS },
	{ IPPROTO_IPV6, 6 },
	{ IPPROTO_TCP, TCP_INFO },
	{ IPPROTO_TCP, TCP_CC_INFO },
	{ IPPROTO_TCP, TCP_QUICKACK },
	{ IPPROTO_TCP, TCP_SAVED_SYN },
	{ IPPROTO_TCP, TCP_TIMESTAMP },
	{ IPPROTO_TCP, TCP_MAXSEG },
	{ IPPROTO_TCP, TCP_WINDOW_CLAMP },
	{ IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE },
	{ IPPROTO_TCP, TCP_QUEUE_SEQ },
	{ IPPROTO_IP, IP_MTU },
	{ IPPROTO_IPV6, IPV6_MTU },
	{ IPPROTO_IPV6, 61 /* IPV6_PATHMTU */ },
};

/* Of connections, which cannot set them: accept(2) and bind(2) do. */
static const struct name no_get_connected[] = {
	{ SOL_SOCKET, SO_INCOMING_CPU },     { IPPROTO_IP, IP_MULTICAST_TTL },
	{ IPPROTO_IP, IP_MULTICAST_IF },     { IPPROTO_IPV6, IPV6_MULTICAST_HOPS },
	{ IPPROTO_IPV6, IPV6_MULTICAST_IF }, { IPPROTO_IPV6, IPV6_V6ONLY },
};

struct answer {
	int size; /* or -errno */
	unsigned char data[SIZE];
};

static struct answer before[SOCKETS][LEVELS][NAMES];
static int socks[SOCKETS];
static int nsocks;
static bool connected;

static bool listed(const struct name *list, size_t n, int level, int name)
{
	for (size_t i = 0; i < n; i++)
		if (list[i].level == level && list[i].name == name)
			return true;
	return false;
}
#define LISTED(list, level, name) listed(list, sizeof(list) / sizeof(*(list)), level, name)

static struct answer get(int fd, int level, int name)
{
	struct answer a = {};
	socklen_t len = sizeof(a.data);

	if (LISTED(no_get, level, name) || (connected && LISTED(no_get_connected, level, name)))
		return a;
	a.size = getsockopt(fd, level, name, a.data, &len) < 0 ? -errno : (int)len;
	return a;
}

/* To another value, a small one. Is it? */
static bool change(int fd, int level, int name)
{
	static const int values[] = { 1, 2, 100000, 0 };
	struct answer was = get(fd, level, name), is;

	if (LISTED(no_set, level, name) || was.size != sizeof(int))
		return false;
	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
		setsockopt(fd, level, name, &values[i], sizeof(int));
		is = get(fd, level, name);
		if (memcmp(is.data, was.data, sizeof(int)) != 0)
			return true;
	}
	return false;
}

static void change_filter(int fd)
{
	struct sock_filter all = { BPF_RET | BPF_K, 0, 0, 0x40000 };
	const struct sock_fprog filter = { 1, &all };

	check(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) == 0);
}

static void change_all(int fd, bool local)
{
	const struct timeval soon = { 77, 500000 };
	const struct linger linger = { 1, 33 };
	const uint64_t rate = 123456789;
	const uint32_t txtime[2] = { 1 /* CLOCK_MONOTONIC */, 2 /* SOF_TXTIME_REPORT_ERRORS */ };
	const uint32_t stamping[2] = { 0x98 /* in software, in hardware as it is */, 0 };
	const unsigned char ip_options[4] = { 1, 1, 1, 0 };

	for (size_t l = 0; l < LEVELS; l++)
		for (int name = 0; name < NAMES; name++)
			change(fd, levels[l], name);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof(soon));
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	setsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &rate, sizeof(rate));
	setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
	setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_KEY, "0123456789abcdef", 16);
	change_filter(fd);
	setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, stamping, sizeof(stamping));
	if (!local) {
		check(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3) == 0);
		check(setsockopt(fd, SOL_SOCKET, SO_TXTIME, txtime, sizeof(txtime)) == 0);
		setsockopt(fd, IPPROTO_IP, IP_OPTIONS, ip_options, sizeof(ip_options));
	}
}

static void note_all(int s)
{
	for (size_t l = 0; l < LEVELS; l++)
		for (int name = 0; name < NAMES; name++)
			before[s][l][name] = get(socks[s], levels[l], name);
}

static void say_bytes(const char *when, const struct answer *a)
{
	fprintf(stderr, "%s %d:", when, a->size);
	for (int i = 0; i < a->size && i < 16; i++)
		fprintf(stderr, " %02x", a->data[i]);
	fprintf(stderr, "\n");
}

static int differ_all(int s)
{
	int n = 0;

	for (size_t l = 0; l < LEVELS; l++)
		for (int name = 0; name < NAMES; name++) {
			struct answer now = get(socks[s], levels[l], name),
				      *was = &before[s][l][name];

			if (now.size == was->size &&
			    (now.size < 0 || !memcmp(now.data, was->data, (size_t)now.size)))
				continue;
			fprintf(stderr, "socket %d: level %d option %d\n", s, levels[l], name);
			say_bytes("was", was);
			say_bytes("is ", &now);
			n++;
		}
	return n;
}

static void local_bind(int fd, int family)
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback };
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };

	if (family == AF_INET)
		check(bind(fd, (struct sockaddr *)&v4, sizeof(v4)) == 0);
	else
		check(bind(fd, (struct sockaddr *)&v6, sizeof(v6)) == 0);
}

static int listener_make(int family)
{
	int fd = socket(family, SOCK_STREAM, 0);

	check(fd >= 0);
	local_bind(fd, family);
	check(listen(fd, 5) == 0);
	return fd;
}

/* Both ends, the last two. */
static void connection_add(int family, int listener)
{
	struct sockaddr_storage at;
	socklen_t len = sizeof(at);
	int *ends = socks + nsocks;

	connected = true;
	check(nsocks + 2 <= SOCKETS);
	check(getsockname(listener, (struct sockaddr *)&at, &len) == 0);
	ends[0] = socket(family, SOCK_STREAM, 0);
	check(connect(ends[0], (struct sockaddr *)&at, len) == 0);
	ends[1] = accept(listener, NULL, NULL);
	check(ends[0] >= 0 && ends[1] >= 0);
	nsocks += 2;
}

static void connection_make(int family)
{
	int listener = listener_make(family);

	connection_add(family, listener);
	close(listener);
}

/* One after the other is changed of the end that was made last; each that can be leaves it behind. */
static void each_make(int family)
{
	int listener = listener_make(family);

	connection_add(family, listener);
	change_filter(socks[1]);
	connection_add(family, listener);
	for (size_t l = 0; l < LEVELS; l++)
		for (int name = 0; name < NAMES; name++)
			if (change(socks[nsocks - 1], levels[l], name))
				connection_add(family, listener);
	while (nsocks < 140)
		connection_add(family, listener);
	close(listener);
}

static void make(const char *kind)
{
	int family = strchr(kind, '6') ? AF_INET6 : AF_INET;

	if (!strncmp(kind, "tcp", 3)) {
		connection_make(family);
	} else if (!strncmp(kind, "ended", 5)) {
		connection_make(family);
		nsocks = 1;
	} else if (!strncmp(kind, "each", 4)) {
		each_make(family);
	} else if (!strncmp(kind, "listen", 6)) {
		socks[0] = listener_make(family);
	} else if (!strncmp(kind, "udp", 3)) {
		socks[0] = socket(family, SOCK_DGRAM, 0);
		local_bind(socks[0], family);
	} else if (!strncmp(kind, "raw", 3)) {
		socks[0] = socket(family, SOCK_RAW,
		                  family == AF_INET ? (int)IPPROTO_ICMP : (int)IPPROTO_ICMPV6);
	} else {
		int type = !strcmp(kind, "dgram")       ? SOCK_DGRAM
		           : !strcmp(kind, "seqpacket") ? SOCK_SEQPACKET
		                                        : SOCK_STREAM;

		check(socketpair(AF_UNIX, type, 0, socks) == 0);
		nsocks = 2;
	}
	check(socks[0] >= 0);
	nsocks += !nsocks;
}

static void reset(int fd)
{
	const struct linger at_once = { 1, 0 };
	struct pollfd other = { .fd = socks[0] };

	check(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)) == 0);
	check(close(fd) == 0);
	check(poll(&other, 1, 10000) == 1);
}

int main(int argc, char **argv)
{
	int n = 0;

	check(argc == 2);
	make(argv[1]);
	for (int s = 0; s < nsocks && strncmp(argv[1], "each", 4) != 0; s++)
		change_all(socks[s], strchr("sd", *argv[1]));
	if (!strncmp(argv[1], "ended", 5))
		reset(socks[1]);
	/* One may change another. */
	for (int s = 0; s < nsocks; s++)
		note_all(s);
	/* Stamps are counted no more: who has ended cannot ask for that again. */
	if (!strncmp(argv[1], "ended", 5))
		before[0][0][SO_TIMESTAMPING].data[0] &= (unsigned char)~0x80;

	zdtm_park();

	for (int s = 0; s < nsocks; s++)
		n += differ_all(s);
	check(n == 0);
	return zdtm_pass();
}
