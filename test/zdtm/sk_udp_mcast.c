/* Multicasts: sk_udp_mcast told|members [4|6 [DEVICE ADDRESS]] */
#include <net/if.h>
#include <sys/stat.h>
#include <unistd.h>

#include "udp.h"

/* What it was sent to, on which interface: one datagram to an address, one to a group. */
static void told_check(int fd, const char *dest)
{
	struct addr want = addr_of(dest, 0);
	char buf[16], control[256];
	struct iovec iov = { buf, sizeof(buf) };
	struct msghdr msg = { .msg_iov = &iov,
		              .msg_iovlen = 1,
		              .msg_control = control,
		              .msg_controllen = sizeof(control) };
	struct cmsghdr *c;

	check(recvmsg(fd, &msg, MSG_DONTWAIT) == 1);
	c = CMSG_FIRSTHDR(&msg);
	check(c && c->cmsg_type == (six ? IPV6_PKTINFO : IP_PKTINFO));
	if (six) {
		const struct in6_pktinfo *info = (const void *)CMSG_DATA(c);

		check(!memcmp(&info->ipi6_addr, &want.v6.sin6_addr, 16));
		check(info->ipi6_ifindex == if_nametoindex(device));
	} else {
		const struct in_pktinfo *info = (const void *)CMSG_DATA(c);

		check(info->ipi_addr.s_addr == want.v4.sin_addr.s_addr);
		check(info->ipi_ifindex == (int)if_nametoindex(device));
	}
}

static void told(void)
{
	const char *multi = six ? "ff12::77" : "239.1.2.3";
	int fd = make(), sender = bound_at(host());
	struct group_req req = { .gr_interface = if_nametoindex(device) };
	struct addr a = addr_of(multi, 0);

	memcpy(&req.gr_group, &a.sa, a.len);
	set(fd, six ? IPPROTO_IPV6 : IPPROTO_IP, six ? IPV6_RECVPKTINFO : IP_PKTINFO, 1);
	bind_to(fd, six ? "::" : "0.0.0.0", 0);
	check(setsockopt(fd, six ? IPPROTO_IPV6 : IPPROTO_IP, MCAST_JOIN_GROUP, &req,
	                 sizeof(req)) == 0);
	if (six)
		set(sender, IPPROTO_IPV6, IPV6_MULTICAST_IF, (int)if_nametoindex(device));
	send_to(sender, six ? host() : "127.0.0.3", port_of(fd), "u");
	send_to(sender, multi, port_of(fd), "m");

	zdtm_park();

	told_check(fd, six ? host() : "127.0.0.3");
	told_check(fd, multi);
	empty(fd);
}

static void member_set(int fd, int name, const char *multi, const char *source)
{
	struct group_source_req req = { .gsr_interface = if_nametoindex(device) };
	struct addr a = addr_of(multi, 0), b = addr_of(source, 0);

	memcpy(&req.gsr_group, &a.sa, a.len);
	memcpy(&req.gsr_source, &b.sa, b.len);
	check(setsockopt(fd, six ? IPPROTO_IPV6 : IPPROTO_IP, name, &req,
	                 name == MCAST_JOIN_GROUP ? sizeof(struct group_req) : sizeof(req)) == 0);
}

static void join(int fd, const char *multi)
{
	struct group_req req = { .gr_interface = if_nametoindex(device) };
	struct addr a = addr_of(multi, 0);

	memcpy(&req.gr_group, &a.sa, a.len);
	check(setsockopt(fd, six ? IPPROTO_IPV6 : IPPROTO_IP, MCAST_JOIN_GROUP, &req,
	                 sizeof(req)) == 0);
}

/* As MODE, sources; -1: in that group it is not. */
static void member_check(int fd, const char *multi, int mode, unsigned sources)
{
	char buf[GROUP_FILTER_SIZE(8)] = {};
	struct group_filter *filter = (void *)buf;
	socklen_t len = sizeof(buf);
	struct addr a = addr_of(multi, 0);
	int r;

	filter->gf_interface = if_nametoindex(device);
	filter->gf_numsrc = 8;
	memcpy(&filter->gf_group, &a.sa, a.len);
	r = getsockopt(fd, six ? IPPROTO_IPV6 : IPPROTO_IP, MCAST_MSFILTER, buf, &len);
	check(mode < 0 ? r < 0 && errno == EADDRNOTAVAIL : r == 0);
	check(mode < 0 || (filter->gf_fmode == (unsigned)mode && filter->gf_numsrc == sources));
}

static void members(void)
{
	const char *all = six ? "ff12::1:1" : "239.0.0.1", *some = six ? "ff12::1:2" : "239.0.0.2",
		   *most = six ? "ff12::1:3" : "239.0.0.3";
	int fd = make(), other = make(), sender = bound_at(host());

	bind_to(fd, six ? "::" : "0.0.0.0", 0);
	join(fd, all);
	member_set(fd, MCAST_JOIN_SOURCE_GROUP, some, host());
	member_set(fd, MCAST_JOIN_SOURCE_GROUP, some, six ? "fd09::8" : "10.9.0.9");
	join(fd, most);
	member_set(fd, MCAST_BLOCK_SOURCE, most, host());
	join(other, most);
	if (six)
		set(sender, IPPROTO_IPV6, IPV6_MULTICAST_IF, (int)if_nametoindex(device));

	zdtm_park();

	member_check(fd, all, MCAST_EXCLUDE, 0);
	member_check(fd, some, MCAST_INCLUDE, 2);
	member_check(fd, most, MCAST_EXCLUDE, 1);
	member_check(other, all, -1, 0);
	member_check(other, most, MCAST_EXCLUDE, 0);
	send_to(sender, all, port_of(fd), "1");
	send_to(sender, some, port_of(fd), "2");
	send_to(sender, most, port_of(fd), "3");
	got(fd, "1", host(), port_of(sender));
	got(fd, "2", host(), port_of(sender));
	empty(fd);
}

int main(int argc, char **argv)
{
	arguments(argc, argv);
	if (!strcmp(argv[1], "told"))
		told();
	else
		members();
	return zdtm_pass();
}
