/*
 * An epoll instance keeps what it watches: events, data, nested ones, and files
 * whose number was closed or taken anew while a duplicate keeps them alive.
 */
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
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

#define MANY 600

/* So many that rows are not searched one by one: each seventh number means another file now. */
static int many(void)
{
	int ep = epoll_create1(0), fds[MANY], kept[MANY];

	for (int i = 0; i < MANY; i++) {
		fds[i] = eventfd(0, 0);
		add(ep, fds[i], EPOLLIN, (uint64_t)i);
	}
	for (int i = 0; i < MANY; i++) {
		kept[i] = i % 7 ? fds[i] : dup(fds[i]);
		if (i % 7 == 0)
			check(dup2(fds[i + 1], fds[i]) == fds[i]);
	}
	check(close(fds[7]) == 0 && close(fds[14]) == 0);
	fds[7] = eventfd(0, 0);
	add(ep, fds[7], EPOLLIN, MANY);

	zdtm_park();

	for (int i = 0; i < MANY; i++)
		rings(ep, kept[i], (uint64_t)i);
	rings(ep, fds[7], MANY);
	return zdtm_pass();
}

/* Rows that wake one waiter alone; and a file that only a child still has open. */
static int exclusive(void)
{
	int one = epoll_create1(0), two = epoll_create1(0), fd = eventfd(0, 0),
	    gone = eventfd(0, 0);
	struct epoll_event ev = { .events = EPOLLIN };
	pid_t pid;
	int status;

	add(one, fd, EPOLLIN | EPOLLEXCLUSIVE, 1);
	add(two, fd, EPOLLIN | EPOLLEXCLUSIVE | EPOLLET, 2);
	add(one, gone, EPOLLIN, 3);
	pid = fork();
	check(pid >= 0);
	if (pid == 0) {
		while (!zdtm_released())
			zdtm_nap();
		_exit(fcntl(gone, F_GETFD) < 0);
	}
	check(close(gone) == 0);

	zdtm_park();

	check(epoll_ctl(one, EPOLL_CTL_MOD, fd, &ev) <
	      0); /* what is exclusive cannot be modified */
	check(epoll_ctl(two, EPOLL_CTL_MOD, fd, &ev) < 0);
	check(epoll_ctl(one, EPOLL_CTL_DEL, fd, NULL) == 0);
	rings(two, fd, 2);
	check(epoll_ctl(one, EPOLL_CTL_DEL, gone, NULL) < 0);
	check(waitpid(pid, &status, 0) == pid && status == 0);
	return zdtm_pass();
}

static void fires(int ep, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event ev;

	add(ep, fd, events | EPOLLONESHOT, data);
	check(epoll_wait(ep, &ev, 1, 0) == 1 && ev.data.u64 == data);
}

/* Rows that have fired once report nothing, also no hang-up; and nobody else's event is lost. */
static int fired(void)
{
	int ep = epoll_create1(0), event = eventfd(1, 0), other = eventfd(1, 0), pair[2], ends[2];
	struct epoll_event ev = { .events = EPOLLIN | EPOLLONESHOT, .data.u64 = 2 };
	char c;

	check(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && pipe(ends) == 0);
	check(write(pair[1], "x", 1) == 1 && write(ends[1], "xx", 2) == 2);
	fires(ep, event, EPOLLIN, 1);
	fires(ep, pair[0], EPOLLIN | EPOLLET, 2);
	fires(ep, ends[0], EPOLLIN, 3);
	check(read(pair[0], &c, 1) == 1);
	add(ep, other, EPOLLIN | EPOLLONESHOT, 4);

	zdtm_park();

	check(close(pair[1]) == 0 && close(ends[1]) == 0);
	check(epoll_wait(ep, &ev, 1, 0) == 1 && ev.data.u64 == 4);
	check(epoll_wait(ep, &ev, 1, 0) == 0);
	ev = (struct epoll_event){ .events = EPOLLIN | EPOLLONESHOT, .data.u64 = 5 };
	check(epoll_ctl(ep, EPOLL_CTL_MOD, pair[0], &ev) == 0);
	check(epoll_wait(ep, &ev, 1, 0) == 1 && ev.data.u64 == 5 && ev.events & EPOLLHUP);
	check(epoll_wait(ep, &ev, 1, 0) == 0);
	return zdtm_pass();
}

/* Edges that nobody was told of yet are told; what comes afterwards, too. */
static int edges(void)
{
	int ep = epoll_create1(0), ready = eventfd(1, 0), idle = eventfd(0, 0);
	struct epoll_event ev[4];
	uint64_t v = 1;

	add(ep, ready, EPOLLIN | EPOLLET, 1);
	add(ep, idle, EPOLLIN | EPOLLET, 2);

	zdtm_park();

	check(epoll_wait(ep, ev, 4, 0) == 1 && ev[0].data.u64 == 1);
	check(epoll_wait(ep, ev, 4, 0) == 0);
	check(write(ready, &v, sizeof(v)) == sizeof(v) && write(idle, &v, sizeof(v)) == sizeof(v));
	check(epoll_wait(ep, ev, 4, 0) == 2 && epoll_wait(ep, ev, 4, 0) == 0);
	return zdtm_pass();
}

int main(int argc, char **argv)
{
	int ep = epoll_create1(EPOLL_CLOEXEC), inner = epoll_create1(0);
	int plain = eventfd(0, 0), once = eventfd(0, 0), in = eventfd(0, 0);
	int closed = eventfd(0, 0), replaced = eventfd(0, 0), kept[2], number;
	struct epoll_event ev[8];
	uint64_t v = 1;

	if (argc > 1 && !strcmp(argv[1], "fired"))
		return fired();
	if (argc > 1 && !strcmp(argv[1], "edges"))
		return edges();
	if (argc > 1)
		return strcmp(argv[1], "many") ? exclusive() : many();
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
