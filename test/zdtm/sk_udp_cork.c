/* UDP sockets that hold a datagram back: sk_udp_cork 4|6|lite|away */
#include <netinet/udp.h>
#include <stdlib.h>
#include <unistd.h>

#include "udp.h"

#define LARGE 5000
#define TTL   9
#define TOS   0x10

static char large[LARGE];

struct held {
	int peer, fd;
	const char *what;
	size_t size;
};

static struct held hold(const char *what, size_t size)
{
	return (struct held){ bound_at(host()), make(), what, size };
}

static void part(const struct held *h, size_t from, size_t n)
{
	struct addr to = addr_of(host(), port_of(h->peer));

	check(sendto(h->fd, h->what + from, n, MSG_MORE, &to.sa, to.len) == (ssize_t)n);
}

static void told(const struct held *h, int value)
{
	struct addr to = addr_of(host(), port_of(h->peer));
	union {
		struct cmsghdr head;
		char buf[CMSG_SPACE(sizeof(int))];
	} control = { { CMSG_LEN(sizeof(int)), six ? IPPROTO_IPV6 : IPPROTO_IP,
		        six ? IPV6_HOPLIMIT : IP_TTL } };
	struct iovec iov = { (void *)(uintptr_t)h->what, 1 };
	struct msghdr msg = { &to.sa, to.len, &iov, 1, &control, sizeof(control), 0 };

	memcpy(CMSG_DATA(&control.head), &value, sizeof(value));
	check(sendmsg(h->fd, &msg, MSG_MORE) == 1);
}

/* What PEER got, and its ttl. */
static void came(const struct held *h)
{
	static char data[LARGE + 1];
	union {
		struct cmsghdr head;
		char buf[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { data, sizeof(data) };
	struct msghdr msg = { .msg_iov = &iov,
		              .msg_iovlen = 1,
		              .msg_control = &control,
		              .msg_controllen = sizeof(control) };
	int ttl = 0;

	check(recvmsg(h->peer, &msg, 0) == (ssize_t)h->size && !memcmp(data, h->what, h->size));
	if (msg.msg_controllen) {
		memcpy(&ttl, CMSG_DATA(&control.head), sizeof(ttl));
		check(ttl == TTL);
	}
}

/* A socket of IPv6, a datagram of IPv4. */
static struct held hold_mapped(void)
{
	struct addr to = addr_of("127.0.0.1", 0);
	struct held h = { socket(AF_INET, SOCK_DGRAM, 0), make(), "mapped", 6 };

	check(h.peer >= 0 && bind(h.peer, &to.sa, to.len) == 0);
	to = addr_of("::ffff:127.0.0.1", port_of(h.peer));
	check(sendto(h.fd, "map", 3, MSG_MORE, &to.sa, to.len) == 3);
	return h;
}

static void corked(void)
{
	struct held small = hold("onetwo", 6), many = hold(large, LARGE), own = hold("ab", 2);
	struct held nothing = hold("late", 4), option = hold(large, 3000);
	struct held mapped = six ? hold_mapped() : small;
	struct addr to = addr_of(host(), port_of(small.peer));

	check(connect(small.fd, &to.sa, to.len) == 0 && send(small.fd, "one", 3, MSG_MORE) == 3);
	for (size_t i = 0; i < LARGE; i += 1000)
		part(&many, i, 1000);
	set(own.peer, six ? IPPROTO_IPV6 : IPPROTO_IP, six ? IPV6_RECVHOPLIMIT : IP_RECVTTL, 1);
	told(&own, TTL);
	part(&nothing, 0, 0);
	set(option.fd, lite ? IPPROTO_UDPLITE : IPPROTO_UDP, UDP_CORK, 1);
	part(&option, 0, 1);
	part(&option, 1, 2999);

	zdtm_park();

	check(send(small.fd, "two", 3, 0) == 3);
	came(&small);
	to = addr_of(host(), port_of(many.peer));
	check(sendto(many.fd, "", 0, 0, &to.sa, to.len) == 0);
	came(&many);
	to = addr_of(host(), port_of(own.peer));
	check(sendto(own.fd, "b", 1, 0, &to.sa, to.len) == 1);
	came(&own);
	to = addr_of(host(), port_of(nothing.peer));
	check(sendto(nothing.fd, "late", 4, 0, &to.sa, to.len) == 4);
	came(&nothing);
	if (six) {
		to = addr_of("::ffff:127.0.0.1", port_of(mapped.peer));
		check(sendto(mapped.fd, "ped", 3, 0, &to.sa, to.len) == 3);
		came(&mapped);
	}
	check(get(option.fd, lite ? IPPROTO_UDPLITE : IPPROTO_UDP, UDP_CORK) == 1);
	set(option.fd, lite ? IPPROTO_UDPLITE : IPPROTO_UDP, UDP_CORK, 0);
	came(&option);
}

static void away(void)
{
	struct addr to = addr_of("10.9.9.9", 9);
	int fd = make();

	check(sendto(fd, "far", 3, MSG_MORE, &to.sa, to.len) == 3);
	zdtm_park();
	check(port_of(fd));
}

int main(int argc, char **argv)
{
	const char *args[] = { argv[0], "corked", argc > 1 ? argv[1] : "4" };

	arguments(3, (char **)(uintptr_t)args);
	for (int i = 0; i < LARGE; i++)
		large[i] = (char)(i * 7 % 251);
	if (!strcmp(how, "away"))
		away();
	else
		corked();
	return zdtm_pass();
}
