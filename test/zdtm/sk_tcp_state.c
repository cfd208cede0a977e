/*
 * One end of a connection in each of its states, with unread data; the other end is a child's, or somebody's who is
 * outside of the tree:
 *
 *	sk_tcp_state STATE ADDRESS [PORT [DEVICE [OWN]]]
 *	                                            the end that is looked at, bound to a device and an IPv4 address of
 *	                                            its own; without a port the other is a child's
 *	sk_tcp_state peer ADDRESS PORT              the other, which listens
 *
 * STATE: established, fin_wait1, fin_wait2, close_wait, closing, last_ack. They tell each other by files when it
 * goes on.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zdtm.h"

#define FROM_PEER 5000

enum { PEER_ENDS = 1, OWN_ENDS = 2, FULL = 4 };

static const struct state {
	const char *name;
	int number, what;
} states[] = {
	{ "established", TCP_ESTABLISHED, 0 },
	{ "fin_wait1", TCP_FIN_WAIT1, OWN_ENDS | FULL },
	{ "fin_wait2", TCP_FIN_WAIT2, OWN_ENDS },
	{ "close_wait", TCP_CLOSE_WAIT, PEER_ENDS },
	{ "closing", TCP_CLOSING, OWN_ENDS | PEER_ENDS | FULL },
	{ "last_ack", TCP_LAST_ACK, OWN_ENDS | PEER_ENDS | FULL },
};

static struct sockaddr_storage at;
static socklen_t at_len;

static void say(const char *file)
{
	check(close(open(file, O_CREAT | O_WRONLY, 0600)) == 0);
}

static void await(const char *file)
{
	while (access(file, F_OK) < 0)
		zdtm_nap();
}

static void address_find(const char *host, const char *port)
{
	const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM };
	struct addrinfo *found;

	check(getaddrinfo(host, port, &hints, &found) == 0);
	at_len = found->ai_addrlen;
	memcpy(&at, found->ai_addr, at_len);
	freeaddrinfo(found);
}

static char byte_at(size_t i)
{
	return (char)(i * 7 + i / 251);
}

/* What follows the first SUM bytes, up to MAX or as much as goes; how many there are then. */
static size_t fill(int fd, size_t sum, size_t max)
{
	char buf[4096];

	for (ssize_t n = 1; n > 0 && sum<max; sum += n> 0 ? (size_t)n : 0) {
		size_t size = max - sum < sizeof(buf) ? max - sum : sizeof(buf);

		for (size_t i = 0; i < size; i++)
			buf[i] = byte_at(sum + i);
		n = send(fd, buf, size, MSG_DONTWAIT);
		check(n > 0 || errno == EAGAIN);
	}
	return sum;
}

/* Until the window of the other is shut, and nothing more goes in. */
static size_t fill_up(int fd)
{
	size_t sum = 0, before;
	int unacked, unsent;

	do {
		before = sum;
		sum = fill(fd, sum, SIZE_MAX);
		zdtm_nap();
		check(ioctl(fd, SIOCOUTQ, &unacked) == 0 && ioctl(fd, SIOCOUTQNSD, &unsent) == 0);
	} while (sum > before || !unsent || unacked != unsent);
	return sum;
}

static void drain(int fd, size_t size)
{
	char buf[4096];

	for (size_t sum = 0; sum < size;) {
		ssize_t n = recv(fd, buf, size - sum < sizeof(buf) ? size - sum : sizeof(buf), 0);

		check(n > 0);
		for (ssize_t i = 0; i < n; i++)
			check(buf[i] == byte_at(sum++));
	}
}

static bool at_end(int fd)
{
	char c;

	return recv(fd, &c, 1, 0) == 0;
}

static void talk(int from, int to)
{
	char c = 0;

	check(from < 0 || send(from, "x", 1, 0) == 1);
	check(to < 0 || (recv(to, &c, 1, 0) == 1 && c == 'x'));
}

/* ---- the other end ---- */

static int peer(void)
{
	int listener = socket(at.ss_family, SOCK_STREAM, 0), fd;
	size_t sent;
	int ends;
	FILE *f;

	check(listener >= 0);
	check(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)) == 0);
	/* A size that was asked for does not grow, so the window stays shut. */
	check(setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &(int){ 65536 }, sizeof(int)) == 0);
	check(bind(listener, (struct sockaddr *)&at, at_len) == 0 && listen(listener, 1) == 0);
	check(getsockname(listener, (struct sockaddr *)&at, &at_len) == 0);
	say("listens");
	fd = accept(listener, NULL, NULL);
	check(fd >= 0 && close(listener) == 0);
	check(fill(fd, 0, FROM_PEER) == FROM_PEER);
	await("peer.goes");
	if (access("peer.ends", F_OK) == 0)
		check(shutdown(fd, SHUT_WR) == 0);
	say("peer.went");
	await("peer.reads");
	f = fopen("peer.reads", "re");
	check(f && fscanf(f, "%zu %d", &sent, &ends) == 2 && fclose(f) == 0);
	drain(fd, sent);
	if (ends & OWN_ENDS)
		check(at_end(fd));
	else
		talk(-1, fd);
	if (!(ends & PEER_ENDS))
		talk(fd, -1);
	check(close(fd) == 0);
	say("peer.ok");
	return 0;
}

/* ---- the end that is looked at ---- */

static struct tcp_info info_of(int fd)
{
	struct tcp_info info = {};

	check(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &(socklen_t){ sizeof(info) }) == 0);
	return info;
}

static int connection(const char *device, const char *own)
{
	struct sockaddr_in from = { .sin_family = AF_INET };
	int fd = socket(at.ss_family, SOCK_STREAM, 0);

	check(fd >= 0);
	if (device)
		check(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device,
		                 (socklen_t)strlen(device)) == 0);
	if (own)
		check(inet_pton(AF_INET, own, &from.sin_addr) == 1 &&
		      bind(fd, (struct sockaddr *)&from, sizeof(from)) == 0);
	check(connect(fd, (struct sockaddr *)&at, at_len) == 0);
	return fd;
}

static void peer_goes(int fd, bool ends)
{
	if (ends)
		say("peer.ends");
	say("peer.goes");
	await("peer.went");
	while (recv(fd, NULL, FROM_PEER, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT) < FROM_PEER)
		zdtm_nap();
}

/* What it has sent. */
static size_t bring(int fd, const struct state *s)
{
	bool first = s->number == TCP_LAST_ACK; /* the peer ends first */
	size_t sent;

	if (first)
		peer_goes(fd, true);
	while (first && info_of(fd).tcpi_state != TCP_CLOSE_WAIT)
		zdtm_nap();
	sent = s->what & FULL ? fill_up(fd) : fill(fd, 0, 1000);
	if (s->what & OWN_ENDS)
		check(shutdown(fd, SHUT_WR) == 0);
	if (!first)
		peer_goes(fd, s->what & PEER_ENDS);
	while (info_of(fd).tcpi_state != s->number)
		zdtm_nap();
	return sent;
}

/* Whether it was told before or after that it was the end does not tell any more. */
static bool in_state(int fd, const struct state *s)
{
	int now = info_of(fd).tcpi_state;

	return now == s->number || (s->number == TCP_CLOSING && now == TCP_LAST_ACK);
}

/* On the loopback device the size of a segment depends on the window that was seen, which may be wider now. */
static void negotiated_same(const struct tcp_info *a, const struct tcp_info *b, bool size)
{
	check(a->tcpi_options == b->tcpi_options);
	check(a->tcpi_snd_wscale == b->tcpi_snd_wscale && a->tcpi_rcv_wscale == b->tcpi_rcv_wscale);
	check(!size || a->tcpi_snd_mss == b->tcpi_snd_mss);
}

static void finish(int fd, const struct state *s, size_t sent)
{
	FILE *f = fopen("peer.told", "we");

	drain(fd, FROM_PEER);
	if (s->what & PEER_ENDS)
		check(at_end(fd));
	if (s->what & OWN_ENDS)
		check(send(fd, "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE);
	else
		talk(fd, -1);
	check(f && fprintf(f, "%zu %d", sent, s->what) > 0 && fclose(f) == 0);
	check(rename("peer.told", "peer.reads") == 0);
	if (!(s->what & PEER_ENDS)) {
		talk(-1, fd);
		check(at_end(fd));
	}
	await("peer.ok");
}

static int looked_at(const struct state *s, const char *device, const char *own, bool own_peer)
{
	struct tcp_info before, after;
	pid_t child = 0;
	size_t sent;
	int fd;

	if (own_peer) {
		child = fork();
		check(child >= 0);
		if (child == 0)
			_exit(peer());
	}
	await("listens");
	fd = connection(device, own);
	sent = bring(fd, s);
	before = info_of(fd);

	zdtm_park();

	after = info_of(fd);
	/* A restored peer may have more room, and takes what was behind its window. */
	if (!in_state(fd, s) && !(own_peer && s->what & FULL)) {
		dprintf(STDERR_FILENO, "state %d, was %d, with %u of %zu bytes unacknowledged\n",
		        after.tcpi_state, before.tcpi_state, after.tcpi_unacked, sent);
		return 1;
	}
	negotiated_same(&before, &after, !own_peer);
	finish(fd, s, sent);
	check(!child || waitpid(child, NULL, 0) == child);
	return zdtm_pass();
}

int main(int argc, char **argv)
{
	check(argc > 2);
	address_find(argv[2], argc > 3 ? argv[3] : "7778");
	if (!strcmp(argv[1], "peer"))
		return peer();
	for (size_t i = 0; i < sizeof(states) / sizeof(*states); i++)
		if (!strcmp(states[i].name, argv[1]))
			return looked_at(&states[i], argc > 4 ? argv[4] : NULL,
			                 argc > 5 ? argv[5] : NULL, argc == 3);
	check(false);
}
