/*
 * Connections that wait to be accepted, whose clients have sent something already: little, much, and who has ended;
 * a child's. And how many more may wait.
 *
 *	sk_unix_waiting stream|seqpacket
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zdtm.h"

#define LARGE   60000
#define BACKLOG 5

static int type;
static const struct sockaddr_un name = { AF_UNIX, "name" };
static char large[LARGE];

static int client(int flags)
{
	int fd = socket(AF_UNIX, type | flags, 0);

	check(fd >= 0);
	if (connect(fd, (const struct sockaddr *)&name, sizeof(name)) == 0)
		return fd;
	check(errno == EAGAIN && close(fd) == 0);
	return -1;
}

/* One message, or so many bytes; who has sent it. */
static pid_t hear(int fd, const char *want, size_t size)
{
	static char buf[LARGE];
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(struct ucred))];
	} control;
	struct iovec iov = { buf, size };
	struct msghdr msg = { .msg_iov = &iov,
		              .msg_iovlen = 1,
		              .msg_control = &control,
		              .msg_controllen = sizeof(control) };
	struct ucred cred = {};

	check(recvmsg(fd, &msg, MSG_WAITALL) == (ssize_t)size && !memcmp(buf, want, size));
	if (msg.msg_controllen)
		memcpy(&cred, CMSG_DATA(&control.head), sizeof(cred));
	return cred.pid;
}

static int accepted(int listener)
{
	int fd = accept(listener, NULL, NULL), on = 1;

	check(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) == 0);
	return fd;
}

/* It stays until it has an answer. */
static pid_t child_make(void)
{
	int sent[2], fd;
	pid_t pid;
	char c;

	check(pipe(sent) == 0);
	pid = fork();
	check(pid >= 0);
	if (pid) {
		check(close(sent[1]) == 0 && read(sent[0], &c, 1) == 0 && close(sent[0]) == 0);
		return pid;
	}
	fd = client(0);
	check(send(fd, "child", 5, 0) == 5 && close(sent[0]) == 0 && close(sent[1]) == 0);
	check(recv(fd, &c, 1, 0) == 1);
	_exit(c == 'y' ? 0 : 1);
}

int main(int argc, char **argv)
{
	int listener, silent, much, fd, n, status;
	pid_t child, sender;
	char c;

	check(argc == 2);
	type = !strcmp(argv[1], "seqpacket") ? SOCK_SEQPACKET : SOCK_STREAM;
	listener = socket(AF_UNIX, type, 0);
	check(listener >= 0 && bind(listener, (const struct sockaddr *)&name, sizeof(name)) == 0);
	check(listen(listener, BACKLOG) == 0);
	for (int i = 0; i < LARGE; i++)
		large[i] = (char)(i * 7 % 251);
	silent = client(0);
	much = client(0);
	check(send(much, "small", 5, 0) == 5 && send(much, large, LARGE, 0) == LARGE);
	check(shutdown(much, SHUT_WR) == 0);
	child = child_make();

	zdtm_park();

	fd = accepted(listener);
	check(recv(fd, &c, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
	check(send(silent, "z", 1, 0) == 1 && hear(fd, "z", 1) == getpid());
	fd = accepted(listener);
	sender = hear(fd, "small", 5);
	check(sender == 0 || sender == getpid());
	hear(fd, large, LARGE);
	check(recv(fd, &c, 1, 0) == 0 && send(fd, "back", 4, 0) == 4 && hear(much, "back", 4) == 0);
	fd = accepted(listener);
	sender = hear(fd, "child", 5);
	check(sender == 0 || sender == child);
	check(send(fd, "y", 1, 0) == 1);
	check(waitpid(child, &status, 0) == child && status == 0);
	for (n = 0; client(SOCK_NONBLOCK) >= 0; n++)
		check(n <= BACKLOG);
	check(n == BACKLOG + 1);
	return zdtm_pass();
}
