/*
 * TCP connections that have ended, of which the program has not read all or was not told yet: sk_tcp_ended 4|6
 *
 *	reset    the peer has reset it, behind some data and behind none
 *	broken   it has ended it and reset it then (EPIPE)
 *	over     both sides have ended it
 *	refused  an attempt to connect that failed
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "zdtm.h"

#define LARGE 300000

static struct sockaddr_storage at;
static socklen_t at_len = sizeof(at);
static int listener;
static char large[LARGE];

static void listener_make(int family)
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback };
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };

	listener = socket(family, SOCK_STREAM, 0);
	check(listener >= 0);
	check((family == AF_INET ? bind(listener, (struct sockaddr *)&v4, sizeof(v4))
	                         : bind(listener, (struct sockaddr *)&v6, sizeof(v6))) == 0);
	check(listen(listener, 1) == 0);
	check(getsockname(listener, (struct sockaddr *)&at, &at_len) == 0);
}

static int option(int fd, int level, int name)
{
	int value = -1;

	check(getsockopt(fd, level, name, &value, &(socklen_t){ sizeof(value) }) == 0);
	return value;
}

/* A connection; the other end in *RET_PEER. */
static int connection(int *ret_peer)
{
	int fd = socket(at.ss_family, SOCK_STREAM, 0), size = 1 << 20;

	check(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) == 0);
	check(connect(fd, (struct sockaddr *)&at, at_len) == 0);
	*ret_peer = accept(listener, NULL, NULL);
	check(*ret_peer >= 0);
	return fd;
}

static void state_await(int fd, int state)
{
	struct tcp_info info;

	do
		check(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &(socklen_t){ sizeof(info) }) ==
		      0);
	while (info.tcpi_state != state && (zdtm_nap(), true));
}

/* SIZE bytes come, then its peer ends it (FIN), or not, and resets it. */
static int reset_make(size_t size, bool fin)
{
	const struct linger none = { .l_onoff = 1 };
	int peer, fd = connection(&peer);

	check(send(peer, large, size, 0) == (ssize_t)size);
	if (fin) {
		check(shutdown(peer, SHUT_WR) == 0);
		state_await(fd, TCP_CLOSE_WAIT);
	}
	check(setsockopt(peer, SOL_SOCKET, SO_LINGER, &none, sizeof(none)) == 0);
	/* What is still on its way would be lost by the reset. */
	while (size &&
	       recv(fd, NULL, (size_t)LARGE, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT) < (ssize_t)size)
		zdtm_nap();
	check(close(peer) == 0);
	state_await(fd, TCP_CLOSE);
	return fd;
}

static int over_make(void)
{
	int peer, fd = connection(&peer);
	char c;

	check(shutdown(fd, SHUT_WR) == 0 && read(peer, &c, 1) == 0);
	check(send(peer, large, 1000, 0) == 1000 && close(peer) == 0);
	state_await(fd, TCP_CLOSE);
	return fd;
}

static int refused_make(void)
{
	int fd = socket(at.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	check(close(listener) == 0);
	check(connect(fd, (struct sockaddr *)&at, at_len) < 0 && errno == EINPROGRESS);
	check(poll(&p, 1, 10000) == 1 && p.revents & POLLERR);
	return fd;
}

static void unread(int fd, size_t size)
{
	static char buf[LARGE];

	check(recv(fd, buf, sizeof(buf), 0) == (ssize_t)size && !memcmp(buf, large, size));
}

static bool at_end(int fd)
{
	char c;

	return recv(fd, &c, 1, MSG_DONTWAIT) == 0;
}

static bool fails(int fd, int error)
{
	struct pollfd p = { .fd = fd };
	char c;

	check(poll(&p, 1, 0) == 1 && p.revents == (POLLERR | POLLHUP));
	return recv(fd, &c, 1, MSG_DONTWAIT) < 0 && errno == error;
}

static void ended(int fd)
{
	check(at_end(fd) && send(fd, "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE);
	check(connect(fd, (struct sockaddr *)&at, at_len) < 0 && errno == EISCONN);
}

int main(int argc, char **argv)
{
	int reset, silent, broken, over, refused, off = 7;

	check(argc == 2);
	for (int i = 0; i < LARGE; i++)
		large[i] = (char)(i * 7 % 251);
	listener_make(*argv[1] == '4' ? AF_INET : AF_INET6);
	reset = reset_make(LARGE, false);
	silent = reset_make(0, false);
	broken = reset_make(10, true);
	over = over_make();
	check(setsockopt(over, SOL_SOCKET, SO_PEEK_OFF, &off, sizeof(off)) == 0 || (off = -1));
	check(setsockopt(silent, SOL_SOCKET, SO_KEEPALIVE, &(int){ 1 }, sizeof(int)) == 0);
	refused = refused_make();

	zdtm_park();

	check(off < 0 || option(over, SOL_SOCKET, SO_PEEK_OFF) == off);
	check(option(silent, SOL_SOCKET, SO_KEEPALIVE) == 1);
	unread(reset, LARGE);
	check(fails(reset, ECONNRESET) && fails(silent, ECONNRESET));
	unread(broken, 10);
	check(at_end(broken) && option(broken, SOL_SOCKET, SO_ERROR) == EPIPE);
	unread(over, 1000);
	check(option(over, SOL_SOCKET, SO_ERROR) == 0);
	ended(reset), ended(silent), ended(broken), ended(over);
	check(option(refused, SOL_SOCKET, SO_ERROR) == ECONNREFUSED);
	return zdtm_pass();
}
