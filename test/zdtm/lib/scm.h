/* A descriptor that one process sends to another (SCM_RIGHTS), with the number that it has there. */
#pragma once

#include <string.h>
#include <sys/socket.h>

#include "zdtm.h"

union scm_control {
	struct cmsghdr head;
	char space[CMSG_SPACE(sizeof(int))];
};

static inline struct msghdr scm_message(int *number, struct iovec *iov, union scm_control *control)
{
	*iov = (struct iovec){ number, sizeof(*number) };
	return (struct msghdr){ .msg_iov = iov,
		                .msg_iovlen = 1,
		                .msg_control = control,
		                .msg_controllen = sizeof(*control) };
}

static inline void scm_send(int to, int fd)
{
	union scm_control control = { .head = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec iov;
	struct msghdr msg = scm_message(&fd, &iov, &control);

	memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	check(sendmsg(to, &msg, 0) == sizeof(fd));
}

/* -1: there are no more. */
static inline int scm_receive(int from, int *ret_number)
{
	union scm_control control;
	struct iovec iov;
	struct msghdr msg = scm_message(ret_number, &iov, &control);
	int fd;

	if (recvmsg(from, &msg, MSG_CMSG_CLOEXEC) != sizeof(int))
		return -1;
	memcpy(&fd, CMSG_DATA(&control.head), sizeof(fd));
	return fd;
}
