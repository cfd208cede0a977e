/* Unix sockets that are not carried: a listener, descriptors in flight, an end outside. */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zdtm.h"

static void listener(void)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	check(getcwd(name.sun_path, sizeof(name.sun_path) - 8));
	strcat(name.sun_path, "/name");
	check(bind(fd, (struct sockaddr *)&name, sizeof(name)) == 0 && listen(fd, 5) == 0);
}

static void flight(const int *pair)
{
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr head;
	} control = {};
	char byte = 'x';
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov,
		              .msg_iovlen = 1,
		              .msg_control = &control,
		              .msg_controllen = sizeof(control) };

	control.head = (struct cmsghdr){ CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
	memcpy(CMSG_DATA(&control.head), &pair[0], sizeof(int));
	check(sendmsg(pair[0], &msg, 0) == 1);
}

/* A grandchild that is nobody's child any more keeps the other end. */
static void outside(const int *pair)
{
	pid_t pid = fork();

	if (pid == 0) {
		if (fork() == 0) {
			setsid();
			close(pair[0]);
			for (;;)
				pause();
		}
		_exit(0);
	}
	check(waitpid(pid, NULL, 0) == pid);
	check(close(pair[1]) == 0);
}

int main(int argc, char **argv)
{
	int pair[2];

	check(argc == 2);
	if (!strcmp(argv[1], "listen"))
		listener();
	else
		check(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	if (!strcmp(argv[1], "flight"))
		flight(pair);
	if (!strcmp(argv[1], "outside"))
		outside(pair);
	zdtm_park();
	return zdtm_pass();
}
