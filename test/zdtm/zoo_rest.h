/* The rest of the zoo: the network, leases, nameless files, the kernel's trees, SysV IPC, who is notified. */
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <mqueue.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <unistd.h>

#include "zdtm.h"

struct rest {
	int listener, udp, raw, netlink, packet, dgram[2];
	int vsock, semaphores, messages;
	int kmsg, sysfs, cgroup, lease, ofd, tmpfile, nameless_fifo, nested_dir;
	struct sockaddr_in tcp_at, udp_at;
};

static int sock(int family, int type, int protocol)
{
	int fd = socket(family, type, protocol);

	check(fd >= 0);
	return fd;
}

static void bind_loopback(int fd, struct sockaddr_in *ret)
{
	socklen_t len = sizeof(*ret);

	*ret = (struct sockaddr_in){ .sin_family = AF_INET };
	ret->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	check(bind(fd, (struct sockaddr *)ret, len) == 0);
	check(getsockname(fd, (struct sockaddr *)ret, &len) == 0);
}

static void rest_make_sockets(struct rest *z)
{
	struct sockaddr_ll lo = { .sll_family = AF_PACKET,
		                  .sll_protocol = htons(ETH_P_ARP),
		                  .sll_ifindex = (int)if_nametoindex("lo") };

	z->listener = sock(AF_INET, SOCK_STREAM, 0);
	bind_loopback(z->listener, &z->tcp_at);
	check(listen(z->listener, 5) == 0);
	z->udp = sock(AF_INET, SOCK_DGRAM, 0);
	bind_loopback(z->udp, &z->udp_at);
	check(sendto(z->udp, "datagram", 8, 0, (struct sockaddr *)&z->udp_at, sizeof(z->udp_at)) ==
	      8);
	z->raw = sock(AF_INET, SOCK_RAW, IPPROTO_ICMP);
	z->netlink = sock(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	z->packet = sock(AF_PACKET, SOCK_DGRAM, 0);
	check(bind(z->packet, (struct sockaddr *)&lo, sizeof(lo)) == 0);
	z->vsock = socket(AF_VSOCK, SOCK_STREAM, 0); /* if there are any */
	check(socketpair(AF_UNIX, SOCK_DGRAM, 0, z->dgram) == 0);
	check(write(z->dgram[0], "one", 3) == 3 && write(z->dgram[0], "two", 3) == 3);
}

static void rest_make_files(struct rest *z)
{
	struct flock lock = { .l_type = F_WRLCK, .l_start = 10, .l_len = 5 };

	z->kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);         /* if it may be read */
	z->cgroup = open("/sys/fs/cgroup", O_RDONLY | O_DIRECTORY); /* if there are any */
	z->sysfs = open("/sys/kernel/uevent_seqnum", O_RDONLY);
	check(close(open("leased", O_RDWR | O_CREAT, 0600)) == 0);
	z->lease = open("leased", O_RDONLY);
	check(z->lease >= 0 && fcntl(z->lease, F_SETLEASE, F_RDLCK) == 0);
	z->ofd = open("locked", O_RDWR | O_CREAT, 0600);
	check(z->ofd >= 0 && fcntl(z->ofd, F_OFD_SETLK, &lock) == 0);
	z->tmpfile = open(".", O_RDWR | O_TMPFILE, 0600);
	if (z->tmpfile >= 0) /* else this file system has none */
		check(write(z->tmpfile, "nameless", 8) == 8);
	check(mkfifo("gone", 0600) == 0);
	z->nameless_fifo = open("gone", O_RDWR);
	check(z->nameless_fifo >= 0 && unlink("gone") == 0);
	check(write(z->nameless_fifo, "kept", 4) == 4);
	check(mkdir("removed", 0700) == 0);
	z->nested_dir = open("removed", O_RDONLY | O_DIRECTORY);
	check(z->nested_dir >= 0 && rmdir("removed") == 0);
}

struct rest_message {
	long type;
	char text[8];
};

static inline void rest_make_sysv(struct rest *z)
{
	struct rest_message message = { 7, "posted" };

	z->semaphores = semget(IPC_PRIVATE, 2, 0600);
	z->messages = msgget(IPC_PRIVATE, 0600);
	check(z->semaphores >= 0 && z->messages >= 0);
	check(semctl(z->semaphores, 1, SETVAL, 5) == 0);
	check(msgsnd(z->messages, &message, sizeof(message.text), 0) == 0);
}

/* They go with it. */
static inline void rest_check_sysv(const struct rest *z)
{
	struct rest_message message = {};

	check(semctl(z->semaphores, 1, GETVAL) == 5 && semctl(z->semaphores, 0, GETVAL) == 0);
	check(msgrcv(z->messages, &message, sizeof(message.text), 7, IPC_NOWAIT) == 8);
	check(!strcmp(message.text, "posted"));
	check(semctl(z->semaphores, 0, IPC_RMID) == 0 && msgctl(z->messages, IPC_RMID, NULL) == 0);
}

/* Q is empty no more. */
static inline void rest_make_notified(mqd_t q)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN };

	event.sigev_value.sival_int = 77;
	check(mq_notify(q, &event) == 0);
}

static void rest_check_sockets(const struct rest *z)
{
	int fd = sock(AF_INET, SOCK_STREAM, 0);
	char buf[16];
	struct {
		struct nlmsghdr head;
		struct rtgenmsg msg;
	} ask = { { sizeof(ask), RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 1, 0 }, { AF_UNSPEC } };

	check(connect(fd, (const struct sockaddr *)&z->tcp_at, sizeof(z->tcp_at)) == 0);
	check(accept(z->listener, NULL, NULL) >= 0);
	check(recv(z->udp, buf, sizeof(buf), 0) == 8 && !memcmp(buf, "datagram", 8));
	check(send(z->netlink, &ask, sizeof(ask), 0) == sizeof(ask));
	check(recv(z->netlink, buf, sizeof(buf), MSG_TRUNC) > 16);
	check(recv(z->raw, buf, sizeof(buf), MSG_DONTWAIT) < 0 && errno == EAGAIN);
	check(recv(z->packet, buf, sizeof(buf), MSG_DONTWAIT) < 0 && errno == EAGAIN);
	check(read(z->dgram[1], buf, 16) == 3 && !memcmp(buf, "one", 3));
	check(read(z->dgram[1], buf, 16) == 3 && !memcmp(buf, "two", 3));
}

static void rest_check_files(const struct rest *z)
{
	struct flock lock = { .l_type = F_WRLCK, .l_len = 20 };
	int other = open("locked", O_RDWR);
	char buf[16];

	check(z->sysfs < 0 || read(z->sysfs, buf, 1) == 1);
	check(z->cgroup < 0 || faccessat(z->cgroup, ".", F_OK, 0) == 0);
	check(z->kmsg < 0 || (fcntl(z->kmsg, F_GETFL) & O_NONBLOCK));
	check(fcntl(z->lease, F_GETLEASE) == F_RDLCK);
	check(other >= 0 && fcntl(other, F_OFD_GETLK, &lock) == 0);
	check(lock.l_type == F_WRLCK && lock.l_start == 10 && lock.l_len == 5 && lock.l_pid == -1);
	check(z->tmpfile < 0 ||
	      (pread(z->tmpfile, buf, 16, 0) == 8 && !memcmp(buf, "nameless", 8)));
	check(read(z->nameless_fifo, buf, 16) == 4 && !memcmp(buf, "kept", 4));
	check(openat(z->nested_dir, "x", O_CREAT | O_RDWR, 0600) < 0 && errno == ENOENT);
}

/* Before anybody else sends to Q. */
static inline void rest_check_notified(mqd_t q)
{
	const struct timespec soon = { .tv_sec = 10 };
	siginfo_t si;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	check(mq_send(q, "told", 4, 0) == 0);
	check(sigtimedwait(&set, &si, &soon) == SIGRTMIN && si.si_value.sival_int == 77);
}
