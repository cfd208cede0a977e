/* Raw sockets: sk_raw icmp|connected|six|icmp6 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "zdtm.h"

#ifndef ICMP_FILTER
#define ICMP_FILTER 1
#endif

static int make(int family, int protocol)
{
	int fd = socket(family, SOCK_RAW, protocol);

	check(fd >= 0);
	return fd;
}

static void set(int fd, int level, int name, int value)
{
	check(setsockopt(fd, level, name, &value, sizeof(value)) == 0);
}

static int get(int fd, int level, int name)
{
	int value = -1;

	check(getsockopt(fd, level, name, &value, &(socklen_t){ sizeof(value) }) == 0);
	return value;
}

static struct sockaddr_in v4(uint32_t host)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr = { htonl(host) } };
}

/* Only echo replies come in; a group it is in; with its own headers. */
static void icmp(void)
{
	int fd = make(AF_INET, IPPROTO_ICMP), own = make(AF_INET, IPPROTO_RAW);
	struct icmphdr head = { .type = ICMP_ECHO, .checksum = htons(0xf7ff) };
	struct sockaddr_in to = v4(INADDR_LOOPBACK);
	struct group_req req = { .gr_interface = if_nametoindex("lo") };
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct sockaddr_in multi = v4(0xef010203);
	char buf[200];

	memcpy(&req.gr_group, &multi, sizeof(multi));
	set(fd, SOL_RAW, ICMP_FILTER, ~(1 << ICMP_ECHOREPLY));
	set(fd, IPPROTO_IP, IP_TTL, 77);
	check(bind(fd, (struct sockaddr *)&to, sizeof(to)) == 0);
	check(setsockopt(fd, IPPROTO_IP, MCAST_JOIN_GROUP, &req, sizeof(req)) == 0);

	zdtm_park();

	check(get(fd, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_ICMP);
	check(get(fd, SOL_RAW, ICMP_FILTER) == ~(1 << ICMP_ECHOREPLY));
	check(get(fd, IPPROTO_IP, IP_TTL) == 77);
	check(get(own, IPPROTO_IP, IP_HDRINCL) == 1 && get(fd, IPPROTO_IP, IP_HDRINCL) == 0);
	check(sendto(fd, &head, sizeof(head), 0, (struct sockaddr *)&to, sizeof(to)) ==
	      sizeof(head));
	check(poll(&p, 1, 5000) == 1);
	check(recv(fd, buf, sizeof(buf), 0) == (ssize_t)(sizeof(struct iphdr) + sizeof(head)));
	check(((struct icmphdr *)(buf + sizeof(struct iphdr)))->type == ICMP_ECHOREPLY);
	check(setsockopt(fd, IPPROTO_IP, MCAST_LEAVE_GROUP, &req, sizeof(req)) == 0);
}

/* To an address without a port, of which getpeername(2) does not tell. */
static void connected(void)
{
	int fd = make(AF_INET, 253), other = make(AF_INET, 253), portly = make(AF_INET, 253);
	struct sockaddr_in to = v4(INADDR_LOOPBACK), peer;
	struct pollfd p = { .fd = other, .events = POLLIN };

	check(connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0);
	to.sin_port = htons(99);
	check(connect(portly, (struct sockaddr *)&to, sizeof(to)) == 0);
	set(fd, IPPROTO_IP, IP_HDRINCL, 0);

	zdtm_park();

	check(send(fd, "x", 1, 0) == 1);
	check(poll(&p, 1, 5000) == 1);
	check(getpeername(portly, (struct sockaddr *)&peer, &(socklen_t){ sizeof(peer) }) == 0);
	check(peer.sin_port == htons(99) && peer.sin_addr.s_addr == to.sin_addr.s_addr);
}

/* Checksums by the kernel; bound, and connected. */
static void raw_six(void)
{
	int fd = make(AF_INET6, 253), bound = make(AF_INET6, 253);
	struct sockaddr_in6 lo = { .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback }, now;

	set(fd, IPPROTO_IPV6, IPV6_CHECKSUM, 4);
	check(connect(fd, (struct sockaddr *)&lo, sizeof(lo)) == 0);
	check(bind(bound, (struct sockaddr *)&lo, sizeof(lo)) == 0);

	zdtm_park();

	check(get(fd, IPPROTO_IPV6, IPV6_CHECKSUM) == 4);
	check(get(bound, IPPROTO_IPV6, IPV6_CHECKSUM) == -1);
	check(getsockname(bound, (struct sockaddr *)&now, &(socklen_t){ sizeof(now) }) == 0);
	check(IN6_IS_ADDR_LOOPBACK(&now.sin6_addr));
	check(send(fd, "12345678", 8, 0) == 8);
}

static void icmp6(void)
{
	int fd = make(AF_INET6, IPPROTO_ICMPV6);
	struct icmp6_filter filter, now;

	ICMP6_FILTER_SETBLOCKALL(&filter);
	ICMP6_FILTER_SETPASS(ND_ROUTER_ADVERT, &filter);
	check(setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof(filter)) == 0);
	set(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);

	zdtm_park();

	check(getsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &now, &(socklen_t){ sizeof(now) }) == 0);
	check(!memcmp(&filter, &now, sizeof(now)));
	check(get(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT) == 1);
}

/* A packet that nobody has read. */
static void queue(void)
{
	int fd = make(AF_INET, 253);
	struct sockaddr_in to = v4(INADDR_LOOPBACK);
	char c;

	check(sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)) == 1);

	zdtm_park();

	check(recv(fd, &c, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
}

int main(int argc, char **argv)
{
	check(argc > 1);
	if (!strcmp(argv[1], "icmp"))
		icmp();
	else if (!strcmp(argv[1], "connected"))
		connected();
	else if (!strcmp(argv[1], "six"))
		raw_six();
	else if (!strcmp(argv[1], "icmp6"))
		icmp6();
	else
		queue();
	return zdtm_pass();
}
