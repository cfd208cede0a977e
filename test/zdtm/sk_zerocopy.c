/*
 * What is told by the error queue of a connection and was not read: sk_zerocopy. Sends with
 * MSG_ZEROCOPY; that they have left is told there.
 */
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "zdtm.h"

int main(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(at);
	int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1, a, b;
	struct pollfd p;
	char c = 0;

	check(listener >= 0 && bind(listener, (struct sockaddr *)&at, len) == 0);
	check(listen(listener, 1) == 0 && getsockname(listener, (struct sockaddr *)&at, &len) == 0);
	a = socket(AF_INET, SOCK_STREAM, 0);
	check(setsockopt(a, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof(on)) == 0);
	check(connect(a, (struct sockaddr *)&at, len) == 0);
	b = accept(listener, NULL, NULL);
	check(b >= 0 && send(a, "x", 1, MSG_ZEROCOPY) == 1 && read(b, &c, 1) == 1);
	p = (struct pollfd){ .fd = a };
	check(poll(&p, 1, 10000) == 1 && p.revents == POLLERR);
	close(listener);

	zdtm_park();

	check(send(a, "y", 1, 0) == 1 && read(b, &c, 1) == 1 && c == 'y');
	check(send(b, "z", 1, 0) == 1 && read(a, &c, 1) == 1 && c == 'z');
	return zdtm_pass();
}
