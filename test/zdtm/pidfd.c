/*
 * pidfds of itself, a child, a zombie and of one long dead, shared and watched by
 * epoll. "outside": of the process that started it; "thread": of another thread, "twice": which
 * two processes have open, "flight": which is in a socket, "closed": watched under a number that is closed.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zdtm.h"

#define PIDFD_NONBLOCK O_NONBLOCK

static int pidfd(pid_t pid, unsigned flags)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, flags);

	check(fd >= 0);
	return fd;
}

static int ended(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0);
}

static int signal_by(int fd, int sig)
{
	return (int)syscall(SYS_pidfd_send_signal, fd, sig, NULL, 0);
}

static pid_t child(int how)
{
	pid_t pid = fork();

	check(pid >= 0);
	if (pid == 0 && how < 0)
		while (1)
			pause();
	if (pid == 0)
		_exit(how);
	return pid;
}

static void *idle(void *tid)
{
	__atomic_store_n((pid_t *)tid, (pid_t)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
	while (!zdtm_released())
		zdtm_nap();
	return NULL;
}

static void send_fd(int to, int fd)
{
	char room[CMSG_SPACE(sizeof(fd))] = {};
	char byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov,
		              .msg_iovlen = 1,
		              .msg_control = room,
		              .msg_controllen = sizeof(room) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	*c = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
		               .cmsg_type = SCM_RIGHTS,
		               .cmsg_len = CMSG_LEN(sizeof(fd)) };
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	check(sendmsg(to, &msg, 0) == 1);
}

/* What keeps one of a thread from being carried. */
static pid_t spoil(const char *how, int fd)
{
	int pair[2];

	if (!strcmp(how, "flight")) {
		check(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
		send_fd(pair[0], fd);
	}
	if (!strcmp(how, "closed"))
		check(close(fd) == 0);
	return strcmp(how, "twice") ? 0 : child(-1);
}

/* It becomes readable when the thread ends. */
static int of_thread(const char *how)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLONESHOT, .data.u64 = 9 };
	int fd, again, ep = epoll_create1(0), two = epoll_create1(0), status;
	pthread_t thread;
	pid_t tid = 0, other;

	check(pthread_create(&thread, NULL, idle, &tid) == 0);
	while (!__atomic_load_n(&tid, __ATOMIC_SEQ_CST))
		zdtm_nap();
	fd = pidfd(tid, O_EXCL | PIDFD_NONBLOCK);
	again = dup(fd);
	check(fcntl(again, F_SETOWN, getpid()) == 0);
	check(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0);
	check(epoll_ctl(two, EPOLL_CTL_ADD, ep, &ev) == 0);
	other = spoil(how, fd);

	zdtm_park();

	if (other)
		check(kill(other, SIGKILL) == 0 && waitpid(other, &status, 0) == other);
	if (strcmp(how, "thread"))
		return zdtm_pass();
	check(fcntl(fd, F_GETFD) == FD_CLOEXEC && fcntl(again, F_GETFD) == 0);
	check(fcntl(again, F_GETOWN) == getpid());
	check(fcntl(again, F_SETFL, 0) == 0 && !(fcntl(fd, F_GETFL) & O_NONBLOCK));
	check(fcntl(fd, F_GETFL) & O_EXCL);
	check(epoll_wait(two, &ev, 1, 20000) == 1 && epoll_wait(ep, &ev, 1, 0) == 1);
	check(ev.data.u64 == 9 && ended(fd) && ended(again));
	check(pthread_join(thread, NULL) == 0);
	return zdtm_pass();
}

static int outside(void)
{
	pidfd(getppid(), 0);
	zdtm_park();
	return zdtm_pass();
}

int main(int argc, char **argv)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = 7 };
	pid_t live = child(-1), zombie = child(3), gone = child(5);
	int self, of_live, again, of_zombie, dead, ep = epoll_create1(0), shared, status;
	siginfo_t si;

	if (argc > 1)
		return strcmp(argv[1], "outside") ? of_thread(argv[1]) : outside();
	self = pidfd(getpid(), 0);
	of_live = pidfd(live, PIDFD_NONBLOCK);
	again = dup(of_live);
	of_zombie = pidfd(zombie, 0);
	dead = pidfd(gone, 0);
	check(waitpid(gone, &status, 0) == gone);
	check(waitid(P_PID, (id_t)zombie, &si, WEXITED | WNOWAIT) == 0);
	check(epoll_ctl(ep, EPOLL_CTL_ADD, of_live, &ev) == 0);
	shared = child(-1); /* has all of them, too */

	zdtm_park();

	check(!ended(self) && !ended(of_live) && ended(of_zombie) && ended(dead));
	check(signal_by(dead, 0) < 0 && errno == ESRCH);
	check(fcntl(of_live, F_GETFL) & O_NONBLOCK && fcntl(of_live, F_GETFD) == FD_CLOEXEC);
	check(fcntl(again, F_GETFD) == 0 && fcntl(again, F_SETFL, O_RDWR) == 0);
	check(!(fcntl(of_live, F_GETFL) & O_NONBLOCK)); /* they are one */
	check(epoll_wait(ep, &ev, 1, 0) == 0);
	check(signal_by(of_live, SIGKILL) == 0);
	check(epoll_wait(ep, &ev, 1, 5000) == 1 && ev.data.u64 == 7 && ended(again));
	check(waitid(P_PIDFD, (id_t)of_live, &si, WEXITED) == 0 && si.si_pid == live);
	check(waitid(P_PIDFD, (id_t)of_zombie, &si, WEXITED) == 0 && si.si_status == 3);
	check(kill(shared, SIGKILL) == 0 && waitpid(shared, &status, 0) == shared);
	return zdtm_pass();
}
