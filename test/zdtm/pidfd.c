/*
 * pidfds of itself, a child, a zombie and of one long dead, shared and watched by
 * epoll. "outside": of the process that started it; "thread": of another thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
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
	while (1)
		pause();
	return NULL;
}

static int refused(const char *how)
{
	pthread_t thread;
	pid_t tid = 0;

	if (!strcmp(how, "outside")) {
		pidfd(getppid(), 0);
	} else {
		check(pthread_create(&thread, NULL, idle, &tid) == 0);
		while (!__atomic_load_n(&tid, __ATOMIC_SEQ_CST))
			zdtm_nap();
		pidfd(tid, O_EXCL);
	}
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
		return refused(argv[1]);
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
