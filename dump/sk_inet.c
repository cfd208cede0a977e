#include "dump/sk_inet.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/log.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif
#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

int sk_option(int fd, int level, int name, int *ret)
{
	return getsockopt(fd, level, name, ret, &(socklen_t){ sizeof(*ret) }) < 0 ? -errno : 0;
}

bool sk_inet_is(const struct file *f, int *ret_type, int *ret_protocol)
{
	auto_close int fd = -1;
	int family = AF_UNSPEC;

	if (!S_ISSOCK(f->st.st_mode) || (f->flags & O_PATH) || f->fd < 0)
		return false;
	fd = file_steal(f);
	return fd >= 0 && sk_option(fd, SOL_SOCKET, SO_DOMAIN, &family) == 0 &&
	       (family == AF_INET || family == AF_INET6) &&
	       sk_option(fd, SOL_SOCKET, SO_TYPE, ret_type) == 0 &&
	       sk_option(fd, SOL_SOCKET, SO_PROTOCOL, ret_protocol) == 0;
}

static int netns_cookie(int fd, uint64_t *ret)
{
	return getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, ret, &(socklen_t){ sizeof(*ret) }) < 0
	               ? -errno
	               : 0;
}

int sk_inet_check_netns(const struct file *f, int fd)
{
	auto_close int own = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint64_t here = 0, there = 0;
	int r = own < 0 ? -errno : netns_cookie(own, &here);

	if (r == 0)
		r = netns_cookie(fd, &there);
	if (r ==
	    -ENOPROTOOPT) /* before 5.14 nothing tells; tasks of other namespaces are refused */
		return 0;
	if (r < 0)
		return fail(r, "%s: which network namespace it is of", file_name(f));
	if (here != there)
		return fail(-ENOTSUP,
		            "%s (%s): is of another network namespace than crtool: run crtool in "
		            "that one (nsenter -n)",
		            file_name(f), file_describe(f));
	return 0;
}

int sk_inet_options(struct dump *d, const struct file *f, int fd, int protocol,
                    struct sockopts *into)
{
	uint32_t levels[] = { SOL_SOCKET, IPPROTO_IP, IPPROTO_IPV6, (uint32_t)protocol };
	int family = AF_INET, r = sk_option(fd, SOL_SOCKET, SO_DOMAIN, &family);

	if (protocol == IPPROTO_MPTCP)
		levels[3] = IPPROTO_TCP;
	for (size_t i = 0; i < ARRAY_SIZE(levels) && r == 0; i++)
		if (levels[i] != IPPROTO_IPV6 || family == AF_INET6)
			r = sockopts_read(d, f, fd, levels[i], into);
	return r;
}

int sk_inet_local(int fd, union inaddr *ret)
{
	socklen_t len = sizeof(*ret);

	memset(ret, 0, sizeof(*ret));
	if (getsockname(fd, &ret->sa, &len) < 0)
		return -errno;
	return inaddr_port(ret) || !inaddr_any(ret);
}
