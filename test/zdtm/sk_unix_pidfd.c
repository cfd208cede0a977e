/*
 * Pidfds that come by unix sockets: one in flight that nobody has open any more, and the one
 * that a receiver gets of its sender (SO_PASSPIDFD) with what waited.
 *
 *	sk_unix_pidfd flight|passed
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zdtm.h"

#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif
#ifndef SCM_PIDFD
#define SCM_PIDFD 4
#endif

static int ends[2];

static void send_fd(int fd)
{
	char space[CMSG_SPACE(sizeof(int))] = {};
	struct iovec iov = { (char[]){ "x" }, 1 };
	struct msghdr msg = { .msg_iov = &iov,
		              .msg_iovlen = 1,
		              .msg_control = space,
		              .msg_controllen = sizeof(space) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	check(sendmsg(ends[0], &msg, 0) == 1);
}

/* The descriptor that comes with the next message. */
static int take_fd(int type)
{
	char space[CMSG_SPACE(sizeof(int)) * 2] = {}, buf;
	struct iovec iov = { &buf, 1 };
	struct msghdr msg = { .msg_iov = &iov,
		              .msg_iovlen = 1,
		              .msg_control = space,
		              .msg_controllen = sizeof(space) };
	int fd = -1;

	check(recvmsg(ends[1], &msg, MSG_DONTWAIT) == 1);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
		if (c->cmsg_type == type)
			memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	check(fd >= 0);
	return fd;
}

/* Of whom a pidfd is. */
static int pid_of(int pidfd)
{
	char path[64], line[128];
	int pid = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	f = fopen(path, "re");
	check(f);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, "Pid:", 4))
			pid = (int)strtol(line + 4, NULL, 10);
	fclose(f);
	return pid;
}

static void flight(void)
{
	pid_t child = fork();
	int pidfd, status;

	check(child >= 0);
	if (child == 0) {
		close(ends[0]);
		close(ends[1]);
		for (;;)
			pause();
	}
	pidfd = (int)syscall(SYS_pidfd_open, child, 0);
	check(pidfd >= 0);
	send_fd(pidfd);
	close(pidfd);

	zdtm_park();

	pidfd = take_fd(SCM_RIGHTS);
	check(pid_of(pidfd) == child);
	check(syscall(SYS_pidfd_send_signal, pidfd, SIGTERM, NULL, 0) == 0);
	check(waitpid(child, &status, 0) == child);
	check(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

static void passed(void)
{
	int on = 1, pidfd;

	check(setsockopt(ends[1], SOL_SOCKET, SO_PASSPIDFD, &on, sizeof(on)) == 0);
	check(send(ends[0], "x", 1, 0) == 1);

	zdtm_park();

	pidfd = take_fd(SCM_PIDFD);
	check(pid_of(pidfd) == getpid());
	check(send(ends[0], "y", 1, 0) == 1);
	close(pidfd);
	pidfd = take_fd(SCM_PIDFD);
	check(pid_of(pidfd) == getpid());
}

int main(int argc, char **argv)
{
	check(argc == 2 && socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) == 0);
	if (!strcmp(argv[1], "--probe")) {
		int on = 1;

		return setsockopt(ends[1], SOL_SOCKET, SO_PASSPIDFD, &on, sizeof(on)) < 0;
	}
	if (!strcmp(argv[1], "flight"))
		flight();
	else
		passed();
	return zdtm_pass();
}
