/*
 * Both ends of a connection over the loopback device: sk_tcp_conn 4|6|mapped WHAT
 *
 *	idle       nothing is under way
 *	queued     both receive queues hold data
 *	flight     the same, both ends and a listener being in flight inside a unix socket, and nowhere else
 *	full       one end has written all that it could: received, sent and unsent data
 *	half       one end has said that it will send no more (FIN_WAIT2, CLOSE_WAIT), with data
 *	half_read  the same, and the other has read the end
 *	both       both have: LAST_ACK does not last, one is closed (TIME_WAIT)
 *	deaf       one end has been shut down for reading
 *	fin_wait1  one end has ended, behind more data than the other takes (FIN_WAIT1)
 *	closing    both have (FIN_WAIT1 on both sides, then CLOSING)
 *	last_ack   one has, and then the other behind more data than the first takes (LAST_ACK)
 *	urgent     urgent data waits in the middle; urgent_read: and has been read; urgent_first,
 *	           urgent_last: at the beginning, at the end; urgent_inline: with SO_OOBINLINE; urgent_long:
 *	           much is behind it; urgent_fin: and the end
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "scm.h"

static int a, b; /* the ends */

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

static void ends_make(const char *how)
{
	struct sockaddr_in6 at = { .sin6_family = AF_INET6 };
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct sockaddr *sa = !strcmp(how, "4") ? (struct sockaddr *)&v4 : (struct sockaddr *)&at;
	socklen_t len = !strcmp(how, "4") ? sizeof(v4) : sizeof(at);
	int listener = socket(sa->sa_family, SOCK_STREAM, 0);

	if (!strcmp(how, "6"))
		at.sin6_addr = in6addr_loopback;
	if (!strcmp(how, "mapped"))
		check(inet_pton(AF_INET6, "::ffff:127.0.0.1", &at.sin6_addr) == 1);
	check(listener >= 0 && bind(listener, sa, len) == 0 && listen(listener, 1) == 0);
	check(getsockname(listener, sa, &len) == 0);
	a = socket(sa->sa_family, SOCK_STREAM, 0);
	check(connect(a, sa, len) == 0);
	b = accept(listener, NULL, NULL);
	check(b >= 0);
	close(listener);
}

static unsigned char byte_at(size_t i)
{
	return (unsigned char)(i * 7 + i / 251);
}

static size_t fill(int fd, size_t max)
{
	static unsigned char buf[4096];
	size_t sum = 0;

	check(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
	while (sum < max) {
		size_t size = max - sum < sizeof(buf) ? max - sum : sizeof(buf);
		ssize_t n;

		for (size_t i = 0; i < size; i++)
			buf[i] = byte_at(sum + i);
		n = write(fd, buf, size);
		if (n < 0) {
			check(errno == EAGAIN);
			break;
		}
		sum += (size_t)n;
	}
	check(fcntl(fd, F_SETFL, 0) == 0);
	return sum;
}

static void drain(int fd, size_t size)
{
	static unsigned char buf[65536];

	for (size_t at = 0; at < size;) {
		ssize_t n = read(fd, buf, size - at < sizeof(buf) ? size - at : sizeof(buf));

		check(n > 0);
		for (ssize_t i = 0; i < n; i++)
			check(buf[i] == byte_at(at + (size_t)i));
		at += (size_t)n;
	}
}

static void talk(int from, int to)
{
	char c = 0;

	check(write(from, "x", 1) == 1);
	check(read(to, &c, 1) == 1 && c == 'x');
}

static bool at_end(int fd)
{
	char c;

	return read(fd, &c, 1) == 0;
}

static struct tcp_info info_of(int fd)
{
	struct tcp_info info = {};

	check(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &(socklen_t){ sizeof(info) }) == 0);
	return info;
}

/* What one end has said, both or only the first. */
static void ended(size_t to_a, size_t to_b, bool both)
{
	drain(b, to_b);
	check(at_end(b));
	if (!both) {
		talk(b, a);
		close(b);
	}
	drain(a, to_a);
	check(at_end(a));
}

static void end(int fd, int state)
{
	check(shutdown(fd, SHUT_WR) == 0);
	check(info_of(fd).tcpi_state == state);
}

static int tube[2], listener;

static unsigned port_of(int fd)
{
	struct sockaddr_in at = {};

	check(getsockname(fd, (struct sockaddr *)&at, &(socklen_t){ sizeof(at) }) == 0);
	return at.sin_port;
}

static unsigned fly(void)
{
	unsigned port;

	listener = socket(AF_INET, SOCK_STREAM, 0);
	check(listen(listener, 1) == 0);
	port = port_of(listener);
	check(socketpair(AF_UNIX, SOCK_DGRAM, 0, tube) == 0);
	scm_send(tube[0], a), scm_send(tube[0], b), scm_send(tube[0], listener);
	close(a), close(b), close(listener);
	return port;
}

static void land(unsigned port)
{
	struct sockaddr_in at = { AF_INET, (in_port_t)port, { htonl(INADDR_LOOPBACK) }, {} };
	int client = socket(AF_INET, SOCK_STREAM, 0), number;

	a = scm_receive(tube[1], &number);
	b = scm_receive(tube[1], &number);
	listener = scm_receive(tube[1], &number);
	check(a >= 0 && b >= 0 && listener >= 0 && port_of(listener) == port);
	check(connect(client, (struct sockaddr *)&at, sizeof(at)) == 0);
	check(accept(listener, NULL, NULL) >= 0);
}

static bool at_mark(int fd)
{
	int answer = -1;

	check(ioctl(fd, SIOCATMARK, &answer) == 0);
	return answer;
}

/* BEFORE bytes, an urgent one, AFTER more. */
static int urgent(const char *what)
{
	const bool is_read = !strcmp(what, "_read"), is_inline = !strcmp(what, "_inline"),
		   is_long = !strcmp(what, "_long"), fin = !strcmp(what, "_fin");
	const size_t before = strcmp(what, "_first") ? 10 : 0, after = !strcmp(what, "_last") ? 0
	                                                               : is_long ? 100000
	                                                                         : 20;
	int unacked = 0;
	char c;

	set(b, SOL_SOCKET, SO_OOBINLINE, is_inline);
	set(b, SOL_SOCKET, SO_RCVBUF, 1 << 20);
	set(b, SOL_SOCKET, SO_PEEK_OFF, is_long ? 3 : -1);
	check(fill(a, before) == before && send(a, "!", 1, MSG_OOB) == 1);
	check(fill(a, after) == after);
	if (fin)
		check(shutdown(a, SHUT_WR) == 0);
	while (ioctl(a, SIOCOUTQ, &unacked) == 0 && unacked)
		zdtm_nap();
	while (fin && info_of(b).tcpi_state != TCP_CLOSE_WAIT)
		zdtm_nap();
	if (is_read)
		check(recv(b, &c, 1, MSG_OOB) == 1 && c == '!');

	zdtm_park();

	check(get(b, SOL_SOCKET, SO_PEEK_OFF) == (is_long ? 3 : -1));
	check(get(b, SOL_SOCKET, SO_OOBINLINE) == is_inline);
	check(at_mark(b) == !before);
	drain(b, before);
	check(at_mark(b));
	if (is_inline)
		check(read(b, &c, 1) == 1 && c == '!');
	else if (is_read)
		check(recv(b, &c, 1, MSG_OOB) < 0 && errno == EINVAL);
	else
		check(recv(b, &c, 1, MSG_OOB) == 1 && c == '!');
	drain(b, after);
	check(!after || !at_mark(b));
	if (fin)
		check(at_end(b));
	else
		talk(a, b);
	talk(b, a);
	return zdtm_pass();
}

static int finish(const char *what)
{
	size_t to_a = 0, to_b = 0;
	bool both = strcmp(what, "fin_wait1") != 0;

	if (!strcmp(what, "last_ack")) {
		end(a, TCP_FIN_WAIT1);
		check(at_end(b));
		to_a = fill(b, SIZE_MAX);
		end(b, TCP_LAST_ACK);
	} else {
		to_b = fill(a, SIZE_MAX);
		end(a, TCP_FIN_WAIT1);
	}
	if (!strcmp(what, "closing")) {
		to_a = fill(b, SIZE_MAX);
		end(b, TCP_FIN_WAIT1);
	}
	zdtm_park();
	ended(to_a, to_b, both);
	return zdtm_pass();
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[2] : "idle";
	struct tcp_info before, after;
	bool flies = !strcmp(what, "flight");
	size_t to_a = 0, to_b = 0;
	unsigned port = 0;

	signal(SIGPIPE, SIG_IGN);
	ends_make(argv[1]);
	talk(a, b);
	talk(b, a);
	set(a, SOL_SOCKET, SO_KEEPALIVE, 1);
	set(a, IPPROTO_TCP, TCP_KEEPIDLE, 55);
	set(a, SOL_SOCKET, SO_REUSEADDR, 1);
	set(b, IPPROTO_TCP, TCP_NODELAY, 1);
	if (!strcmp(what, "fin_wait1") || !strcmp(what, "closing") || !strcmp(what, "last_ack"))
		return finish(what);
	if (!strncmp(what, "urgent", 6))
		return urgent(what + 6);
	if (!strcmp(what, "queued") || flies)
		to_a = fill(b, 30000), to_b = fill(a, 50);
	if (!strcmp(what, "full"))
		to_b = fill(a, SIZE_MAX);
	if (!strncmp(what, "half", 4) || !strcmp(what, "both")) {
		to_b = fill(a, 1000);
		check(shutdown(a, SHUT_WR) == 0);
		if (strcmp(what, "half")) {
			drain(b, to_b);
			to_b = 0;
			check(at_end(b));
		}
		if (!strcmp(what, "both")) {
			check(shutdown(b, SHUT_WR) == 0 && at_end(a));
			while (info_of(b).tcpi_state != TCP_CLOSE)
				zdtm_nap();
		}
	}
	if (!strcmp(what, "deaf"))
		check(shutdown(a, SHUT_RD) == 0);
	zdtm_nap(); /* acknowledgements are on their way */
	before = info_of(a);
	if (flies)
		port = fly();

	zdtm_park();

	if (flies)
		land(port);
	after = info_of(a);
	check(get(a, SOL_SOCKET, SO_KEEPALIVE) == 1 && get(a, IPPROTO_TCP, TCP_KEEPIDLE) == 55);
	check(get(a, SOL_SOCKET, SO_REUSEADDR) == 1 && get(b, SOL_SOCKET, SO_REUSEADDR) == 0);
	check(get(b, IPPROTO_TCP, TCP_NODELAY) == 1 && get(a, IPPROTO_TCP, TCP_NODELAY) == 0);
	check(get(a, SOL_SOCKET, SO_ERROR) == 0 && get(b, SOL_SOCKET, SO_ERROR) == 0);
	if (strcmp(what, "both")) {
		check(after.tcpi_options == before.tcpi_options);
		check(after.tcpi_snd_wscale == before.tcpi_snd_wscale);
		check(after.tcpi_rcv_wscale == before.tcpi_rcv_wscale);
	}
	drain(a, to_a);
	drain(b, to_b);
	if (!strcmp(what, "both")) {
		check(at_end(a) && at_end(b));
		return zdtm_pass();
	}
	if (!strcmp(what, "deaf")) {
		check(at_end(a));
		talk(a, b);
		return zdtm_pass();
	}
	if (!strncmp(what, "half", 4)) {
		check(at_end(b));
		check(write(a, "x", 1) < 0 && errno == EPIPE);
	} else {
		talk(a, b);
	}
	talk(b, a);
	to_a = fill(b, 100000);
	drain(a, to_a);
	close(b);
	check(at_end(a));
	return zdtm_pass();
}
