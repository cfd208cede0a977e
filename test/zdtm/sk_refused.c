/* A socket of a family that is not carried: sk_refused FAMILY TYPE PROTOCOL */
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "zdtm.h"

/* A connection, both ends here, whose one end the kernel itself encrypts. -1: it cannot. */
static int tls(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);

	check(bind(listener, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(listener, 1) == 0);
	check(getsockname(listener, (struct sockaddr *)&at, &(socklen_t){ sizeof(at) }) == 0);
	check(connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0);
	check(accept(listener, NULL, NULL) >= 0);
	return setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", 3);
}

int main(int argc, char **argv)
{
	int fd;

	if (argc == 2 && !strcmp(argv[1], "tls"))
		fd = tls();
	else {
		check(argc == 4);
		fd = socket(atoi(argv[1]), atoi(argv[2]), atoi(argv[3]));
	}
	if (fd < 0)
		return 77;
	zdtm_park();
	check(fcntl(fd, F_GETFD) >= 0 || argc == 2);
	return zdtm_pass();
}
