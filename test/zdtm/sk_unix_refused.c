/*
 * Unix sockets that are not carried, or by policy: an end outside, of a pair or of a
 * server; what was sent before it was accepted, or by who has closed since; out-of-band data; an epoll instance
 * that is in flight alone.
 *
 *	sk_unix_refused outside|waiting|left|urgent|epoll|closed|reconnect|inherit
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zdtm.h"

static struct sockaddr_un name = { .sun_family = AF_UNIX };

static int listener(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	check(fd >= 0 && bind(fd, (struct sockaddr *)&name, sizeof(name)) == 0);
	check(listen(fd, 5) == 0);
	return fd;
}

static int client(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	check(fd >= 0);
	while (connect(fd, (struct sockaddr *)&name, sizeof(name)) < 0)
		zdtm_nap();
	return fd;
}

/* Answers every connection with its number, and keeps it. */
static void serve(int keep)
{
	int fd = keep < 0 ? listener() : -1;

	check(setsid() > 0);
	for (char c = '1';; c++) {
		int conn = fd < 0 ? -1 : accept(fd, NULL, NULL);

		if (fd < 0)
			pause();
		else
			check(send(conn, &c, 1, MSG_NOSIGNAL) == 1);
	}
}

/* A grandchild that is nobody's child any more. */
static void outside(int keep, int drop)
{
	pid_t pid = fork();

	if (pid == 0) {
		if (fork() == 0) {
			close(drop);
			serve(keep);
		}
		_exit(0);
	}
	check(waitpid(pid, NULL, 0) == pid);
}

static void send_away(int sock, int fd)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { .head = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec iov = { &(char){ 'x' }, 1 };
	struct msghdr msg = { .msg_iov = &iov,
		              .msg_iovlen = 1,
		              .msg_control = &control,
		              .msg_controllen = sizeof(control) };

	memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	check(sendmsg(sock, &msg, 0) == 1 && close(fd) == 0);
}

int main(int argc, char **argv)
{
	int pair[2] = { -1, -1 };
	char c = 0;

	check(argc == 2);
	check(getcwd(name.sun_path, sizeof(name.sun_path) - 8) && strcat(name.sun_path, "/name"));
	if (!strcmp(argv[1], "waiting")) {
		listener();
		check(send(client(), "x", 1, 0) == 1);
	} else if (!strcmp(argv[1], "left")) {
		listener();
		check(close(client()) == 0);
	} else if (!strcmp(argv[1], "reconnect")) {
		outside(-1, -1);
		pair[0] = client();
		check(recv(pair[0], &c, 1, 0) == 1 && c == '1');
	} else if (!strcmp(argv[1], "epoll")) {
		check(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
		send_away(pair[1], epoll_create1(0));
	} else if (!strcmp(argv[1], "inherit")) {
		check(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	} else {
		check(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
		check(send(pair[1], "xy", 2, argv[1][0] == 'u' ? MSG_OOB : 0) == 2);
	}
	if (!strcmp(argv[1], "outside") || !strcmp(argv[1], "closed") ||
	    !strcmp(argv[1], "inherit")) {
		outside(pair[1], pair[0]);
		check(close(pair[1]) == 0);
	}
	zdtm_park();
	if (!strcmp(argv[1], "closed"))
		check(recv(pair[0], &c, 1, 0) == 1 && c == 'x' && recv(pair[0], &c, 1, 0) == 1 &&
		      recv(pair[0], &c, 1, 0) == 0 && send(pair[0], &c, 1, MSG_NOSIGNAL) < 0 &&
		      errno == EPIPE);
	if (!strcmp(argv[1], "inherit"))
		check(recv(pair[0], &c, 1, 0) == 1 && c == 'n');
	if (!strcmp(argv[1], "reconnect"))
		check(recv(pair[0], &c, 1, 0) == 1 && c == '2');
	return zdtm_pass();
}
