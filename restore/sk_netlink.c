/*
 * netlink sockets, restore half. The port id is what it was. The socket joins its
 * groups last, so that its filter has seen whatever comes in.
 */
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/sk_netlink.pb-c.h"
#include "restore/restore.h"
#include "restore/sockopt.h"

#define GROUPS_MAX (512 * 32)

static const uint32_t levels[] = { SOL_SOCKET, SOL_NETLINK, 0 };

static int sk_netlink_check(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__SkNetlink *msg = (const Img__SkNetlink *)base;
	bool bad = msg->type != SOCK_RAW && msg->type != SOCK_DGRAM;
	bool numbered = false;

	bad |= msg->protocol >= MAX_LINKS;
	bad |= (msg->peer_portid || msg->peer_groups) && !msg->portid;
	for (size_t i = 0; i < msg->n_group; i++) {
		bad |= msg->group[i] > GROUPS_MAX || msg->group[i] <= (i ? msg->group[i - 1] : 0);
		numbered |= msg->group[i] != GENL_ID_CTRL;
	}
	if (bad)
		return fail(-EBADMSG, "file %u: netlink socket: its state makes no sense",
		            file->id);
	if (msg->protocol == NETLINK_GENERIC && numbered && !pool_same_boot(r))
		return fail(-ENOTSUP,
		            "file %u: netlink socket: it is in groups of NETLINK_GENERIC, whose "
		            "numbers are of the boot that it was dumped in",
		            file->id);
	return sockopts_check(file, msg->options, levels);
}

static int sock_bind(const Img__File *file, int fd, const Img__SkNetlink *msg)
{
	struct sockaddr_nl at = { .nl_family = AF_NETLINK, .nl_pid = msg->portid };

	if (!msg->portid || bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0)
		return 0;
	if (errno == EADDRINUSE)
		return fail(-errno,
		            "netlink socket %u: port id %u of protocol %u is taken by another "
		            "socket, see /proc/net/netlink",
		            file->id, msg->portid, msg->protocol);
	return fail(-errno, "netlink socket %u: bind to port id %u", file->id, msg->portid);
}

static int sock_connect(const Img__File *file, int fd, const Img__SkNetlink *msg)
{
	struct sockaddr_nl to = { .nl_family = AF_NETLINK,
		                  .nl_pid = msg->peer_portid,
		                  .nl_groups = msg->peer_groups };

	if ((to.nl_pid || to.nl_groups) && connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		return fail(-errno, "netlink socket %u: connect", file->id);
	return 0;
}

static int sock_join(const Img__File *file, int fd, const Img__SkNetlink *msg)
{
	for (size_t i = 0; i < msg->n_group; i++)
		if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &msg->group[i],
		               sizeof(msg->group[i])) < 0)
			return fail(-errno, "netlink socket %u: join group %u of protocol %u",
			            file->id, msg->group[i], msg->protocol);
	return 0;
}

static int sk_netlink_open(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__SkNetlink *msg = (const Img__SkNetlink *)base;
	auto_close int fd = socket(AF_NETLINK, (int)msg->type | SOCK_CLOEXEC, (int)msg->protocol);
	int e;

	if (fd < 0)
		return fail(-errno, "netlink socket %u: create one of protocol %u", file->id,
		            msg->protocol);
	e = sockopts_set(file, fd, msg->options, SOCKOPTS_EARLY);
	if (e == 0)
		e = sock_bind(file, fd, msg);
	if (e == 0)
		e = sock_connect(file, fd, msg);
	if (e == 0)
		e = sockopts_set(file, fd, msg->options, SOCKOPTS_LATE);
	if (e == 0)
		e = sock_join(file, fd, msg);
	if (e < 0)
		return e;
	e = pool_set_flags(fd, file);
	return e < 0 ? fail(e, "netlink socket %u: set its flags", file->id) : take_fd(&fd);
}

const struct restore_kind restore_sk_netlink = {
	.check = sk_netlink_check,
	.open = sk_netlink_open,
};
