/*
 * Pairs of unix sockets: queues of both ends, borders of messages, closed and
 * shut down ends, options, a fresh socket. The argument is the type.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "zdtm.h"

static char buf[300000];

static int option(int fd, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	check(getsockopt(fd, SOL_SOCKET, name, &value, &len) == 0);
	return value;
}

/* LEN bytes are all that waits, in one piece or as one message. */
static void receive(int fd, const char *want, ssize_t len)
{
	check(recv(fd, buf, sizeof(buf), MSG_DONTWAIT) == len);
	check(!memcmp(buf, want, (size_t)len));
}

static void empty(int fd)
{
	check(recv(fd, buf, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
}

int main(int argc, char **argv)
{
	bool stream = argc < 2 || !strcmp(argv[1], "stream");
	int type = stream ? SOCK_STREAM : !strcmp(argv[1], "dgram") ? SOCK_DGRAM : SOCK_SEQPACKET;
	struct timeval wait = { 3, 500000 };
	int pair[2], orphan[2], shut[2], fresh, size = 60000, fl;

	check(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair) == 0);
	check(socketpair(AF_UNIX, type, 0, orphan) == 0 && socketpair(AF_UNIX, type, 0, shut) == 0);
	fresh = socket(AF_UNIX, type, 0);
	check(send(pair[0], "one", 3, 0) == 3 && send(pair[0], "two", 3, 0) == 3);
	check(send(pair[1], buf, 100000, 0) == 100000);
	check(setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) == 0);
	check(setsockopt(pair[1], SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) == 0);
	check(fcntl(pair[1], F_SETFL, O_NONBLOCK) == 0);
	check(send(orphan[0], "last", 4, 0) == 4 && close(orphan[0]) == 0);
	check(send(shut[0], "end", 3, 0) == 3 && shutdown(shut[0], SHUT_WR) == 0);
	fl = fcntl(pair[0], F_GETFL);

	zdtm_park();

	check(fcntl(pair[0], F_GETFD) == FD_CLOEXEC && fcntl(orphan[1], F_GETFD) == 0);
	check(fcntl(pair[0], F_GETFL) == fl && (fcntl(pair[1], F_GETFL) & O_NONBLOCK));
	check(option(pair[0], SO_TYPE) == type && option(fresh, SO_TYPE) == type);
	check(option(pair[1], SO_SNDBUF) == 2 * size &&
	      option(pair[0], SO_SNDBUF) == option(fresh, SO_SNDBUF));
	wait = (struct timeval){};
	check(getsockopt(pair[1], SOL_SOCKET, SO_RCVTIMEO, &wait, &(socklen_t){ sizeof(wait) }) ==
	      0);
	check(wait.tv_sec == 3 && wait.tv_usec == 500000);
	receive(pair[1], stream ? "onetwo" : "one", stream ? 6 : 3);
	if (!stream)
		receive(pair[1], "two", 3);
	empty(pair[1]);
	memset(buf, 1, sizeof(buf));
	check(recv(pair[0], buf, sizeof(buf), 0) == 100000 && buf[99999] == 0);
	empty(pair[0]);
	check(send(pair[1], "back", 4, 0) == 4);
	receive(pair[0], "back", 4);

	receive(orphan[1], "last", 4);
	if (type == SOCK_DGRAM)
		check(send(orphan[1], "x", 1, MSG_NOSIGNAL) < 0 && errno == ECONNREFUSED);
	else
		check(recv(orphan[1], buf, 1, 0) == 0 &&
		      send(orphan[1], "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE);

	receive(shut[1], "end", 3);
	if (type == SOCK_DGRAM) /* the other end is not told */
		empty(shut[1]);
	else
		check(recv(shut[1], buf, 1, 0) == 0);
	check(send(shut[0], "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE);
	check(send(shut[1], "still", 5, 0) == 5);
	receive(shut[0], "still", 5);
	return zdtm_pass();
}
