/* UDP sockets of victims. */
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "zdtm.h"

/* What is tested, on which interface and address of it. */
static const char *how = "4", *device = "lo", *address;
static bool six, lite;

static inline void arguments(int argc, char **argv)
{
	check(argc > 1);
	if (argc > 2)
		how = argv[2];
	if (argc > 4)
		device = argv[3], address = argv[4];
	six = !strcmp(how, "6") || !strcmp(how, "dual");
	lite = !strcmp(how, "lite");
}

struct addr {
	union {
		struct sockaddr sa;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	};
	socklen_t len;
};

static inline struct addr addr_of(const char *text, unsigned port)
{
	struct addr a = { .len = sizeof(a.v6) };

	if (strchr(text, ':')) {
		a.v6.sin6_family = AF_INET6;
		a.v6.sin6_port = htons((unsigned short)port);
		check(inet_pton(AF_INET6, text, &a.v6.sin6_addr) == 1);
	} else {
		a.v4.sin_family = AF_INET;
		a.v4.sin_port = htons((unsigned short)port);
		a.len = sizeof(a.v4);
		check(inet_pton(AF_INET, text, &a.v4.sin_addr) == 1);
	}
	return a;
}

static inline void set(int fd, int level, int name, int value)
{
	check(setsockopt(fd, level, name, &value, sizeof(value)) == 0);
}

static inline int get(int fd, int level, int name)
{
	int value = -1;

	check(getsockopt(fd, level, name, &value, &(socklen_t){ sizeof(value) }) == 0);
	return value;
}

static inline int make(void)
{
	int fd = socket(six ? AF_INET6 : AF_INET, SOCK_DGRAM, lite ? IPPROTO_UDPLITE : 0);

	check(fd >= 0);
	return fd;
}

static const char *host(void)
{
	return address ? address : six ? "::1" : "127.0.0.1";
}

static inline unsigned port_of(int fd)
{
	struct addr a = { .len = sizeof(a.v6) };

	check(getsockname(fd, &a.sa, &a.len) == 0);
	return ntohs(a.v4.sin_port);
}

static inline void bind_to(int fd, const char *text, unsigned port)
{
	struct addr a = addr_of(text, port);

	check(bind(fd, &a.sa, a.len) == 0);
}

static inline void connect_to(int fd, const char *text, unsigned port)
{
	struct addr a = addr_of(text, port);

	check(connect(fd, &a.sa, a.len) == 0);
}

static inline int bound_at(const char *text)
{
	int fd = make();

	bind_to(fd, text, 0);
	return fd;
}

static inline void send_to(int fd, const char *text, unsigned port, const char *data)
{
	struct addr a = addr_of(text, port);

	check(sendto(fd, data, strlen(data), 0, &a.sa, a.len) == (ssize_t)strlen(data));
}

/* The next one is DATA, from HOST:PORT. */
static inline void got(int fd, const char *data, const char *text, unsigned port)
{
	struct addr a = { .len = sizeof(a.v6) }, want = addr_of(text, port);
	char buf[100];
	ssize_t n;

	check(recvfrom(fd, NULL, 0, MSG_PEEK, NULL, NULL) == 0);
	n = recvfrom(fd, buf, sizeof(buf), MSG_DONTWAIT, &a.sa, &a.len);
	check(n == (ssize_t)strlen(data) && !memcmp(buf, data, strlen(data)));
	check(a.len == want.len && a.v4.sin_port == want.v4.sin_port);
	check(a.sa.sa_family == AF_INET ? a.v4.sin_addr.s_addr == want.v4.sin_addr.s_addr
	                                : !memcmp(&a.v6.sin6_addr, &want.v6.sin6_addr, 16));
}

static inline void empty(int fd)
{
	char c;

	check(recv(fd, &c, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
}
