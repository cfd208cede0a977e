/*
 * A program with one thing that crtool does not carry: odd NAME. It passes
 * when it is released and still has it. "odd list" names all; 77: not here.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/landlock.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "zdtm.h"

static int in_socket_packet(void)
{
	return socket(AF_INET, SOCK_PACKET, 0);
}

/* An idle one that is not polled is carried. */
static int in_io_uring(void)
{
	struct io_uring_params params = {};
	int fd = (int)syscall(SYS_io_uring_setup, 4, &params), event = eventfd(0, 0);

	return fd < 0 ? fd
	              : (int)syscall(SYS_io_uring_register, fd, IORING_REGISTER_EVENTFD, &event, 1);
}

static int in_userfaultfd(void)
{
	return (int)syscall(SYS_userfaultfd, UFFD_USER_MODE_ONLY);
}

static int in_perf(void)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_SOFTWARE,
		                        .size = sizeof(attr),
		                        .config = PERF_COUNT_SW_TASK_CLOCK,
		                        .exclude_kernel = 1 };

	return (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}

static int in_pidfd(void)
{
	return (int)syscall(SYS_pidfd_open, getppid(), 0);
}

static int in_landlock(void)
{
	struct landlock_ruleset_attr attr = { .handled_access_fs = LANDLOCK_ACCESS_FS_EXECUTE };

	return (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
}

static int in_fsopen(void)
{
	return (int)syscall(SYS_fsopen, "tmpfs", 0);
}

/* A listener for the filter of a thread that has ended needs no filter here. */
static int in_seccomp_notify(void)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog prog = { 1, &allow };

	check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
	                    &prog);
}

static int in_memfd_secret(void)
{
	int fd = (int)syscall(SYS_memfd_secret, 0);

	if (fd < 0)
		return fd;
	check(ftruncate(fd, 4096) == 0);
	check(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED);
	close(fd);
	return 0;
}

static int in_io_uring_mapping(void)
{
	struct io_uring_params params = {};
	int fd = (int)syscall(SYS_io_uring_setup, 4, &params);

	if (fd < 0)
		return fd;
	check(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQ_RING) !=
	      MAP_FAILED);
	close(fd);
	return 0;
}

static int in_perf_mapping(void)
{
	int fd = in_perf();

	if (fd < 0)
		return fd;
	check(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED);
	close(fd);
	return 0;
}

static const struct {
	const char *name;
	int (*get)(void);
} odds[] = {
	{ "socket-packet", in_socket_packet },
	{ "io_uring", in_io_uring },
	{ "userfaultfd", in_userfaultfd },
	{ "perf", in_perf },
	{ "pidfd", in_pidfd },
	{ "landlock", in_landlock },
	{ "fsopen", in_fsopen },
	{ "seccomp-notify", in_seccomp_notify },
	{ "memfd_secret", in_memfd_secret },
	{ "io_uring-mapping", in_io_uring_mapping },
	{ "perf-mapping", in_perf_mapping },
};
#define ODDS (sizeof(odds) / sizeof(odds[0]))

int main(int argc, char **argv)
{
	size_t i = 0;
	int fd;

	check(argc == 2);
	while (i < ODDS && strcmp(odds[i].name, argv[1]))
		i++;
	check(i < ODDS);
	fd = odds[i].get();
	if (fd < 0)
		return 77;
	zdtm_park();
	check(fd == 0 || fcntl(fd, F_GETFD) >= 0);
	return zdtm_pass();
}
