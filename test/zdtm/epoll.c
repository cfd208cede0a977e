/*
 * An epoll instance keeps what it watches: events, data, nested ones, and files
 * whose number was closed or taken anew while a duplicate keeps them alive.
 */
#include <fcntl.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "zdtm.h"

static void add(int ep, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event ev = { .events = events, .data.u64 = data };

	check(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0);
}

/* Make FD readable, see that EP says so with DATA, empty it. */
static void rings(int ep, int fd, uint64_t data)
{
	struct epoll_event ev[8];
	uint64_t v = 1;

	check(write(fd, &v, sizeof(v)) == sizeof(v));
	check(epoll_wait(ep, ev, 8, 1000) == 1);
	check(ev[0].events == EPOLLIN && ev[0].data.u64 == data);
	check(read(fd, &v, sizeof(v)) == sizeof(v));
}

int main(void)
{
	int ep = epoll_create1(EPOLL_CLOEXEC), inner = epoll_create1(0);
	int plain = eventfd(0, 0), once = eventfd(0, 0), in = eventfd(0, 0);
	int closed = eventfd(0, 0), replaced = eventfd(0, 0), kept[2], number;
	struct epoll_event ev[8];
	uint64_t v = 1;

	add(ep, plain, EPOLLIN, 0x123456789abcdef0);
	add(ep, once, EPOLLIN | EPOLLONESHOT, 2);
	add(inner, in, EPOLLIN | EPOLLET, 3);
	add(ep, inner, EPOLLIN, 4);
	add(ep, closed, EPOLLIN, 5);
	add(ep, replaced, EPOLLIN, 6);
	kept[0] = dup(closed);
	kept[1] = dup(replaced);
	check(close(closed) == 0);
	number = eventfd(0, 0);
	check(number == closed && dup2(number, replaced) == replaced && close(number) == 0);
	add(ep, replaced, EPOLLIN, 7);

	zdtm_park();

	check(fcntl(ep, F_GETFD) == FD_CLOEXEC);
	check(epoll_wait(ep, ev, 8, 0) == 0);
	rings(ep, plain, 0x123456789abcdef0);
	rings(ep, once, 2);
	check(write(once, &v, sizeof(v)) == sizeof(v) && epoll_wait(ep, ev, 8, 0) == 0);
	rings(ep, in, 4);
	rings(ep, kept[0], 5);
	rings(ep, kept[1], 6);
	rings(ep, replaced, 7);
	check(fcntl(closed, F_GETFD) < 0);
	return zdtm_pass();
}
