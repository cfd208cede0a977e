/*
 * One of each kind of open file, with content, in two processes, dumped and restored many times:
 * nothing wears off.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <mqueue.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "test/zdtm/zoo_rest.h"
#include "zdtm.h"

struct zoo {
	pid_t child;
	int pipe[2], packets[2], fifo, regular, log, deleted, path, dir, null, full, random;
	int event, semaphore, timer, alarm, date, signals, memfd, epoll, nested, unix_pair[2];
	int inotify, fanotify, self, of_child, dead, status, children, ns;
	char queue_name[48];
	mqd_t queue;
	int shm, bpf, tun, ptmx, tty, ring;
	struct io_uring_params ring_params;
	uint32_t *ring_tail;
	aio_context_t aio;
	char *attached;
	struct rest rest;
};

static void text_write(int fd, const char *text)
{
	check(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

static void text_read(int fd, const char *text)
{
	char buf[64] = "";

	check(read(fd, buf, strlen(text)) == (ssize_t)strlen(text) && !strcmp(buf, text));
}

static int opened(const char *path, int flags)
{
	int fd = open(path, flags, 0600);

	check(fd >= 0);
	return fd;
}

static int pidfd(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	check(fd >= 0);
	return fd;
}

static void make_streams(struct zoo *z)
{
	check(pipe(z->pipe) == 0 && pipe2(z->packets, O_DIRECT | O_NONBLOCK) == 0);
	text_write(z->pipe[1], "in the pipe");
	text_write(z->packets[1], "one");
	text_write(z->packets[1], "two");
	check(mkfifo("fifo", 0600) == 0);
	z->fifo = opened("fifo", O_RDWR);
	text_write(z->fifo, "in the fifo");
	check(socketpair(AF_UNIX, SOCK_STREAM, 0, z->unix_pair) == 0);
	text_write(z->unix_pair[0], "in the socket");
}

static void make_terminal(struct zoo *z)
{
	z->ptmx = posix_openpt(O_RDWR | O_NOCTTY);
	check(z->ptmx >= 0 && grantpt(z->ptmx) == 0 && unlockpt(z->ptmx) == 0);
	z->tty = opened(ptsname(z->ptmx), O_RDWR | O_NOCTTY);
	text_write(z->tty, "shown");
	text_write(z->ptmx, "typed\n");
}

static void make_files(struct zoo *z)
{
	z->regular = opened("file", O_RDWR | O_CREAT);
	text_write(z->regular, "0123456789");
	check(lseek(z->regular, 4, SEEK_SET) == 4);
	check(flock(z->regular, LOCK_EX) == 0);
	z->log = opened("log", O_WRONLY | O_CREAT | O_APPEND);
	check(lockf(z->log, F_LOCK, 100) == 0);
	z->path = opened("file", O_PATH);
	z->deleted = opened("deleted", O_RDWR | O_CREAT);
	text_write(z->deleted, "deleted");
	check(unlink("deleted") == 0);
	z->tun = open("/dev/net/tun", O_RDWR); /* if there is one */
	z->dir = opened(".", O_RDONLY | O_DIRECTORY);
	z->null = opened("/dev/null", O_RDWR);
	z->full = opened("/dev/full", O_RDWR);
	z->random = opened("/dev/urandom", O_RDONLY);
	z->memfd = memfd_create("zoo", MFD_ALLOW_SEALING);
	text_write(z->memfd, "sealed");
	check(fcntl(z->memfd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW) == 0);
}

static int timer(int clock, int flags, time_t value)
{
	struct itimerspec its = { .it_value = { value, 0 }, .it_interval = { 1000, 0 } };
	int fd = timerfd_create(clock, 0);

	check(fd >= 0 && timerfd_settime(fd, flags, &its, NULL) == 0);
	return fd;
}

static void make_events(struct zoo *z)
{
	uint64_t big = UINT64_C(0x123456789abcdef);
	sigset_t set;

	z->event = eventfd(0, 0);
	check(write(z->event, &big, sizeof(big)) == sizeof(big));
	z->semaphore = eventfd(3, EFD_SEMAPHORE | EFD_NONBLOCK);
	z->timer = timer(CLOCK_MONOTONIC, 0, 5000);
	z->alarm = timer(CLOCK_BOOTTIME_ALARM, 0, 5000);
	z->date = timer(CLOCK_REALTIME, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET,
	                time(NULL) + 5000);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMIN);
	check(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	sigdelset(&set, SIGRTMIN);
	z->signals = signalfd(-1, &set, SFD_NONBLOCK);
	check(z->signals >= 0 && raise(SIGUSR1) == 0);
	z->inotify = inotify_init1(IN_NONBLOCK);
	check(mkdir("watched", 0700) == 0);
	check(inotify_add_watch(z->inotify, "watched", IN_CREATE) == 1);
	z->fanotify = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK, O_RDONLY);
	check(fanotify_mark(z->fanotify, FAN_MARK_ADD, FAN_MODIFY, AT_FDCWD, "file") == 0);
}

/* A read of the file, done, whose event nobody fetches for now. */
static void make_aio(struct zoo *z)
{
	static char buf[4];
	struct iocb cb = { .aio_data = 5,
		           .aio_lio_opcode = IOCB_CMD_PREAD,
		           .aio_fildes = (uint32_t)z->regular,
		           .aio_buf = (uint64_t)buf,
		           .aio_nbytes = sizeof(buf) };
	struct iocb *list = &cb;

	check(syscall(SYS_io_setup, 8, &z->aio) == 0);
	check(syscall(SYS_io_submit, z->aio, 1, &list) == 1);
}

static int map_call(int command, int fd, uint64_t *value)
{
	uint32_t key = 3;
	union bpf_attr attr = {};

	attr.map_fd = (uint32_t)fd;
	attr.key = (uint64_t)&key;
	attr.value = (uint64_t)value;
	return (int)syscall(SYS_bpf, command, &attr, sizeof(attr));
}

/* If the kernel has them. */
static void make_map(struct zoo *z)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 4
	};
	uint64_t value = 42;

	z->bpf = (int)syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));
	check(z->bpf < 0 || map_call(BPF_MAP_UPDATE_ELEM, z->bpf, &value) == 0);
}

/* If the kernel lets us: a request to do nothing with its completion, that waits, and one that is not submitted. */
static void make_ring(struct zoo *z)
{
	struct io_uring_params *p = &z->ring_params;
	uint8_t *ring;

	z->ring = (int)syscall(SYS_io_uring_setup, 4, p);
	if (z->ring < 0)
		return;
	ring = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, z->ring, IORING_OFF_SQ_RING);
	check(ring != MAP_FAILED);
	z->ring_tail = (uint32_t *)(void *)(ring + p->cq_off.tail);
	*(uint32_t *)(void *)(ring + p->sq_off.tail) = 1;
	check(syscall(SYS_io_uring_enter, z->ring, 1, 0, 0, NULL, 0) == 1 && *z->ring_tail == 1);
	((uint32_t *)(void *)(ring + p->sq_off.array))[1] = 1;
	*(uint32_t *)(void *)(ring + p->sq_off.tail) = 2;
}

static void check_ring(const struct zoo *z)
{
	check(*z->ring_tail == 1);
	check(syscall(SYS_io_uring_enter, z->ring, 1, 0, 0, NULL, 0) == 1 && *z->ring_tail == 2);
}

static void check_kernel(const struct zoo *z)
{
	struct io_event event;
	uint64_t value;

	check(syscall(SYS_io_getevents, z->aio, 1, 1, &event, NULL) == 1);
	check(event.data == 5 && event.res == 4);
	if (z->ring >= 0)
		check_ring(z);
	check(z->bpf < 0 || (map_call(BPF_MAP_LOOKUP_ELEM, z->bpf, &value) == 0 && value == 42));
}

static void make_ipc(struct zoo *z)
{
	struct mq_attr attr = { .mq_maxmsg = 4, .mq_msgsize = 16 };
	struct timespec now;

	check(clock_gettime(CLOCK_MONOTONIC, &now) == 0); /* pids come again, in other namespaces */
	snprintf(z->queue_name, sizeof(z->queue_name), "/crtool-zoo-%d-%ld", getpid(), now.tv_nsec);
	z->queue = mq_open(z->queue_name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
	check(z->queue >= 0 && mq_send(z->queue, "queued", 6, 7) == 0);
	rest_make_notified(z->queue);
	z->shm = shmget(IPC_PRIVATE, 4096, 0600);
	z->attached = shmat(z->shm, NULL, 0);
	check(z->shm >= 0 && z->attached != (void *)-1 && shmctl(z->shm, IPC_RMID, NULL) == 0);
	strcpy(z->attached, "attached");
}

static void make_processes(struct zoo *z)
{
	pid_t gone = fork();
	char path[48];
	int status;

	if (gone == 0)
		_exit(0);
	z->dead = pidfd(gone);
	check(waitpid(gone, &status, 0) == gone);
	z->self = pidfd(getpid());
	z->status = opened("/proc/self/status", O_RDONLY);
	z->ns = opened("/proc/self/ns/net", O_RDONLY);
	z->child = fork(); /* has all of them, too */
	check(z->child >= 0);
	while (z->child == 0)
		pause();
	z->of_child = pidfd(z->child);
	snprintf(path, sizeof(path), "/proc/%d/task", z->child);
	z->children = opened(path, O_RDONLY | O_DIRECTORY);
}

static void make_epoll(struct zoo *z)
{
	struct epoll_event ev = { .events = EPOLLIN };
	const int all[] = { z->pipe[0], z->fifo, z->event, z->timer, z->unix_pair[1], z->of_child };

	z->nested = epoll_create1(0);
	z->epoll = epoll_create1(EPOLL_CLOEXEC);
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		ev.data.fd = all[i];
		check(epoll_ctl(z->nested, EPOLL_CTL_ADD, all[i], &ev) == 0);
	}
	check(epoll_ctl(z->epoll, EPOLL_CTL_ADD, z->nested, &ev) == 0);
}

static void check_streams(const struct zoo *z)
{
	struct epoll_event ev[8];

	check(epoll_wait(z->epoll, ev, 8, 0) == 1 && epoll_wait(z->nested, ev, 8, 0) == 4);
	text_read(z->pipe[0], "in the pipe");
	text_read(z->packets[0], "one");
	text_read(z->packets[0], "two");
	text_read(z->fifo, "in the fifo");
	text_read(z->unix_pair[1], "in the socket");
	text_read(z->ptmx, "shown");
	text_read(z->tty, "typed\n");
	check(epoll_wait(z->nested, ev, 8, 0) == 1 && ev[0].data.fd == z->event);
}

static void check_files(const struct zoo *z)
{
	char byte;

	text_read(z->regular, "456789");
	check(lseek(z->deleted, 0, SEEK_SET) == 0);
	text_read(z->deleted, "deleted");
	check(z->tun < 0 || fcntl(z->tun, F_GETFL) & O_RDWR);
	check(fcntl(z->log, F_GETFL) & O_APPEND && fcntl(z->path, F_GETFL) & O_PATH);
	check(fchdir(z->dir) == 0 && access("log", F_OK) == 0);
	check(write(z->null, "x", 1) == 1 && write(z->full, "x", 1) < 0 && errno == ENOSPC);
	check(read(z->random, &byte, 1) == 1);
	check(fcntl(z->memfd, F_GET_SEALS) == (F_SEAL_WRITE | F_SEAL_GROW));
	check(pwrite(z->memfd, "x", 1, 0) < 0 && lseek(z->memfd, 0, SEEK_SET) == 0);
	text_read(z->memfd, "sealed");
}

static void check_time(int fd)
{
	struct itimerspec its;

	check(timerfd_gettime(fd, &its) == 0 && its.it_interval.tv_sec == 1000);
	check(its.it_value.tv_sec > 4000 && its.it_value.tv_sec <= 5000);
}

static void check_events(const struct zoo *z)
{
	struct signalfd_siginfo si;
	char event[64];
	uint64_t v;

	check(read(z->event, &v, sizeof(v)) == sizeof(v) && v == UINT64_C(0x123456789abcdef));
	for (int i = 0; i < 3; i++)
		check(read(z->semaphore, &v, sizeof(v)) == sizeof(v) && v == 1);
	check(read(z->semaphore, &v, sizeof(v)) < 0 && errno == EAGAIN);
	check_time(z->timer);
	check_time(z->alarm);
	check_time(z->date);
	check(read(z->signals, &si, sizeof(si)) == sizeof(si) && si.ssi_signo == SIGUSR1);
	check(read(z->inotify, event, sizeof(event)) < 0 && errno == EAGAIN);
	check(mkdir("watched/x", 0700) == 0 && read(z->inotify, event, sizeof(event)) > 0);
	check(read(z->fanotify, event, sizeof(event)) < 0 && errno == EAGAIN);
	check(pwrite(z->regular, "x", 1, 0) == 1 && read(z->fanotify, event, sizeof(event)) > 0);
}

static void check_ipc(const struct zoo *z)
{
	char text[16] = "";
	unsigned priority;

	check(mq_receive(z->queue, text, sizeof(text), &priority) == 6 && priority == 7);
	check(!strcmp(text, "queued"));
	rest_check_notified(z->queue);
	check(mq_unlink(z->queue_name) == 0);
	check(!strcmp(z->attached, "attached") && shmdt(z->attached) == 0);
}

static void check_processes(const struct zoo *z)
{
	struct pollfd p = { .fd = z->dead, .events = POLLIN };
	int status;

	check(poll(&p, 1, 0) == 1);
	text_read(z->status, "Name:\tzoo\n");
	check(setns(z->ns, 0) == 0 && faccessat(z->children, "..", F_OK, 0) == 0);
	check(syscall(SYS_pidfd_send_signal, z->self, 0, NULL, 0) == 0);
	check(syscall(SYS_pidfd_send_signal, z->of_child, SIGKILL, NULL, 0) == 0);
	check(waitpid(z->child, &status, 0) == z->child);
}

int main(void)
{
	struct zoo z = {};

	make_streams(&z);
	make_terminal(&z);
	make_files(&z);
	make_events(&z);
	rest_make_files(&z.rest);
	rest_make_sockets(&z.rest);
	rest_make_sysv(&z.rest);
	make_aio(&z);
	make_map(&z);
	make_ring(&z);
	make_ipc(&z);
	make_processes(&z);
	make_epoll(&z);

	zdtm_park();

	check_streams(&z);
	check_files(&z);
	check_events(&z);
	rest_check_files(&z.rest);
	rest_check_sockets(&z.rest);
	rest_check_sysv(&z.rest);
	check_kernel(&z);
	check_ipc(&z);
	check_processes(&z);
	return zdtm_pass();
}
