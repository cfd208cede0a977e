/*
 * A thread waits in one blocking call with a time-out, again and again: it must
 * never see EINTR, never come back early.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "zdtm.h"

#define WAIT_MS 150
#define WAIT_NS (WAIT_MS * 1000000L)

static int fd = -1;
static mqd_t queue;
static int sem;

static struct timespec span(void)
{
	return (struct timespec){ .tv_nsec = WAIT_NS };
}

static struct timespec at(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	ts.tv_nsec += WAIT_NS;
	ts.tv_sec += ts.tv_nsec / 1000000000;
	ts.tv_nsec %= 1000000000;
	return ts;
}

static void wait_nanosleep(void)
{
	struct timespec ts = span();

	check(syscall(SYS_nanosleep, &ts, NULL) == 0);
}

static void wait_nanosleep_rem(void)
{
	struct timespec ts = span(), rem;

	check(syscall(SYS_nanosleep, &ts, &rem) == 0);
}

static void wait_clock_nanosleep(void)
{
	struct timespec ts = span();

	check(clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL) == 0);
}

static void wait_clock_nanosleep_abs(void)
{
	struct timespec ts = at(CLOCK_MONOTONIC);

	check(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == 0);
}

static void wait_poll(void)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	check(syscall(SYS_poll, &p, 1, WAIT_MS) == 0);
}

static void wait_ppoll(void)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct timespec ts = span();

	check(ppoll(&p, 1, &ts, NULL) == 0);
}

static void wait_select(void)
{
	struct timeval tv = { .tv_usec = WAIT_MS * 1000 };
	fd_set set;

	FD_ZERO(&set);
	FD_SET(fd, &set);
	check(syscall(SYS_select, fd + 1, &set, NULL, NULL, &tv) == 0);
}

static void wait_futex(void)
{
	static int word;
	struct timespec ts = span();

	check(syscall(SYS_futex, &word, FUTEX_WAIT, 0, &ts, NULL, 0) == -1);
	check(errno == ETIMEDOUT);
}

static void wait_epoll(void)
{
	struct epoll_event ev;

	check(epoll_wait(fd, &ev, 1, WAIT_MS) == 0);
}

static void wait_semtimedop(void)
{
	struct sembuf op = { .sem_op = -1 };
	struct timespec ts = span();

	check(semtimedop(sem, &op, 1, &ts) == -1);
	check(errno == EAGAIN);
}

static void wait_mq(void)
{
	char buf[64];
	struct timespec ts = at(CLOCK_REALTIME);

	check(mq_timedreceive(queue, buf, sizeof(buf), NULL, &ts) == -1);
	check(errno == ETIMEDOUT);
}

static void wait_sigtimedwait(void)
{
	struct timespec ts = span();
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	check(sigtimedwait(&set, NULL, &ts) == -1);
	check(errno == EAGAIN);
}

static void wait_recv(void)
{
	char c;

	check(recv(fd, &c, 1, 0) == -1);
	check(errno == EAGAIN);
}

static void make_pipe(void)
{
	int ends[2];

	check(pipe(ends) == 0);
	fd = ends[0];
}

static void make_epoll(void)
{
	fd = epoll_create1(0);
	check(fd >= 0);
}

static void make_sem(void)
{
	sem = semget(IPC_PRIVATE, 1, 0600);
	check(sem >= 0);
}

static void make_mq(void)
{
	struct mq_attr attr = { .mq_maxmsg = 1, .mq_msgsize = 64 };
	char name[64];

	snprintf(name, sizeof(name), "/crtool-restart-%d", getpid());
	queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
	check(queue >= 0);
}

static void make_socket(void)
{
	struct timeval tv = { .tv_usec = WAIT_MS * 1000 };
	int ends[2];

	check(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
	check(setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) == 0);
	fd = ends[0];
}

static void remove_sem(void)
{
	check(semctl(sem, 0, IPC_RMID) == 0);
}

static void remove_mq(void)
{
	char name[64];

	snprintf(name, sizeof(name), "/crtool-restart-%d", getpid());
	check(mq_unlink(name) == 0);
}

static const struct way {
	const char *name;
	void (*make)(void);
	void (*wait)(void);
	void (*end)(void);
} ways[] = {
	{ "nanosleep", NULL, wait_nanosleep, NULL },
	{ "nanosleep-rem", NULL, wait_nanosleep_rem, NULL },
	{ "clock_nanosleep", NULL, wait_clock_nanosleep, NULL },
	{ "clock_nanosleep-abs", NULL, wait_clock_nanosleep_abs, NULL },
	{ "poll", make_pipe, wait_poll, NULL },
	{ "ppoll", make_pipe, wait_ppoll, NULL },
	{ "select", make_pipe, wait_select, NULL },
	{ "futex", NULL, wait_futex, NULL },
	{ "epoll_wait", make_epoll, wait_epoll, NULL },
	{ "semtimedop", make_sem, wait_semtimedop, remove_sem },
	{ "mq_timedreceive", make_mq, wait_mq, remove_mq },
	{ "sigtimedwait", NULL, wait_sigtimedwait, NULL },
	{ "recv", make_socket, wait_recv, NULL },
};

static void *waiter(void *arg)
{
	const struct way *way = arg;

	while (!zdtm_released()) {
		struct timespec a, b;

		clock_gettime(CLOCK_MONOTONIC, &a);
		way->wait();
		clock_gettime(CLOCK_MONOTONIC, &b);
		check((b.tv_sec - a.tv_sec) * 1000000000L + b.tv_nsec - a.tv_nsec >=
		      WAIT_NS - 2000000);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	const struct way *way = ways;
	pthread_t thread;
	sigset_t set;

	check(argc == 2);
	while (strcmp(way->name, argv[1]))
		check(++way < ways + sizeof(ways) / sizeof(ways[0]));
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (way->make)
		way->make();
	check(pthread_create(&thread, NULL, waiter, (void *)way) == 0);
	zdtm_nap();
	zdtm_park();
	check(pthread_join(thread, NULL) == 0);
	if (way->end)
		way->end();
	return zdtm_pass();
}
