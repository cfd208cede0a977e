/*
 * Two processes share open files of many kinds though neither has them from the other, nor from their parent: one
 * has opened them, the other was sent them. They are the same descriptions, and no two of them are.
 */
#include <fcntl.h>
#include <linux/kcmp.h>
#include <mqueue.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zdtm.h"

#define MANY 40

static int fds[MANY], theirs[MANY];
static size_t n;

static void have(int fd)
{
	check(fd >= 0 && n < MANY);
	fds[n++] = fd;
}

static void have_both(const int pair[2])
{
	have(pair[0]);
	have(pair[1]);
}

static void open_files(void)
{
	have(open("file", O_RDWR | O_CREAT, 0600));
	have(open("file", O_RDWR | O_APPEND));
	have(open("file", O_PATH));
	check(write(fds[0], "0123456789", 10) == 10 && lseek(fds[0], 4, SEEK_SET) == 4);
	have(open("gone", O_RDWR | O_CREAT, 0600));
	check(unlink("gone") == 0 && write(fds[3], "gone", 4) == 4);
	have(open(".", O_RDONLY | O_DIRECTORY));
	have(open("/dev/null", O_RDWR));
	have(open("/dev/urandom", O_RDONLY));
	have(open("/proc/self/status", O_RDONLY));
	have(memfd_create("memory", 0));
}

static void open_streams(void)
{
	int pair[2];

	check(pipe(pair) == 0 && write(pair[1], "piped", 5) == 5);
	have_both(pair);
	check(mkfifo("fifo", 0600) == 0);
	have(open("fifo", O_RDWR));
	check(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && write(pair[1], "sent", 4) == 4);
	have_both(pair);
	have(socket(AF_INET, SOCK_DGRAM, 0));
	pair[0] = posix_openpt(O_RDWR | O_NOCTTY);
	check(pair[0] >= 0 && grantpt(pair[0]) == 0 && unlockpt(pair[0]) == 0);
	pair[1] = open(ptsname(pair[0]), O_RDWR | O_NOCTTY);
	have_both(pair);
}

static void open_events(void)
{
	struct epoll_event event = { .events = EPOLLIN };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	have(eventfd(7, 0));
	check(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	have(signalfd(-1, &set, 0));
	have(timerfd_create(CLOCK_MONOTONIC, 0));
	have(epoll_create1(0));
	check(epoll_ctl(fds[n - 1], EPOLL_CTL_ADD, fds[n - 4], &event) == 0);
	have(inotify_init1(0));
	check(inotify_add_watch(fds[n - 1], "file", IN_ATTRIB) == 1);
	have((int)syscall(SYS_pidfd_open, getpid(), 0));
}

union control {
	struct cmsghdr head;
	char space[CMSG_SPACE(sizeof(int))];
};

static struct msghdr message(int *number, struct iovec *iov, union control *control)
{
	*iov = (struct iovec){ number, sizeof(*number) };
	return (struct msghdr){ .msg_iov = iov,
		                .msg_iovlen = 1,
		                .msg_control = control,
		                .msg_controllen = sizeof(*control) };
}

static void send_one(int to, int fd)
{
	union control control = { .head = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec iov;
	struct msghdr msg = message(&fd, &iov, &control);

	memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	check(sendmsg(to, &msg, 0) == sizeof(fd));
}

/* The number that it has there, and here; false: that was all. */
static bool receive_one(int from)
{
	union control control;
	struct iovec iov;
	struct msghdr msg = message(&theirs[n], &iov, &control);

	if (recvmsg(from, &msg, MSG_CMSG_CLOEXEC) != sizeof(int))
		return false;
	memcpy(&fds[n++], CMSG_DATA(&control.head), sizeof(int));
	return true;
}

static bool same(pid_t pid, size_t i, size_t k)
{
	return syscall(SYS_kcmp, pid, getpid(), KCMP_FILE, theirs[i], fds[k]) == 0;
}

static void compare(pid_t pid)
{
	char text[8] = "";

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < n; k++)
			check(same(pid, i, k) == (i == k));
	check(lseek(fds[0], 0, SEEK_CUR) == 4);
	check(pread(fds[3], text, 4, 0) == 4 && !strcmp(text, "gone"));
}

static void wait_for(const char *path)
{
	while (access(path, F_OK) < 0)
		zdtm_nap();
}

static void make_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	check(fd >= 0 && close(fd) == 0);
}

static void opener(int to)
{
	open_files();
	open_streams();
	open_events();
	for (size_t i = 0; i < n; i++)
		send_one(to, fds[i]);
	check(close(to) == 0);
	wait_for("compared");
	_exit(0);
}

static void receiver(int from, pid_t pid)
{
	while (receive_one(from))
		check(n < MANY);
	check(n > 20 && close(from) == 0);
	compare(pid);
	make_file("received");
	while (!zdtm_released())
		zdtm_nap();
	compare(pid);
	make_file("compared");
	_exit(0);
}

int main(void)
{
	int ends[2], status;
	pid_t first, second;

	check(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
	first = fork();
	if (first == 0) {
		check(close(ends[1]) == 0);
		opener(ends[0]);
	}
	check(close(ends[0]) == 0);
	second = fork();
	if (second == 0)
		receiver(ends[1], first);
	check(close(ends[1]) == 0);
	wait_for("received");

	zdtm_park();

	check(waitpid(second, &status, 0) == second && status == 0);
	check(waitpid(first, &status, 0) == first && status == 0);
	return zdtm_pass();
}
