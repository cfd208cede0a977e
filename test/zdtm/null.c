/* Descriptors of kinds that no room owns, in an epoll instance and beside others: some are let go by policy. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/stat.h>
#include <unistd.h>

#include "zdtm.h"

static void add(int ep, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };

	check(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0);
}

/* "null" or "close": what became of the sockets. */
int main(int argc, char **argv)
{
	int ep = epoll_create1(0), xdp = socket(AF_XDP, SOCK_RAW, 0);
	int again = dup(xdp), event = eventfd(1, 0);
	struct epoll_event ev[2];
	struct stat st;
	bool null = argc > 1 && !strcmp(argv[1], "null");

	check(ep >= 0 && xdp >= 0 && again >= 0 && event >= 0);
	add(ep, xdp);
	add(ep, event);
	fcntl(again, F_SETFD, FD_CLOEXEC);

	zdtm_park();

	check(epoll_wait(ep, ev, 2, 0) == 1 && ev[0].data.fd == event);
	if (!null) {
		check(fcntl(xdp, F_GETFD) < 0 && errno == EBADF);
		check(fcntl(again, F_GETFD) < 0 && errno == EBADF);
		return zdtm_pass();
	}
	check(fstat(xdp, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3));
	check(fcntl(again, F_GETFD) == FD_CLOEXEC);
	check((fcntl(xdp, F_GETFL) & O_ACCMODE) == O_RDWR && write(again, "x", 1) == 1);
	return zdtm_pass();
}
