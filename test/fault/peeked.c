/*
 * Sockets with something in them, and options that a dump changes for a moment: they are what they were. With an
 * argument, always: until it is released nothing else is ever seen.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "zdtm.h"

static int get(int fd, int name)
{
	int value = -2;

	check(getsockopt(fd, SOL_SOCKET, name, &value, &(socklen_t){ sizeof(value) }) == 0);
	return value;
}

/* In a moment, if crtool has been killed. */
static void becomes(int fd, int name, int want)
{
	for (int i = 0; i < 5000 && get(fd, name) != want; i++)
		zdtm_nap();
	check(get(fd, name) == want);
}

static void never_changes(int fd)
{
	while (!zdtm_released()) {
		check(get(fd, SO_PASSCRED) == 0);
		check(get(fd, SO_PEEK_OFF) == 3);
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int pair[2], udp = socket(AF_INET, SOCK_DGRAM, 0);
	char buf[16];

	check(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	check(send(pair[0], "waits", 5, 0) == 5);
	check(setsockopt(pair[1], SOL_SOCKET, SO_PEEK_OFF, &(int){ 3 }, sizeof(int)) == 0);
	check(bind(udp, (struct sockaddr *)&at, sizeof(at)) == 0);
	check(getsockname(udp, (struct sockaddr *)&at, &(socklen_t){ sizeof(at) }) == 0);
	check(sendto(udp, "waits", 5, 0, (struct sockaddr *)&at, sizeof(at)) == 5);

	if (argc > 1) {
		zdtm_parked();
		never_changes(pair[1]);
	} else {
		zdtm_park();
	}

	becomes(pair[1], SO_PASSCRED, 0);
	becomes(pair[1], SO_PEEK_OFF, 3);
	becomes(udp, SO_PEEK_OFF, -1);
	check(recv(pair[1], buf, sizeof(buf), MSG_PEEK | MSG_DONTWAIT) == 2);
	check(recv(udp, buf, sizeof(buf), MSG_DONTWAIT) == 5);
	return zdtm_pass();
}
