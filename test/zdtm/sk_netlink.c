/* Netlink sockets: sk_netlink route|talk|groups|queue|other */
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "zdtm.h"

static int make(int type, int protocol, uint32_t portid, uint32_t groups)
{
	struct sockaddr_nl at = { .nl_family = AF_NETLINK, .nl_pid = portid, .nl_groups = groups };
	int fd = socket(AF_NETLINK, type, protocol);

	check(fd >= 0);
	check(bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0);
	return fd;
}

static struct sockaddr_nl name(int fd, bool peer)
{
	struct sockaddr_nl at = {};
	socklen_t len = sizeof(at);

	check((peer ? getpeername : getsockname)(fd, (struct sockaddr *)&at, &len) == 0);
	return at;
}

static void set(int fd, int option)
{
	check(setsockopt(fd, SOL_NETLINK, option, &(int){ 1 }, sizeof(int)) == 0);
}

static int get(int fd, int option)
{
	int value = -1;

	check(getsockopt(fd, SOL_NETLINK, option, &value, &(socklen_t){ sizeof(value) }) == 0);
	return value;
}

/* The loopback device has another MTU: all who listen to RTNLGRP_LINK hear of it. */
static void change(void)
{
	struct ifreq req = { .ifr_name = "lo" };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	check(ioctl(fd, SIOCGIFMTU, &req) == 0);
	req.ifr_mtu ^= 1;
	check(ioctl(fd, SIOCSIFMTU, &req) == 0);
	close(fd);
}

static uint16_t heard(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	union {
		struct nlmsghdr head;
		char bytes[8192];
	} msg;

	check(poll(&p, 1, 10000) == 1);
	check(recv(fd, &msg, sizeof(msg), 0) >= (ssize_t)sizeof(msg.head));
	return msg.head.nlmsg_type;
}

static void ask(int fd)
{
	struct {
		struct nlmsghdr head;
		struct ifinfomsg info;
	} req = { .head = { .nlmsg_len = sizeof(req),
		            .nlmsg_type = RTM_GETLINK,
		            .nlmsg_flags = NLM_F_REQUEST },
		  .info = { .ifi_index = 1 } };

	check(send(fd, &req, sizeof(req), 0) == sizeof(req));
}

/* One that listens, one that asks; one that has done nothing yet. */
static void route(void)
{
	int monitor = make(SOCK_RAW, NETLINK_ROUTE, 0, RTMGRP_LINK);
	int asker = make(SOCK_DGRAM, NETLINK_ROUTE, 0, 0), fresh;
	uint32_t portid = name(monitor, false).nl_pid, other = name(asker, false).nl_pid;

	fresh = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK, NETLINK_ROUTE);
	check(fresh >= 0 && portid && other);
	set(asker, NETLINK_EXT_ACK);
	set(asker, NETLINK_CAP_ACK);
	set(asker, NETLINK_GET_STRICT_CHK);
	set(monitor, NETLINK_PKTINFO);
	set(monitor, NETLINK_NO_ENOBUFS);
	set(monitor, NETLINK_BROADCAST_ERROR);
	check(setsockopt(monitor, SOL_SOCKET, SO_RCVBUF, &(int){ 70000 }, sizeof(int)) == 0);
	ask(asker);
	check(heard(asker) == RTM_NEWLINK);

	zdtm_park();

	check(name(monitor, false).nl_pid == portid && name(asker, false).nl_pid == other);
	check(name(monitor, false).nl_groups == RTMGRP_LINK && !name(asker, false).nl_groups);
	check(!name(fresh, false).nl_pid);
	check(get(asker, NETLINK_EXT_ACK) && get(asker, NETLINK_CAP_ACK));
	check(get(asker, NETLINK_GET_STRICT_CHK) && !get(asker, NETLINK_PKTINFO));
	check(get(monitor, NETLINK_PKTINFO) && get(monitor, NETLINK_NO_ENOBUFS));
	check(get(monitor, NETLINK_BROADCAST_ERROR) && !get(monitor, NETLINK_EXT_ACK));
	ask(asker);
	check(heard(asker) == RTM_NEWLINK);
	change();
	check(heard(monitor) == RTM_NEWLINK);
	check(recv(fresh, &portid, 1, 0) < 0 && errno == EAGAIN);
}

/* Two programs' sockets, one connected to the other; a group that both are in. */
static void talk(void)
{
	uint32_t base = (uint32_t)getpid();
	int a = make(SOCK_RAW, NETLINK_USERSOCK, base, 0);
	int b = make(SOCK_RAW, NETLINK_USERSOCK, base + 0x10000000, 4);
	struct sockaddr_nl to = { .nl_family = AF_NETLINK, .nl_pid = base + 0x10000000 };
	char buf[8];

	check(connect(a, (struct sockaddr *)&to, sizeof(to)) == 0);
	to = (struct sockaddr_nl){ .nl_family = AF_NETLINK, .nl_pid = base, .nl_groups = 4 };
	check(connect(b, (struct sockaddr *)&to, sizeof(to)) == 0);

	zdtm_park();

	check(name(a, true).nl_pid == base + 0x10000000 && !name(a, true).nl_groups);
	check(name(b, true).nl_groups == 4 && name(b, true).nl_pid == base);
	check(send(a, "hello", 5, 0) == 5);
	check(recv(b, buf, sizeof(buf), 0) == 5 && !memcmp(buf, "hello", 5));
}

/* As udevadm monitor and those who listen to families of NETLINK_GENERIC have them. */
static void groups(void)
{
	int uevent = make(SOCK_RAW, NETLINK_KOBJECT_UEVENT, 0, 3);
	int generic = make(SOCK_RAW, NETLINK_GENERIC, 0, 0);
	int high = make(SOCK_RAW, NETLINK_ROUTE, 0, 0);
	uint32_t mask[32] = {};

	check(setsockopt(generic, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &(int){ 16 }, sizeof(int)) ==
	      0);
	check(setsockopt(high, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &(int){ RTNLGRP_NEXTHOP },
	                 sizeof(int)) == 0);
	check(setsockopt(uevent, SOL_SOCKET, SO_PASSCRED, &(int){ 1 }, sizeof(int)) == 0);

	zdtm_park();

	check(name(uevent, false).nl_groups == 3);
	check(name(generic, false).nl_groups == 1U << 15);
	check(getsockopt(high, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, mask,
	                 &(socklen_t){ sizeof(mask) }) == 0);
	check(mask[0] == 1U << (RTNLGRP_NEXTHOP - 1) % 32 || RTNLGRP_NEXTHOP > 32);
	check(RTNLGRP_NEXTHOP <= 32 || mask[1] == 1U << (RTNLGRP_NEXTHOP - 33));
}

/* An answer that nobody has read. */
static void queue(void)
{
	int fd = make(SOCK_RAW, NETLINK_ROUTE, 0, 0);
	char c;

	ask(fd);

	zdtm_park();

	check(recv(fd, &c, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
	ask(fd);
	check(heard(fd) == RTM_NEWLINK);
}

int main(int argc, char **argv)
{
	check(argc > 1);
	if (!strcmp(argv[1], "route"))
		route();
	else if (!strcmp(argv[1], "talk"))
		talk();
	else if (!strcmp(argv[1], "groups"))
		groups();
	else if (!strcmp(argv[1], "queue"))
		queue();
	else {
		check(socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER) >= 0);
		zdtm_park();
	}
	return zdtm_pass();
}
