/*
 * Two processes share open files of all kinds though neither has them from the other, nor from their parent: one
 * has opened them, the other was sent them (or has taken them). They are the same descriptions, and no two of them
 * are, whatever their numbers; and what is in them is there for the other. "orphans": who opened them for both has
 * ended.
 */
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <linux/kcmp.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scm.h"
#include "test/zdtm/zoo_rest.h"
#include "zdtm.h"

#define MANY 80
#define HIGH 100 /* the other's numbers begin here */

/* Numbers of who opened them, in memory that all share; some kernels have not all of it: -1. */
static struct shared {
	struct rest rest;
	struct io_uring_params ring_params;
	pid_t holder; /* of the lease; 0: it has ended */
	int file, gone, pipe, fifo, pair, tty, count, epoll, semaphore, fanotify, queue, ns, map,
		tun, ring, path;
} * made;

static int fds[MANY], theirs[MANY];
static size_t n;

static void have(int fd)
{
	check(fd >= 0 && n < MANY);
	fds[n++] = fd;
}

/* It is there, if this kernel has such. */
static int may_have(int fd)
{
	if (fd >= 0)
		have(fd);
	return fd;
}

static void have_both(const int pair[2])
{
	have(pair[0]);
	have(pair[1]);
}

static void open_files(void)
{
	char path[32];

	have(open("file", O_RDWR | O_CREAT, 0600));
	have(open("file", O_RDWR | O_APPEND));
	have(open("file", O_PATH));
	check(write(fds[0], "0123456789", 10) == 10 && lseek(fds[0], 4, SEEK_SET) == 4);
	have(open("deleted", O_RDWR | O_CREAT, 0600));
	check(unlink("deleted") == 0 && write(fds[3], "gone", 4) == 4);
	made->file = fds[0], made->gone = fds[3];
	have(open(".", O_RDONLY | O_DIRECTORY));
	have(open("/dev/null", O_RDWR));
	have(open("/dev/full", O_RDWR));
	have(open("/dev/urandom", O_RDONLY));
	snprintf(path, sizeof(path), "/proc/%d/status", getppid());
	have(open(path, O_RDONLY));
	have(memfd_create("memory", 0));
}

static void open_streams(void)
{
	char path[32];
	int pair[2];

	check(pipe2(pair, O_NONBLOCK) == 0 && write(pair[1], "piped", 5) == 5);
	have_both(pair);
	made->pipe = pair[0];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", pair[0]);
	made->path = open(path, O_PATH);
	have(made->path);
	check(mkfifo("fifo", 0600) == 0);
	made->fifo = open("fifo", O_RDWR);
	have(made->fifo);
	check(write(made->fifo, "named", 5) == 5);
	check(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && write(pair[1], "sent", 4) == 4);
	have_both(pair);
	made->pair = pair[0];
	have(socket(AF_INET, SOCK_DGRAM, 0));
	pair[0] = posix_openpt(O_RDWR | O_NOCTTY);
	check(pair[0] >= 0 && grantpt(pair[0]) == 0 && unlockpt(pair[0]) == 0);
	pair[1] = open(ptsname(pair[0]), O_RDWR | O_NOCTTY);
	have_both(pair);
	made->tty = pair[1];
	check(write(pair[0], "typed\n", 6) == 6);
}

static void open_events(void)
{
	struct epoll_event event = { .events = EPOLLIN };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	made->count = eventfd(7, 0);
	have(made->count);
	made->semaphore = eventfd(3, EFD_SEMAPHORE);
	have(made->semaphore);
	check(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	have(signalfd(-1, &set, 0));
	have(timerfd_create(CLOCK_MONOTONIC, 0));
	made->epoll = epoll_create1(0);
	have(made->epoll);
	check(epoll_ctl(made->epoll, EPOLL_CTL_ADD, made->count, &event) == 0);
	have(inotify_init1(0));
	check(inotify_add_watch(fds[n - 1], "file", IN_ATTRIB) == 1);
	have((int)syscall(SYS_pidfd_open, getpid(), 0));
}

static int open_queue(void)
{
	struct mq_attr attr = { .mq_maxmsg = 4, .mq_msgsize = 16 };
	char name[48];
	mqd_t q;

	snprintf(name, sizeof(name), "/crtool-passed-%d", getpid());
	q = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
	check(q >= 0 && mq_unlink(name) == 0 && mq_send(q, "queued", 6, 7) == 0);
	return q;
}

static int bpf(int command, int fd, uint64_t *value)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 4
	};
	uint32_t key = 3;

	if (command != BPF_MAP_CREATE) {
		attr = (union bpf_attr){};
		attr.map_fd = (uint32_t)fd;
		attr.key = (uint64_t)&key;
		attr.value = (uint64_t)value;
	}
	return (int)syscall(SYS_bpf, command, &attr, sizeof(attr));
}

static uint8_t *map_ring(int fd)
{
	uint8_t *ring =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQ_RING);

	check(ring != MAP_FAILED);
	return ring;
}

static uint32_t *ring_word(uint8_t *ring, uint32_t offset)
{
	return (uint32_t *)(void *)(ring + offset);
}

/* With the completion of a request to do nothing. */
static int open_ring(struct io_uring_params *p)
{
	int fd = (int)syscall(SYS_io_uring_setup, 4, p);

	if (fd < 0)
		return fd;
	*ring_word(map_ring(fd), p->sq_off.tail) = 1;
	check(syscall(SYS_io_uring_enter, fd, 1, 0, 0, NULL, 0) == 1);
	return fd;
}

static void open_kernel(void)
{
	uint64_t value = 42;

	made->queue = may_have(open_queue());
	made->ns = may_have(open("/proc/self/ns/uts", O_RDONLY));
	made->tun = may_have(open("/dev/net/tun", O_RDWR));
	made->map = may_have(bpf(BPF_MAP_CREATE, 0, NULL));
	check(made->map < 0 || bpf(BPF_MAP_UPDATE_ELEM, made->map, &value) == 0);
	made->ring = may_have(open_ring(&made->ring_params));
	made->fanotify = may_have(fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK, O_RDONLY));
	check(made->fanotify < 0 ||
	      fanotify_mark(made->fanotify, FAN_MARK_ADD, FAN_MODIFY, AT_FDCWD, "file") == 0);
}

/* The descriptors of Z, one after the other; NULL: that were all. */
static int *rest_at(struct rest *z, size_t i)
{
	int *const all[] = { &z->listener, &z->udp,      &z->raw,           &z->netlink,
		             &z->packet,   &z->dgram[0], &z->dgram[1],      &z->vsock,
		             &z->kmsg,     &z->sysfs,    &z->cgroup,        &z->lease,
		             &z->ofd,      &z->tmpfile,  &z->nameless_fifo, &z->nested_dir };

	return i < sizeof(all) / sizeof(*all) ? all[i] : NULL;
}

static void open_all(void)
{
	open_files();
	open_streams();
	open_events();
	open_kernel();
	rest_make_files(&made->rest);
	rest_make_sockets(&made->rest);
	for (size_t i = 0; rest_at(&made->rest, i); i++)
		may_have(*rest_at(&made->rest, i));
}

/* The number that it has there, and here; false: that was all. */
static bool receive_one(int from)
{
	int fd = scm_receive(from, &theirs[n]);

	if (fd >= 0)
		fds[n++] = fd;
	return fd >= 0;
}

static bool same(pid_t pid, size_t i, size_t k)
{
	return syscall(SYS_kcmp, pid, getpid(), KCMP_FILE, theirs[i], fds[k]) == 0;
}

static void compare(pid_t pid)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < n; k++)
			check(same(pid, i, k) == (i == k));
}

/* What is number THEIRS there. */
static int mine(int number)
{
	for (size_t i = 0; i < n; i++)
		if (theirs[i] == number)
			return fds[i];
	return -1;
}

static void holds(int number, const char *text)
{
	char buf[64] = "";

	check(read(mine(number), buf, sizeof(buf) - 1) == (ssize_t)strlen(text));
	check(!strcmp(buf, text));
}

static void check_content(void)
{
	struct epoll_event event;
	uint64_t value;
	char c;

	check(lseek(mine(made->file), 0, SEEK_CUR) == 4);
	check(lseek(mine(made->gone), 0, SEEK_SET) == 0);
	holds(made->file, "456789");
	holds(made->gone, "gone");
	holds(made->pipe, "piped");
	check(fcntl(mine(made->path), F_GETFL) & O_PATH && read(mine(made->pipe), &c, 1) < 0);
	holds(made->fifo, "named");
	holds(made->pair, "sent");
	holds(made->tty, "typed\n");
	check(epoll_wait(mine(made->epoll), &event, 1, 0) == 1);
	check(read(mine(made->count), &value, 8) == 8 && value == 7);
	check(epoll_wait(mine(made->epoll), &event, 1, 0) == 0);
	for (int i = 0; i < 3; i++)
		check(read(mine(made->semaphore), &value, 8) == 8 && value == 1);
}

static void check_kernel(void)
{
	char text[64];
	unsigned priority;
	uint64_t value;

	check(mq_receive(mine(made->queue), text, 16, &priority) == 6 && priority == 7);
	check(made->ns < 0 || setns(mine(made->ns), 0) == 0);
	check(made->tun < 0 || fcntl(mine(made->tun), F_GETFL) & O_RDWR);
	check(made->map < 0 ||
	      (bpf(BPF_MAP_LOOKUP_ELEM, mine(made->map), &value) == 0 && value == 42));
	check(made->ring < 0 ||
	      *ring_word(map_ring(mine(made->ring)), made->ring_params.cq_off.tail) == 1);
	if (made->fanotify < 0)
		return;
	check(read(mine(made->fanotify), text, sizeof(text)) < 0 && errno == EAGAIN);
	check(pwrite(mine(made->file), "x", 1, 0) == 1);
	check(read(mine(made->fanotify), text, sizeof(text)) > 0);
}

static void check_rest(void)
{
	struct rest z = made->rest;

	for (size_t i = 0; rest_at(&z, i); i++)
		*rest_at(&z, i) = mine(*rest_at(&z, i));
	rest_check_files(&z);
	rest_check_sockets(&z);
}

static void wait_for(const char *path)
{
	while (access(path, F_OK) < 0) {
		check(waitpid(-1, NULL, WNOHANG) <= 0); /* one that has failed */
		zdtm_nap();
	}
}

static void make_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	check(fd >= 0 && close(fd) == 0);
}

/* Its own numbers. */
static void move_up(void)
{
	for (size_t i = 0; i < n; i++) {
		int high = fcntl(fds[i], F_DUPFD, HIGH);

		check(high >= HIGH && close(fds[i]) == 0);
		fds[i] = high;
	}
}

static void compare_twice(pid_t pid)
{
	move_up();
	compare(pid);
	make_file("received");
	while (!zdtm_released())
		zdtm_nap();
	compare(pid);
	check(fcntl(mine(made->rest.lease), F_GETOWN) == made->holder);
	check_content();
	check_kernel();
	check_rest();
	make_file("compared");
	_exit(0);
}

/* A ring cannot be sent. */
static void fetch_ring(pid_t pid)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (made->ring < 0)
		return;
	check(pidfd >= 0);
	theirs[n] = made->ring;
	have((int)syscall(SYS_pidfd_getfd, pidfd, made->ring, 0));
	check(close(pidfd) == 0);
}

static void receiver(int from, pid_t pid)
{
	while (receive_one(from))
		check(n < MANY);
	fetch_ring(pid);
	check(n > 20 && close(from) == 0);
	compare_twice(pid);
}

static void waiter(void)
{
	wait_for("compared");
	_exit(0);
}

static void opener(int to)
{
	open_all();
	for (size_t i = 0; i < n; i++)
		if (fds[i] != made->ring)
			scm_send(to, fds[i]);
	check(close(to) == 0);
	waiter();
}

/* Two that have all from who has ended. */
static void forker(pid_t both[2])
{
	pid_t pid;

	open_all();
	memcpy(theirs, fds, sizeof(fds));
	pid = fork();
	if (pid == 0)
		waiter();
	both[0] = pid;
	pid = fork();
	if (pid == 0)
		compare_twice(both[0]);
	both[1] = pid;
	check(both[0] > 0 && both[1] > 0);
	_exit(0);
}

static void end_of(pid_t pid)
{
	int status;

	check(waitpid(pid, &status, 0) == pid && status == 0);
}

static void start_orphans(pid_t *first, pid_t *second)
{
	pid_t *both = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	check(both != MAP_FAILED && prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
	pid = fork();
	check(pid >= 0);
	if (pid == 0)
		forker(both);
	end_of(pid);
	*first = both[0], *second = both[1];
}

static void start_strangers(pid_t *first, pid_t *second)
{
	int ends[2];

	check(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
	*first = fork();
	if (*first == 0) {
		check(close(ends[1]) == 0);
		opener(ends[0]);
	}
	check(close(ends[0]) == 0);
	*second = fork();
	if (*second == 0)
		receiver(ends[1], *first);
	check(close(ends[1]) == 0);
	made->holder = *first;
}

int main(int argc, char **argv)
{
	pid_t first, second;

	made = mmap(NULL, sizeof(*made), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	check(made != MAP_FAILED);
	if (argc > 1)
		start_orphans(&first, &second);
	else
		start_strangers(&first, &second);
	wait_for("received");

	zdtm_park();

	end_of(second);
	end_of(first);
	return zdtm_pass();
}
