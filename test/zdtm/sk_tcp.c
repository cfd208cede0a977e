/* TCP sockets that are not connected: sk_tcp LISTENER|group|bound|fresh [4|6|dual|mptcp] */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "zdtm.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static const char *how = "4";

static socklen_t loopback(struct sockaddr_storage *a, unsigned port)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)a;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)a;

	memset(a, 0, sizeof(*a));
	if (!strcmp(how, "4") || !strcmp(how, "mptcp")) {
		*v4 = (struct sockaddr_in){
			AF_INET, htons((unsigned short)port), { htonl(INADDR_LOOPBACK) }, {}
		};
		return sizeof(*v4);
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons((unsigned short)port);
	if (!strcmp(how, "6"))
		v6->sin6_addr = in6addr_loopback;
	return sizeof(*v6);
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

static int make(void)
{
	int fd = socket(!strcmp(how, "4") || !strcmp(how, "mptcp") ? AF_INET : AF_INET6,
	                SOCK_STREAM, !strcmp(how, "mptcp") ? IPPROTO_MPTCP : 0);

	check(fd >= 0);
	if (!strcmp(how, "6"))
		set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	return fd;
}

static unsigned port_of(int fd)
{
	struct sockaddr_in6 a = {};

	check(getsockname(fd, (struct sockaddr *)&a, &(socklen_t){ sizeof(a) }) == 0);
	return ntohs(a.sin6_port);
}

static void bind_to(int fd, unsigned port)
{
	struct sockaddr_storage a;
	socklen_t len = loopback(&a, port);

	check(bind(fd, (struct sockaddr *)&a, len) == 0);
}

static void serve(int fd, unsigned port)
{
	struct sockaddr_storage a;
	socklen_t len = loopback(&a, port);
	int client, server;
	char c = 0;

	if (!strcmp(how, "dual")) { /* an IPv4 client comes in, too */
		how = "4";
		len = loopback(&a, port);
		how = "dual";
	}
	client = socket(a.ss_family, SOCK_STREAM, 0);
	check(connect(client, (struct sockaddr *)&a, len) == 0);
	check(write(client, "x", 1) == 1);
	server = accept(fd, NULL, NULL);
	check(server >= 0 && read(server, &c, 1) == 1 && c == 'x');
	close(server);
	close(client);
}

static void listener(void)
{
	int fd = make();
	unsigned port;

	set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set(fd, SOL_SOCKET, SO_RCVBUF, 50000);
	set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (strcmp(how, "mptcp")) {
		set(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, 7);
		set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 77);
		set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 4321);
		set(fd, IPPROTO_TCP, TCP_MAXSEG, 1000);
		set(fd, IPPROTO_TCP, TCP_FASTOPEN, 5);
	}
	bind_to(fd, 0);
	check(listen(fd, 7) == 0);
	port = port_of(fd);

	zdtm_park();

	check(port_of(fd) == port);
	check(get(fd, SOL_SOCKET, SO_ACCEPTCONN) == 1);
	check(get(fd, SOL_SOCKET, SO_REUSEADDR) == 1 && get(fd, SOL_SOCKET, SO_KEEPALIVE) == 1);
	check(get(fd, SOL_SOCKET, SO_RCVBUF) == 100000);
	check(get(fd, IPPROTO_TCP, TCP_NODELAY) == 1);
	check(get(fd, SOL_SOCKET, SO_PROTOCOL) ==
	      (strcmp(how, "mptcp") ? IPPROTO_TCP : IPPROTO_MPTCP));
	if (strcmp(how, "mptcp")) {
		struct tcp_info info;

		check(get(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT) == 7);
		check(get(fd, IPPROTO_TCP, TCP_KEEPIDLE) == 77);
		check(get(fd, IPPROTO_TCP, TCP_USER_TIMEOUT) == 4321);
		check(get(fd, IPPROTO_TCP, TCP_MAXSEG) == 1000);
		check(get(fd, IPPROTO_TCP, TCP_FASTOPEN) == 5);
		check(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &(socklen_t){ sizeof(info) }) ==
		      0);
		check(info.tcpi_sacked == 7); /* the backlog */
	}
	if (!strcmp(how, "6"))
		check(get(fd, IPPROTO_IPV6, IPV6_V6ONLY) == 1);
	serve(fd, port);
}

/* Three on one port, one of them a child's own. */
static void group(void)
{
	int fds[3];

	for (int i = 0; i < 3; i++) {
		fds[i] = make();
		set(fds[i], SOL_SOCKET, SO_REUSEPORT, 1);
		bind_to(fds[i], i ? port_of(fds[0]) : 0);
		check(listen(fds[i], 10) == 0);
	}

	zdtm_park();

	for (int i = 0; i < 3; i++) {
		check(get(fds[i], SOL_SOCKET, SO_REUSEPORT) == 1);
		check(port_of(fds[i]) == port_of(fds[0]));
		check(fcntl(fds[i], F_SETFL, O_NONBLOCK) == 0);
		check(accept(fds[i], NULL, NULL) < 0 && errno == EAGAIN);
	}
}

static void bound(void)
{
	int fd = make(), other = make();
	unsigned port;

	bind_to(fd, 0);
	port = port_of(fd);

	zdtm_park();

	check(port_of(fd) == port);
	check(get(fd, SOL_SOCKET, SO_REUSEADDR) == 0);
	check(listen(fd, 5) == 0);
	serve(fd, port);
	check(port_of(other) == 0);
	bind_to(other, 0);
}

/* A new one can still be all that it could be; its options are kept. */
static void fresh(void)
{
	int server = make(), fd = make();
	struct sockaddr_storage a;
	socklen_t len;

	set(fd, IPPROTO_TCP, TCP_SYNCNT, 3);
	set(fd, SOL_SOCKET, SO_PRIORITY, 4);
	check(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4) == 0);
	check(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);

	zdtm_park();

	check(get(fd, IPPROTO_TCP, TCP_SYNCNT) == 3 && get(fd, SOL_SOCKET, SO_PRIORITY) == 4);
	check(fcntl(fd, F_GETFL) & O_NONBLOCK);
	bind_to(server, 0);
	check(listen(server, 1) == 0);
	len = loopback(&a, port_of(server));
	check(connect(fd, (struct sockaddr *)&a, len) == 0 || errno == EINPROGRESS);
	check(accept(server, NULL, NULL) >= 0);
}

int main(int argc, char **argv)
{
	check(argc > 1);
	if (argc > 2)
		how = argv[2];
	if (!strcmp(argv[1], "listener"))
		listener();
	else if (!strcmp(argv[1], "group"))
		group();
	else if (!strcmp(argv[1], "bound"))
		bound();
	else
		fresh();
	return zdtm_pass();
}
