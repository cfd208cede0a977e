/*
 * Calls with a time limit of ten seconds, each in a thread of its own: none comes back early or with EINTR, and those
 * that the kernel restarts wait no longer than was asked for, however often they are interrupted. With
 * "restored" they may begin anew.
 *
 * It parks when half of the time is over: who is dumped then and waits the whole time
 * again is late by five seconds.
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
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "zdtm.h"

#define TOTAL 10
#define LATE  4.5

static const struct timespec total = { .tv_sec = TOTAL };
static int ends[2];
static bool restored;

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void in_nanosleep(void)
{
	struct timespec ts = total;

	check(syscall(SYS_nanosleep, &ts, &ts) == 0);
}

static void in_clock_nanosleep(void)
{
	check(clock_nanosleep(CLOCK_BOOTTIME, 0, &total, NULL) == 0);
}

static void in_absolute(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += TOTAL;
	check(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == 0);
}

static void in_poll(void)
{
	struct pollfd p = { .fd = ends[0], .events = POLLIN };

	check(syscall(SYS_poll, &p, 1, TOTAL * 1000) == 0);
}

static void in_ppoll(void)
{
	struct pollfd p = { .fd = ends[0], .events = POLLIN };

	check(ppoll(&p, 1, &total, NULL) == 0);
}

static void in_select(void)
{
	struct timeval tv = { .tv_sec = TOTAL };
	fd_set set;

	FD_ZERO(&set);
	FD_SET(ends[0], &set);
	check(syscall(SYS_select, ends[0] + 1, &set, NULL, NULL, &tv) == 0);
}

static void in_pselect(void)
{
	fd_set set;

	FD_ZERO(&set);
	FD_SET(ends[0], &set);
	check(pselect(ends[0] + 1, &set, NULL, NULL, &total, NULL) == 0);
}

static void in_futex(void)
{
	static int word;

	check(syscall(SYS_futex, &word, FUTEX_WAIT, 0, &total, NULL, 0) == -1);
	check(errno == ETIMEDOUT);
}

static void in_condition(void)
{
	pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += TOTAL;
	check(pthread_mutex_lock(&mutex) == 0);
	check(pthread_cond_clockwait(&condition, &mutex, CLOCK_MONOTONIC, &ts) == ETIMEDOUT);
}

static void in_mq(void)
{
	struct mq_attr attr = { .mq_maxmsg = 1, .mq_msgsize = 64 };
	struct timespec ts;
	char name[64], buf[64];
	mqd_t queue;

	snprintf(name, sizeof(name), "/crtool-total-%d", getpid());
	queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
	check(queue >= 0 && mq_unlink(name) == 0);
	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += TOTAL;
	check(mq_timedreceive(queue, buf, sizeof(buf), NULL, &ts) == -1);
	check(errno == ETIMEDOUT);
}

/* ---- those that are issued again ---- */

static void in_epoll(void)
{
	struct epoll_event ev;

	check(epoll_wait(epoll_create1(EPOLL_CLOEXEC), &ev, 1, TOTAL * 1000) == 0);
}

static void in_epoll_pwait2(void)
{
	struct epoll_event ev;

	check(syscall(441, epoll_create1(EPOLL_CLOEXEC), &ev, 1, &total, NULL, 8) == 0);
}

static void in_semtimedop(void)
{
	struct sembuf op = { .sem_op = -1 };
	int sem = semget(IPC_PRIVATE, 1, 0600);

	check(sem >= 0 && semtimedop(sem, &op, 1, &total) == -1 && errno == EAGAIN);
	check(semctl(sem, 0, IPC_RMID) == 0);
}

static void in_sigtimedwait(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	check(sigtimedwait(&set, NULL, &total) == -1 && errno == EAGAIN);
}

static int with_timeout(int type)
{
	const struct timeval tv = { .tv_sec = TOTAL };
	int pair[2];

	check(socketpair(AF_UNIX, type, 0, pair) == 0);
	check(setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) == 0);
	return pair[0];
}

static void in_recv(void)
{
	char c;

	check(recv(with_timeout(SOCK_STREAM), &c, 1, 0) == -1 && errno == EAGAIN);
}

static void in_recvmmsg(void)
{
	char c;
	struct iovec iov = { &c, 1 };
	struct mmsghdr m = { .msg_hdr = { .msg_iov = &iov, .msg_iovlen = 1 } };

	check(recvmmsg(with_timeout(SOCK_DGRAM), &m, 1, 0, NULL) == -1 && errno == EAGAIN);
}

static void in_accept(void)
{
	const struct timeval tv = { .tv_sec = TOTAL };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	sa_family_t family = AF_UNIX;

	check(fd >= 0 && bind(fd, (struct sockaddr *)&family, sizeof(family)) == 0); /* any name */
	check(listen(fd, 1) == 0);
	check(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) == 0);
	check(accept(fd, NULL, NULL) == -1 && errno == EAGAIN);
}

static const struct call {
	const char *name;
	void (*wait)(void);
	bool reissued;
} calls[] = {
	{ "nanosleep", in_nanosleep, false },
	{ "clock_nanosleep", in_clock_nanosleep, false },
	{ "absolute", in_absolute, false },
	{ "poll", in_poll, false },
	{ "ppoll", in_ppoll, false },
	{ "select", in_select, false },
	{ "pselect", in_pselect, false },
	{ "futex", in_futex, false },
	{ "condition", in_condition, false },
	{ "mq_timedreceive", in_mq, false },
	{ "epoll_wait", in_epoll, true },
	{ "epoll_pwait2", in_epoll_pwait2, true },
	{ "semtimedop", in_semtimedop, true },
	{ "sigtimedwait", in_sigtimedwait, true },
	{ "recv", in_recv, true },
	{ "recvmmsg", in_recvmmsg, true },
	{ "accept", in_accept, true },
};

#define CALLS (sizeof(calls) / sizeof(calls[0]))

static void *waiter(void *arg)
{
	const struct call *call = arg;
	double begun = now(), took;

	call->wait();
	took = now() - begun;
	dprintf(STDOUT_FILENO, "%s: %.3f s\n", call->name, took);
	check(took > TOTAL - 0.01);
	check(took < TOTAL + LATE || call->reissued || restored);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[CALLS];
	sigset_t set;
	double begun = now();

	restored = argc > 1;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	check(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	check(pipe(ends) == 0);
	for (size_t i = 0; i < CALLS; i++)
		check(pthread_create(&threads[i], NULL, waiter, (void *)&calls[i]) == 0);
	while (now() - begun < TOTAL / 2.0)
		zdtm_nap();
	zdtm_park();
	for (size_t i = 0; i < CALLS; i++)
		check(pthread_join(threads[i], NULL) == 0);
	return zdtm_pass();
}
