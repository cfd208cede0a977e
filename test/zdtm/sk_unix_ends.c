/*
 * Ends of unix sockets that are no more what they were, with something waiting in them: shut down for reading, for
 * both, the other end closed with something unread (ECONNRESET waits to be told) or with messages without content on
 * their way; and SO_PEEK_OFF in the middle of a queue, some messages of which have no content.
 *
 *	sk_unix_ends stream|seqpacket|dgram
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "zdtm.h"

static int type;

static void pair(int ends[2])
{
	check(socketpair(AF_UNIX, type, 0, ends) == 0);
}

static void say(int fd, const char *text)
{
	check(send(fd, text, strlen(text), 0) == (ssize_t)strlen(text));
}

static void hear(int fd, const char *text)
{
	char buf[16] = "";

	check(recv(fd, buf, sizeof(buf) - 1, MSG_DONTWAIT) == (ssize_t)strlen(text));
	check(!strcmp(buf, text));
}

static bool at_end(int fd)
{
	char c;

	return recv(fd, &c, 1, MSG_DONTWAIT) == 0;
}

static bool is_deaf(int fd)
{
	return send(fd, "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE;
}

/* Of a stream what waited comes first, else the error, once; then the end. */
static void reset_check(int fd, const char *text)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char c;

	check(poll(&p, 1, 0) == 1 && p.revents & POLLERR);
	if (*text && type == SOCK_STREAM)
		hear(fd, text);
	check(recv(fd, &c, 1, MSG_DONTWAIT) < 0 && errno == ECONNRESET);
	if (*text && type != SOCK_STREAM)
		hear(fd, text);
	check(at_end(fd) && is_deaf(fd));
}

static int option(int fd, int name)
{
	int value = -1;

	check(getsockopt(fd, SOL_SOCKET, name, &value, &(socklen_t){ sizeof(value) }) == 0);
	return value;
}

int main(int argc, char **argv)
{
	int rd[2], both[2], reset[2], silent[2], peek[2], over[2], off = 3;
	char buf[8] = "";

	check(argc == 2);
	type = !strcmp(argv[1], "stream")  ? SOCK_STREAM
	       : !strcmp(argv[1], "dgram") ? SOCK_DGRAM
	                                   : SOCK_SEQPACKET;
	pair(rd), pair(both), pair(reset), pair(silent), pair(peek), pair(over);
	say(rd[1], "first");
	check(shutdown(rd[0], SHUT_RD) == 0);
	say(both[1], "first");
	check(shutdown(both[0], SHUT_RDWR) == 0);
	say(reset[0], "unread");
	say(reset[1], "last");
	say(silent[0], "unread");
	check(close(reset[1]) == 0 && close(silent[1]) == 0);
	if (type != SOCK_STREAM)
		check(send(peek[1], "", 0, 0) == 0);
	say(peek[1], "one");
	say(peek[1], "two");
	if (type != SOCK_STREAM) {
		say(peek[1], "");
		say(peek[1], "three");
		for (int i = 0; i < 4; i++)
			say(over[1], i % 2 ? "" : "x");
	}
	check(type == SOCK_DGRAM ? shutdown(over[0], SHUT_RD) == 0 : close(over[1]) == 0);
	check(setsockopt(peek[0], SOL_SOCKET, SO_PEEK_OFF, &off, sizeof(off)) == 0);

	zdtm_park();

	hear(rd[0], "first");
	check(type == SOCK_DGRAM || is_deaf(rd[1]));
	say(rd[0], "still");
	hear(rd[1], "still");
	hear(both[0], "first");
	check(is_deaf(both[0]) && (type == SOCK_DGRAM || (is_deaf(both[1]) && at_end(both[1]))));
	if (type != SOCK_DGRAM) { /* there nobody is told */
		reset_check(reset[0], "last");
		reset_check(silent[0], "");
	}
	check(option(peek[0], SO_PEEK_OFF) == 3);
	if (type != SOCK_STREAM)
		hear(peek[0], "");
	check(setsockopt(peek[0], SOL_SOCKET, SO_PEEK_OFF, &off, sizeof(off)) == 0);
	check(recv(peek[0], buf, 3, MSG_PEEK) == 3 && !strcmp(buf, "two"));
	hear(peek[0], type == SOCK_STREAM ? "onetwo" : "one");
	if (type != SOCK_STREAM) {
		hear(peek[0], "two");
		hear(peek[0], "");
		hear(peek[0], "three");
		for (int i = 0; i < 4; i++)
			hear(over[0], i % 2 ? "" : "x");
	}
	check(type == SOCK_DGRAM ? recv(over[0], buf, 1, MSG_DONTWAIT) < 0 : at_end(over[0]));
	return zdtm_pass();
}
