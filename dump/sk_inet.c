#include "dump/sk_inet.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/net_tstamp.h>
#include <netinet/tcp.h>
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

bool sk_inet_is(const struct file *f)
{
	return f->sock.family == AF_INET || f->sock.family == AF_INET6;
}

static int netns_cookie(int fd, uint64_t *ret)
{
	return getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, ret, &(socklen_t){ sizeof(*ret) }) < 0
	               ? -errno
	               : 0;
}

static int own_cookie(struct dump *d)
{
	auto_close int own = -1;

	if (d->netns_cookie)
		return 0;
	own = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return own < 0 ? -errno : netns_cookie(own, &d->netns_cookie);
}

int sk_inet_check_netns(struct dump *d, const struct file *f, int fd)
{
	uint64_t there = 0;
	int r = own_cookie(d);

	if (r == 0)
		r = netns_cookie(fd, &there);
	if (r ==
	    -ENOPROTOOPT) /* before 5.14 nothing tells; tasks of other namespaces are refused */
		return 0;
	if (r < 0)
		return fail(r, "%s: which network namespace it is of", file_name(f));
	if (d->netns_cookie != there)
		return fail(-ENOTSUP,
		            "%s (%s): is of another network namespace than crtool: run crtool in "
		            "that one (nsenter -n)",
		            file_name(f), file_describe(f));
	return 0;
}

/* Below the address family: what speaks for the protocol. UDP-Lite has the options of UDP besides its own. */
static size_t protocol_levels(const struct file *f, uint32_t *levels)
{
	size_t n = 0;

	if (f->sock.type == SOCK_RAW) {
		levels[n++] = SOL_RAW;
		if (f->sock.protocol == IPPROTO_ICMPV6)
			levels[n++] = IPPROTO_ICMPV6;
		return n;
	}
	if (f->sock.protocol == IPPROTO_UDPLITE)
		levels[n++] = IPPROTO_UDP;
	levels[n++] = f->sock.protocol == IPPROTO_MPTCP ? IPPROTO_TCP : (uint32_t)f->sock.protocol;
	return n;
}

size_t sk_inet_levels(const struct file *f, uint32_t levels[SK_INET_LEVELS])
{
	size_t n = 0;

	levels[n++] = SOL_SOCKET;
	levels[n++] = IPPROTO_IP;
	if (f->sock.family == AF_INET6)
		levels[n++] = IPPROTO_IPV6;
	return n + protocol_levels(f, levels + n);
}

int sk_inet_options(struct dump *d, const struct file *f, int fd,
                    const struct sockopt_source *source, struct sockopts *into)
{
	uint32_t levels[SK_INET_LEVELS];
	size_t n = sk_inet_levels(f, levels);
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = sockopts_read_from(d, f, fd, levels[i], source, into);
	return r;
}

int sk_inet_refused(struct dump *d, const struct file *f, int fd)
{
	uint32_t levels[SK_INET_LEVELS];
	size_t n = sk_inet_levels(f, levels);
	int r = sockopts_filter_check(f, fd);

	for (size_t i = 0; i < n && r == 0; i++)
		r = sockopts_refused(d, f, fd, levels[i]);
	return r;
}

int sk_inet_options_try(struct dump *d, const struct file *f, int fd,
                        const struct sockopt_source *source, struct sockopts *into)
{
	uint32_t levels[SK_INET_LEVELS];
	size_t n = sk_inet_levels(f, levels);
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = sockopts_try(d, f, fd, levels[i], source, into);
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

/* Whether stamps are counted is one of the flags that come first. */
static bool stamps_counted(const struct sockopts *opts)
{
	uint32_t flags = 0;

	array_each (v, &opts->all)
		if (v->level == SOL_SOCKET && v->name == SO_TIMESTAMPING &&
		    v->value.len >= sizeof(flags))
			memcpy(&flags, v->value.data, sizeof(flags));
	return flags & SOF_TIMESTAMPING_OPT_ID;
}

void sk_inet_lose_counters(const struct file *f, const struct sockopts *opts)
{
	if (sockopts_int(opts, SOL_SOCKET, SO_ZEROCOPY, 0))
		lose("%s (%s): has SO_ZEROCOPY set: what is sent with MSG_ZEROCOPY is counted from "
		     "zero again, and that what is under way has been sent will not be told",
		     file_name(f), file_describe(f));
	if (stamps_counted(opts))
		lose("%s (%s): has SOF_TIMESTAMPING_OPT_ID set: what is sent is counted from zero "
		     "again",
		     file_name(f), file_describe(f));
}
