/*
 * netlink sockets, dump half. All is asked of a stolen descriptor but the dump that is in
 * progress (a request that the kernel goes on to answer as it is read), which
 * /proc/net/netlink tells.
 *
 * Only the kernel can send what it has sent, so messages that wait cannot be carried.
 * Protocols where the kernel remembers the socket for what it has asked for
 * are refused, as nothing shows that: connectors, netfilter's queues and tables that have
 * an owner; of NETLINK_AUDIT the audit daemon, which the kernel tells.
 * Families of NETLINK_GENERIC that do so (nl80211) are
 * not told apart. Not seen: connect(2) to the kernel itself, which changes nothing but
 * that other programs cannot send to the socket.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "dump/sk_inet.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "proto/sk_netlink.pb-c.h"

#define AUDIT_MS    1000        /* the kernel answers at once */
#define INIT_PID_NS 0xEFFFFFFCU /* inode of the first pid namespace (include/linux/proc_ns.h) */

static const char *const carried[] = {
	[NETLINK_ROUTE] = "NETLINK_ROUTE",
	[NETLINK_USERSOCK] = "NETLINK_USERSOCK",
	[NETLINK_SOCK_DIAG] = "NETLINK_SOCK_DIAG",
	[NETLINK_XFRM] = "NETLINK_XFRM",
	[NETLINK_SELINUX] = "NETLINK_SELINUX",
	[NETLINK_KOBJECT_UEVENT] = "NETLINK_KOBJECT_UEVENT",
	[NETLINK_GENERIC] = "NETLINK_GENERIC",
};

int netlink_queue_parse(const char *name, bool *ret_drain)
{
	*ret_drain = name && !strcmp(name, "drain");
	return !name || *ret_drain || !strcmp(name, "refuse")
	               ? 0
	               : fail(-EINVAL, "--netlink-queue %s: is none of refuse, drain", name);
}

static bool sk_netlink_owns(const struct file *f)
{
	return f->sock.family == AF_NETLINK;
}

static int refuse_protocol(const struct file *f)
{
	int protocol = f->sock.protocol;
	const char *name = protocol == NETLINK_AUDIT       ? "NETLINK_AUDIT"
	                   : protocol == NETLINK_NETFILTER ? "NETLINK_NETFILTER"
	                   : protocol == NETLINK_CONNECTOR ? "NETLINK_CONNECTOR"
	                                                   : "";

	return fail(
		-ENOTSUP,
		"%s (netlink socket of protocol %d%s%s): the kernel may know this socket for what "
		"it has asked for, which is not supported by this version; "
		"--on-unknown-fd=null or close",
		file_name(f), protocol, *name ? ", " : "", name);
}

/* ---- the audit daemon ---- */

/* The process that the kernel sends its audit records to, 0: none. -errno. */
static int auditor_read(int nl)
{
	struct nlmsghdr req = { .nlmsg_len = NLMSG_LENGTH(0),
		                .nlmsg_type = AUDIT_GET,
		                .nlmsg_flags = NLM_F_REQUEST };
	struct {
		struct nlmsghdr head;
		struct audit_status status;
		char more[256];
	} answer = {};
	struct pollfd p = { .fd = nl, .events = POLLIN };
	ssize_t n;

	if (send(nl, &req, req.nlmsg_len, 0) < 0)
		return -errno;
	if (poll(&p, 1, AUDIT_MS) <= 0)
		return -ETIMEDOUT;
	n = recv(nl, &answer, sizeof(answer), MSG_DONTWAIT);
	if (n < (ssize_t)NLMSG_LENGTH(offsetof(struct audit_status, rate_limit)) ||
	    answer.head.nlmsg_type != AUDIT_GET)
		return -EPROTO;
	return (int)answer.status.pid;
}

/* Programs that only send (PAM, dbus-daemon) have such a socket as well: the kernel knows nothing of those. */
static bool only_sends(const struct dump *d, const struct file *f)
{
	auto_close int nl = -1;
	struct stat ns;
	int pid;

	if (f->sock.protocol != NETLINK_AUDIT)
		return false;
	/* Elsewhere the kernel lets nobody become the daemon, and answers nobody who asks. */
	if (stat("/proc/self/ns/pid", &ns) == 0 && ns.st_ino != INIT_PID_NS)
		return true;
	nl = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_AUDIT);
	pid = nl < 0 ? -errno : auditor_read(nl);
	return pid >= 0 && !(pid && task_find(d, pid));
}

/* ---- what waits ---- */

/* "ADDRESS PROTOCOL PORTID GROUPS RMEM WMEM DUMP LOCKS DROPS INODE": 1, 0, -errno. */
static int dump_runs(const struct file *f)
{
	auto_free char *text = NULL;
	ssize_t n = file_read(AT_FDCWD, "/proc/thread-self/net/netlink", &text);

	for (const char *line = n > 0 ? text : NULL; line; line = strchr(line, '\n')) {
		unsigned long long inode;
		int running;

		line += *line == '\n';
		if (sscanf(line, "%*s %*d %*u %*x %*d %*d %d %*d %*u %llu", &running, &inode) ==
		            2 &&
		    inode == f->st.st_ino)
			return running != 0;
	}
	return n < 0 ? (int)n : 0;
}

static int check_queue(struct dump *d, const struct file *f, int fd, bool tell)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int r = dump_runs(f);

	if (r < 0 || poll(&p, 1, 0) < 0)
		return fail(r < 0 ? r : -errno, "%s: what waits in it", file_name(f));
	if (r)
		return fail(-ENOTSUP,
		            "%s (%s): the kernel is in the middle of an answer to it: try again",
		            file_name(f), file_describe(f));
	if (!(p.revents & (POLLIN | POLLERR)))
		return 0;
	if (!d->opt->drain_netlink)
		return fail(-ENOTSUP,
		            "%s (%s): messages wait in it, which only their sender could send "
		            "again: try again, or let them go with --netlink-queue drain",
		            file_name(f), file_describe(f));
	if (tell)
		lose("%s (%s): the messages that wait in it", file_name(f), file_describe(f));
	return 0;
}

static int sk_netlink_check(struct dump *d, const struct file *f)
{
	auto_close int fd = file_steal(f);
	int r = fd < 0 ? fail(fd, "%s: pidfd_getfd", file_name(f)) : sk_inet_check_netns(d, f, fd);

	if (r == 0 &&
	    ((size_t)f->sock.protocol >= ARRAY_SIZE(carried) || !carried[f->sock.protocol]) &&
	    !only_sends(d, f))
		r = refuse_protocol(f);
	if (r == 0)
		r = sockopts_filter_check(f, fd);
	return r < 0 ? r : check_queue(d, f, fd, false);
}

/* ---- record ---- */

struct groups {
	ARRAY(uint32_t) all;
};

static void groups_done(struct groups *g)
{
	array_done(&g->all);
}

/* A bit for each group. There are as many as the protocol has, a few hundred at most. */
static int groups_read(const struct file *f, int fd, struct groups *groups)
{
	uint32_t mask[512] = {};
	socklen_t len = sizeof(mask);

	if (getsockopt(fd, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, mask, &len) < 0)
		return fail(-errno, "%s: which groups it is in", file_name(f));
	if (len > sizeof(mask))
		return fail(-ENOTSUP, "%s: its protocol has %u groups: too many for this version",
		            file_name(f), len * 8);
	for (uint32_t i = 0; i < len * 8; i++) {
		uint32_t *group;

		if (!(mask[i / 32] & 1U << i % 32))
			continue;
		group = array_add(&groups->all);
		if (!group)
			return -ENOMEM;
		*group = i + 1;
	}
	return 0;
}

static int add_addresses(const struct file *f, int fd, Img__SkNetlink *msg)
{
	struct sockaddr_nl local = {}, peer = {};

	if (getsockname(fd, (struct sockaddr *)&local, &(socklen_t){ sizeof(local) }) < 0 ||
	    getpeername(fd, (struct sockaddr *)&peer, &(socklen_t){ sizeof(peer) }) < 0)
		return fail(-errno, "%s: its addresses", file_name(f));
	msg->portid = local.nl_pid;
	msg->peer_portid = peer.nl_pid;
	msg->peer_groups = peer.nl_groups;
	return 0;
}

static int sk_netlink_dump(struct dump *d, const struct file *f)
{
	auto_(sockopts_done) struct sockopts opts = {};
	auto_(groups_done) struct groups groups = {};
	auto_close int fd = file_steal(f);
	Img__SkNetlink msg = IMG__SK_NETLINK__INIT;
	int r = fd < 0 ? fail(fd, "%s: pidfd_getfd", file_name(f)) : check_queue(d, f, fd, true);

	if (r == 0)
		r = add_addresses(f, fd, &msg);
	if (r == 0)
		r = groups_read(f, fd, &groups);
	if (r == 0)
		r = sockopts_read(d, f, fd, SOL_SOCKET, &opts);
	if (r == 0)
		r = sockopts_read(d, f, fd, SOL_NETLINK, &opts);
	if (r < 0)
		return r;
	msg.type = (uint32_t)f->sock.type;
	msg.protocol = (uint32_t)f->sock.protocol;
	msg.n_group = groups.all.n;
	msg.group = groups.all.v;
	msg.options = sockopts_message(&opts);
	return msg.options ? image_put(d->out, KIND_sk_netlink, f->id, &msg.base) : -ENOMEM;
}

const struct dump_kind dump_sk_netlink = {
	.owns = sk_netlink_owns,
	.check = sk_netlink_check,
	.dump = sk_netlink_dump,
};
