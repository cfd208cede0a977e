/*
 * A connection of MPTCP, both ends: policy lets it go (--tcp-close), and both
 * find it ended; a listener beside it is served on.
 *
 *	sk_tcp_mptcp [stay]   stay: nothing happened to it
 */
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "zdtm.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static struct sockaddr_in at = { .sin_family = AF_INET };
static socklen_t len = sizeof(at);

static int client_make(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);

	check(fd >= 0 && connect(fd, (struct sockaddr *)&at, len) == 0);
	return fd;
}

static void talk(int from, int to)
{
	char c = 0;

	check(write(from, "x", 1) == 1);
	check(read(to, &c, 1) == 1 && c == 'x');
}

/* The kernel tells of MPTCP only that, not how. */
static void is_over(int fd)
{
	char c;

	check(read(fd, &c, 1) <= 0);
	check(send(fd, "x", 1, MSG_NOSIGNAL) == -1 && (errno == EPIPE || errno == ECONNRESET));
}

int main(int argc, char **argv)
{
	int listener = socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP), a, b;

	check(listener >= 0);
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	check(bind(listener, (struct sockaddr *)&at, len) == 0 && listen(listener, 5) == 0);
	check(getsockname(listener, (struct sockaddr *)&at, &len) == 0);
	a = client_make();
	b = accept(listener, NULL, NULL);
	check(b >= 0);
	talk(a, b);

	zdtm_park();

	if (argc > 1) {
		talk(a, b);
		talk(b, a);
		return zdtm_pass();
	}
	is_over(a);
	is_over(b);
	close(a);
	close(b);
	a = client_make();
	b = accept(listener, NULL, NULL);
	check(b >= 0);
	talk(a, b);
	talk(b, a);
	return zdtm_pass();
}
