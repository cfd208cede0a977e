/*
 * Descriptors in flight, between messages that bear none: a file that is open besides, an end of a pipe
 * that is open nowhere else, with who is told of it, a pair of sockets within a socket, which has
 * a message too, and a socket that is in flight to itself. And the sender's credentials.
 *
 *	sk_unix_flight stream|dgram|seqpacket
 */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zdtm.h"

#ifndef F_GETOWNER_UIDS
#define F_GETOWNER_UIDS 17
#endif

union control {
	char space[CMSG_SPACE(4 * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
	struct cmsghdr head;
};

static void give(int sock, const char *text, const int *fds, size_t n)
{
	union control control = {};
	struct iovec iov = { (char *)text, strlen(text) };
	struct msghdr msg = { .msg_iov = &iov,
		              .msg_iovlen = 1,
		              .msg_control = &control,
		              .msg_controllen = CMSG_SPACE(n * sizeof(int)) };

	control.head = (struct cmsghdr){ CMSG_LEN(n * sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
	memcpy(CMSG_DATA(&control.head), fds, n * sizeof(int));
	check(sendmsg(sock, &msg, 0) == (ssize_t)strlen(text));
}

/* Up to N descriptors; the pid of the sender. */
static pid_t take(int sock, const char *text, int *fds, size_t n)
{
	char buf[16] = "";
	union control control = {};
	struct iovec iov = { buf, strlen(text) };
	struct msghdr msg = { .msg_iov = &iov,
		              .msg_iovlen = 1,
		              .msg_control = &control,
		              .msg_controllen = sizeof(control) };
	pid_t pid = 0;
	size_t got = 0;

	check(recvmsg(sock, &msg, MSG_DONTWAIT) == (ssize_t)strlen(text) && !strcmp(buf, text));
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		struct ucred cred;

		if (c->cmsg_type == SCM_RIGHTS) {
			got = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
			check(got == n);
			memcpy(fds, CMSG_DATA(c), n * sizeof(int));
		} else if (c->cmsg_type == SCM_CREDENTIALS) {
			memcpy(&cred, CMSG_DATA(c), sizeof(cred));
			pid = cred.pid;
			check(cred.uid == getuid());
		}
	}
	check(got == n);
	return pid;
}

int main(int argc, char **argv)
{
	int type = !strcmp(argv[argc - 1], "dgram")       ? SOCK_DGRAM
	           : !strcmp(argv[argc - 1], "seqpacket") ? SOCK_SEQPACKET
	                                                  : SOCK_STREAM;
	struct f_owner_ex owner = { F_OWNER_PID, getpid() };
	uint32_t uids[2];
	int pair[2], inner[2], self[2], tube[2], fds[4], file, flag = 1;
	char c;
	pid_t child;

	check(socketpair(AF_UNIX, type, 0, pair) == 0 && socketpair(AF_UNIX, type, 0, inner) == 0);
	check(socketpair(AF_UNIX, type, 0, self) == 0 && pipe(tube) == 0);
	file = open("file", O_CREAT | O_RDWR, 0600);
	check(file >= 0 && write(file, "content", 7) == 7);
	check(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &flag, sizeof(flag)) == 0);

	if (type != SOCK_STREAM) /* there it may come in one with what follows */
		check(send(pair[0], "first", 5, 0) == 5);
	check(seteuid(65534) == 0 && fcntl(tube[0], F_SETOWN_EX, &owner) == 0);
	check(seteuid(0) == 0 && fcntl(tube[0], F_SETSIG, SIGURG) == 0);
	check(fcntl(tube[0], F_SETFL, O_ASYNC) == 0);
	give(pair[0], "two", (int[]){ file, tube[0] }, 2);
	check(write(tube[1], "x", 1) == 1 && close(tube[0]) == 0);
	give(inner[0], "deep", &file, 1);
	give(pair[0], "pair", inner, 2);
	check(close(inner[0]) == 0 && close(inner[1]) == 0);
	give(self[0], "self", self, 2);
	check(close(self[0]) == 0);

	child = fork();
	if (child == 0) {
		check(send(pair[0], "child", 5, 0) == 5);
		while (!zdtm_released())
			zdtm_nap();
		_exit(0);
	}
	while (recv(pair[1], &c, 1, MSG_PEEK) != 1)
		zdtm_nap();
	zdtm_nap();
	zdtm_park();

	if (type != SOCK_STREAM)
		check(take(pair[1], "first", NULL, 0) == getpid());
	check(take(pair[1], "two", fds, 2) == getpid());
	check(lseek(fds[0], 0, SEEK_CUR) == 7 && lseek(file, 3, SEEK_SET) == 3);
	check(lseek(fds[0], 0, SEEK_CUR) == 3); /* one description */
	owner.pid = 0;
	check(fcntl(fds[1], F_GETOWN_EX, &owner) == 0 && owner.pid == getpid());
	check(fcntl(fds[1], F_GETSIG) == SIGURG && fcntl(fds[1], F_GETFL) & O_ASYNC);
	check(fcntl(fds[1], F_GETOWNER_UIDS, uids) == 0 && uids[0] == 0 && uids[1] == 65534);
	check(read(fds[1], &c, 1) == 1 && c == 'x');
	check(write(tube[1], "y", 1) == 1 && read(fds[1], &c, 1) == 1 && c == 'y');
	check(take(pair[1], "pair", inner, 2) == getpid());
	take(inner[1], "deep", fds, 1);
	check(lseek(fds[0], 0, SEEK_CUR) == 3);
	check(send(inner[1], "z", 1, 0) == 1 && recv(inner[0], &c, 1, 0) == 1 && c == 'z');
	check(take(pair[1], "child", NULL, 0) == child);
	take(self[1], "self", fds, 2);
	check(send(self[1], "q", 1, 0) == 1 && recv(fds[0], &c, 1, 0) == 1 && c == 'q');
	check(waitpid(child, NULL, 0) == child);
	return zdtm_pass();
}
