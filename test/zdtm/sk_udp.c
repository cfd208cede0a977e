/* UDP sockets: sk_udp bound|connected|disconnected|group|queue|mapped|shut|refused|stamped|ping [4|6|dual|lite] */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/net_tstamp.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "udp.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

#define UDPLITE_SEND_CSCOV 10

static void bound(void)
{
	int fd = make(), other = make(), any;
	unsigned port;

	set(fd, SOL_SOCKET, SO_BROADCAST, 1);
	set(fd, SOL_SOCKET, SO_RCVBUF, 50000);
	if (six) {
		set(fd, IPPROTO_IPV6, IPV6_V6ONLY, strcmp(how, "dual") != 0);
		set(fd, IPPROTO_IPV6, IPV6_TCLASS, 0x10);
		set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
		set(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 9);
		set(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
		set(fd, IPPROTO_IPV6, IPV6_2292HOPLIMIT, 1);
		set(fd, IPPROTO_IPV6, 11 /* IPV6_FLOWINFO */, 1);
	} else {
		set(fd, IPPROTO_IP, IP_TOS, 0x10);
		set(fd, IPPROTO_IP, IP_PKTINFO, 1);
		set(fd, IPPROTO_IP, IP_MULTICAST_TTL, 9);
		set(fd, IPPROTO_IP, IP_MULTICAST_LOOP, 0);
		set(fd, IPPROTO_IP, IP_RECVERR, 1);
		set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
		set(fd, IPPROTO_IP, IP_FREEBIND, 1);
	}
	if (lite)
		set(fd, IPPROTO_UDPLITE, UDPLITE_SEND_CSCOV, 20);
	else
		set(fd, IPPROTO_UDP, UDP_SEGMENT, 1000);
	bind_to(fd, !strcmp(how, "dual") ? "::" : !strcmp(how, "4") ? "10.99.0.1" : host(), 0);
	port = port_of(fd);

	zdtm_park();

	check(port_of(fd) == port && port_of(other) == 0);
	check(get(fd, SOL_SOCKET, SO_BROADCAST) == 1);
	check(get(fd, SOL_SOCKET, SO_RCVBUF) == 100000);
	if (six) {
		check(get(fd, IPPROTO_IPV6, IPV6_V6ONLY) == (strcmp(how, "dual") != 0));
		check(get(fd, IPPROTO_IPV6, IPV6_TCLASS) == 0x10);
		check(get(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO) == 1);
		check(get(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS) == 9);
		check(get(fd, IPPROTO_IPV6, IPV6_RECVERR) == 1);
		check(get(fd, IPPROTO_IPV6, IPV6_2292HOPLIMIT) == 1);
		check(get(fd, IPPROTO_IPV6, 11) == 1);
	} else {
		check(get(fd, IPPROTO_IP, IP_TOS) == 0x10 && get(fd, IPPROTO_IP, IP_PKTINFO) == 1);
		check(get(fd, IPPROTO_IP, IP_MULTICAST_TTL) == 9);
		check(get(fd, IPPROTO_IP, IP_MULTICAST_LOOP) == 0);
		check(get(fd, IPPROTO_IP, IP_RECVERR) == 1);
		check(get(fd, IPPROTO_IP, IP_MTU_DISCOVER) == IP_PMTUDISC_DO);
		check(get(fd, IPPROTO_IP, IP_FREEBIND) == 1);
	}
	if (lite)
		check(get(fd, IPPROTO_UDPLITE, UDPLITE_SEND_CSCOV) == 20);
	else
		check(get(fd, IPPROTO_UDP, UDP_SEGMENT) == 1000);
	if (!strcmp(how, "4"))
		return; /* its address is of no interface */
	send_to(other, host(), port, "x");
	got(fd, "x", host(), port_of(other));
	if (strcmp(how, "dual") != 0)
		return;
	any = socket(AF_INET, SOCK_DGRAM, 0);
	send_to(any, "127.0.0.1", port, "y");
	got(fd, "y", "::ffff:127.0.0.1", port_of(any));
}

/* Its port, if it is bound to that host. */
static unsigned name_of(int fd, const char *text)
{
	struct addr a = { .len = sizeof(a.v6) }, want = addr_of(text, 0);

	check(getsockname(fd, &a.sa, &a.len) == 0);
	check(six ? !memcmp(&a.v6.sin6_addr, &want.v6.sin6_addr, 16)
	          : a.v4.sin_addr.s_addr == want.v4.sin_addr.s_addr);
	return port_of(fd);
}

/* What each has asked for of its name, all ports being of those that others get who do not ask; none: it is chosen. */
static void connected(void)
{
	static const struct {
		bool address, port;
	} asks[4] = { { true, true }, { false, true }, { true, false }, { false, false } };
	const char *any = six ? "::" : "0.0.0.0";
	struct addr nobody = { .sa.sa_family = AF_UNSPEC };
	int server = bound_at(host()), fds[4];
	unsigned ports[4], there = port_of(server);

	for (unsigned i = 0; i < 4; i++) {
		fds[i] = make();
		if (asks[i].address || asks[i].port)
			bind_to(fds[i], asks[i].address ? host() : any,
			        asks[i].port ? 40001 + i : 0);
		connect_to(fds[i], host(), there);
		ports[i] = port_of(fds[i]);
	}

	zdtm_park();

	check(port_of(server) == there);
	for (unsigned i = 0; i < 4; i++) {
		check(name_of(fds[i], host()) == ports[i]);
		check(send(fds[i], "a", 1, 0) == 1);
		got(server, "a", host(), ports[i]);
		send_to(fds[!i], host(), ports[i], "not from its peer");
		empty(fds[i]);
		send_to(server, host(), ports[i], "from its peer");
		got(fds[i], "from its peer", host(), there);
	}
	for (unsigned i = 0; i < 4; i++) {
		check(connect(fds[i], &nobody.sa, sizeof(nobody.sa)) == 0);
		check(name_of(fds[i], asks[i].address ? host() : any) ==
		      (asks[i].port ? ports[i] : 0));
	}
}

static void disconnected(void)
{
	int fd = make(), other = bound_at(host());
	struct addr nobody = { .sa.sa_family = AF_UNSPEC }, peer = { .len = sizeof(peer.v6) };
	unsigned port;

	bind_to(fd, six ? "::" : "0.0.0.0", 5353); /* another port would be given back */
	connect_to(fd, host(), port_of(other));
	check(connect(fd, &nobody.sa, sizeof(nobody.sa)) == 0);
	port = port_of(fd);

	zdtm_park();

	check(port && port_of(fd) == port);
	check(getpeername(fd, &peer.sa, &peer.len) < 0 && errno == ENOTCONN);
	send_to(other, host(), port, "x");
	got(fd, "x", host(), port_of(other));
}

/* Two of one port, and a third of a child; SO_REUSEADDR for two more. */
static void group(void)
{
	int fds[3], reuse[2], pipes[2], status;
	unsigned port;
	pid_t child;
	char c;

	for (int i = 0; i < 3; i++) {
		fds[i] = make();
		set(fds[i], SOL_SOCKET, SO_REUSEPORT, 1);
		bind_to(fds[i], host(), i ? port_of(fds[0]) : 0);
	}
	for (int i = 0; i < 2; i++) {
		reuse[i] = make();
		set(reuse[i], SOL_SOCKET, SO_REUSEADDR, 1);
		bind_to(reuse[i], host(), i ? port_of(reuse[0]) : 0);
	}
	port = port_of(fds[0]);
	check(pipe(pipes) == 0);
	child = fork();
	if (child == 0) {
		close(pipes[1]);
		close(fds[0]);
		check(read(pipes[0], &c, 1) == 0);
		check(port_of(fds[2]) == port && get(fds[2], SOL_SOCKET, SO_REUSEPORT) == 1);
		_exit(0);
	}
	close(fds[2]);
	close(pipes[0]);

	zdtm_park();

	for (int i = 0; i < 2; i++)
		check(port_of(fds[i]) == port && get(fds[i], SOL_SOCKET, SO_REUSEPORT) == 1);
	check(port_of(reuse[0]) == port_of(reuse[1]));
	check(get(reuse[1], SOL_SOCKET, SO_REUSEADDR) == 1);
	close(pipes[1]);
	check(waitpid(child, &status, 0) == child && status == 0);
}

static const char *const texts[] = { "", "first", "", "", "second", "third", "" };

/* Datagrams of two senders and of all sizes, also where others share the port. */
static void queue(void)
{
	int fd = make(), twin = make(), senders[] = { bound_at(host()), bound_at(host()) };
	static char large[60000], buf[65536];
	const char *bound_host = !strcmp(how, "dual") ? "::" : host();
	struct addr to;

	set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	set(twin, SOL_SOCKET, SO_REUSEPORT, 1);
	set(fd, SOL_SOCKET, SO_RCVBUF, 200000);
	bind_to(fd, bound_host, 0);
	to = addr_of(host(), port_of(fd));
	for (size_t i = 0; i < 7; i++)
		send_to(senders[i % 2], host(), port_of(fd), texts[i]);
	memset(large, 'L', sizeof(large));
	check(sendto(senders[0], large, sizeof(large), 0, &to.sa, to.len) == sizeof(large));
	bind_to(twin, bound_host, port_of(fd));
	connect_to(fd, host(), port_of(senders[0]));

	zdtm_park();

	for (size_t i = 0; i < 7; i++)
		got(fd, texts[i], host(), port_of(senders[i % 2]));
	check(recv(fd, buf, sizeof(buf), MSG_DONTWAIT) == sizeof(large));
	check(!memcmp(buf, large, sizeof(large)));
	empty(fd);
	empty(twin);
	check(get(fd, SOL_SOCKET, SO_RCVBUF) == 400000);
	check(get(fd, SOL_SOCKET, SO_PEEK_OFF) == -1);
}

/* What came by IPv4 to a socket of IPv6, which was connected later; it has a filter that would let nothing in. */
static void mapped(void)
{
	struct sock_filter none = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog prog = { 1, &none };
	int fd, sender = socket(AF_INET, SOCK_DGRAM, 0);

	six = true;
	fd = bound_at("::");
	send_to(sender, "127.0.0.1", port_of(fd), "four");
	check(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) == 0);

	zdtm_park();

	send_to(sender, "127.0.0.1", port_of(fd), "stopped");
	got(fd, "four", "::ffff:127.0.0.1", port_of(sender));
	empty(fd);
	check(setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &(int){ 0 }, sizeof(int)) == 0);
	send_to(sender, "127.0.0.1", port_of(fd), "five");
	got(fd, "five", "::ffff:127.0.0.1", port_of(sender));
}

/* ---- the rest ---- */

static short polled(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLRDHUP };

	check(poll(&p, 1, 0) >= 0);
	return p.revents;
}

static void shut(void)
{
	int peer = bound_at(host()), fds[3];

	for (int i = 0; i < 3; i++) {
		fds[i] = make();
		connect_to(fds[i], host(), port_of(peer));
		check(shutdown(fds[i], i) == 0);
	}

	zdtm_park();

	check(polled(fds[0]) == (POLLIN | POLLRDHUP) && send(fds[0], "x", 1, 0) == 1);
	check(polled(fds[1]) == 0);
	check(send(fds[1], "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE);
	check(polled(fds[2]) == (POLLIN | POLLRDHUP | POLLHUP));
	check(send(fds[2], "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE);
}

/* Nobody listens there: the next call shall say so. */
static void refused(void)
{
	int gone = bound_at(host()), fd = make();
	struct pollfd p = { .fd = fd };

	connect_to(fd, host(), port_of(gone));
	close(gone);
	check(send(fd, "x", 1, 0) == 1);
	check(poll(&p, 1, 5000) == 1 && p.revents == POLLERR);

	zdtm_park();

	check(send(fd, "x", 1, 0) == 1 || errno == ECONNREFUSED);
}

/* In its error queue it is told when something was sent; that is no error. */
static void stamped(void)
{
	int fd = bound_at(host()), other = bound_at(host());
	struct pollfd p = { .fd = fd };

	set(fd, SOL_SOCKET, SO_TIMESTAMPING,
	    SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE);
	send_to(fd, host(), port_of(other), "sent");
	check(poll(&p, 1, 5000) == 1 && p.revents == POLLERR);
	send_to(other, host(), port_of(fd), "back");

	zdtm_park();

	got(fd, "back", host(), port_of(other));
	got(other, "sent", host(), port_of(fd));
}

/* One that gives a number to its echo requests. */
static void ping(void)
{
	struct icmphdr head = { .type = six ? 128 : ICMP_ECHO, .un.echo.sequence = htons(7) };
	int fd = socket(six ? AF_INET6 : AF_INET, SOCK_DGRAM, six ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
	struct addr to = addr_of(host(), 0);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	unsigned ident;

	check(fd >= 0);
	bind_to(fd, host(), 4711);
	ident = port_of(fd);

	zdtm_park();

	check(port_of(fd) == ident && ident == 4711);
	check(sendto(fd, &head, sizeof(head), 0, &to.sa, to.len) == sizeof(head));
	check(poll(&p, 1, 5000) == 1);
	check(recv(fd, &head, sizeof(head), 0) == sizeof(head));
	check(head.type == (six ? 129 : ICMP_ECHOREPLY) && ntohs(head.un.echo.id) == ident);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} all[] = { { "bound", bound },     { "connected", connected },
		    { "group", group },     { "disconnected", disconnected },
		    { "queue", queue },     { "mapped", mapped },

		    { "shut", shut },       { "refused", refused },
		    { "stamped", stamped }, { "ping", ping } };

	arguments(argc, argv);
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		if (!strcmp(argv[1], all[i].name)) {
			all[i].run();
			return zdtm_pass();
		}
	check(false);
}
