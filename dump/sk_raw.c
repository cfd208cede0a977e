/*
 * Raw IPv4 and IPv6 sockets, dump half. The protocol stands where others have
 * their port, and a connected one mostly has no port at the other end, which is why
 * getpeername(2) does not tell of it; /proc/net/raw does.
 *
 * Packets that wait are let go, as the network might have done: sent again, others
 * would get them, too. So are errors that the program was not told yet.
 *
 * Multicast routing (MRT_INIT) is refused by its protocol.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "dump/sk_inet.h"
#include "dump/sk_mcast.h"
#include "dump/sk_unseen.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "proto/sk_raw.pb-c.h"

struct raw_peer {
	uint64_t inode;
	union inaddr addr;
};

struct raw_peers {
	ARRAY(struct raw_peer) all;
};

static bool sk_raw_owns(const struct file *f)
{
	return sk_inet_is(f) && f->sock.type == SOCK_RAW;
}

/* Only the one that is the multicast router answers this as it would be asked. */
static bool is_router(const struct file *f, int fd)
{
	enum { MRT_ASSERT = 207, MRT6_ASSERT = 207, MRT_INIT_VALUE = 1 };
	const char *vifs = f->sock.family == AF_INET ? "/proc/thread-self/net/ip_mr_vif"
	                                             : "/proc/thread-self/net/ip6_mr_vif";
	auto_free char *text = NULL;
	int value;

	if (f->sock.protocol != (f->sock.family == AF_INET ? IPPROTO_IGMP : IPPROTO_ICMPV6) ||
	    sk_option(fd, f->sock.family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6, MRT_ASSERT,
	              &value) < 0 ||
	    file_read(AT_FDCWD, vifs, &text) <= 0)
		return false;
	/* A heading, and a line for each interface that is routed. */
	return strchr(text, '\n') && strchr(text, '\n')[1];
}

static int sk_raw_check(struct dump *d, const struct file *f)
{
	auto_close int fd = file_steal(f);
	int r = fd < 0 ? fail(fd, "%s: pidfd_getfd", file_name(f)) : sk_inet_check_netns(d, f, fd);

	if (r == 0 && is_router(f, fd))
		return fail(-ENOTSUP,
		            "%s (%s): routes multicasts, or may do so (MRT_INIT): not supported by "
		            "this version",
		            file_name(f), file_describe(f));
	return r < 0 ? r : sk_unseen_check(d, f, fd);
}

/* ---- who it is connected to ---- */

/* "  1: 0100007F:0001 0200090A:0000 01 0:0 0:0 0 0 0 INODE ..."; addresses are words as they lie. */
static int peer_parse(struct raw_peers *peers, const char *line)
{
	char remote[40];
	unsigned long long inode;
	unsigned state, words[4] = {};
	struct raw_peer *peer;
	bool v6;

	if (sscanf(line, " %*u: %*s %39s %x %*s %*s %*s %*u %*u %llu", remote, &state, &inode) !=
	            3 ||
	    state != 1)
		return 0;
	v6 = strcspn(remote, ":") == 32;
	for (size_t i = 0; i < (v6 ? 4 : 1); i++)
		if (sscanf(remote + 8 * i, "%8x", &words[i]) != 1)
			return -EPROTO;
	peer = array_add(&peers->all);
	if (!peer)
		return -ENOMEM;
	peer->inode = inode;
	peer->addr.sa.sa_family = v6 ? AF_INET6 : AF_INET;
	if (v6)
		memcpy(&peer->addr.v6.sin6_addr, words, 16);
	else
		memcpy(&peer->addr.v4.sin_addr, words, 4);
	return 0;
}

static int peers_read(struct raw_peers *peers, const char *path)
{
	auto_free char *text = NULL;
	ssize_t n = file_read(AT_FDCWD, path, &text);
	int r = n == -ENOENT || n >= 0 ? 0 : (int)n;

	for (const char *line = n > 0 ? text : NULL; line && r == 0; line = strchr(line, '\n')) {
		line += *line == '\n';
		r = peer_parse(peers, line);
	}
	return r;
}

static int peers_find(struct dump *d)
{
	int r;

	if (d->raw_peers)
		return 0;
	d->raw_peers = calloc(1, sizeof(*d->raw_peers));
	if (!d->raw_peers)
		return -ENOMEM;
	r = peers_read(d->raw_peers, "/proc/thread-self/net/raw");
	return r < 0 ? r : peers_read(d->raw_peers, "/proc/thread-self/net/raw6");
}

/* ---- record ---- */

struct parts {
	union inaddr local, peer;
	struct sockopts opts;
	struct mcast_groups groups;
};

static void parts_done(struct parts *p)
{
	sockopts_done(&p->opts);
	mcast_done(&p->groups);
}

static int add_addresses(struct dump *d, const struct file *f, int fd, struct parts *p,
                         Img__SkRaw *msg)
{
	socklen_t len = sizeof(p->local);
	int r = peers_find(d);

	if (r < 0)
		return fail(r, "%s: read /proc/net/raw", file_name(f));
	if (getsockname(fd, &p->local.sa, &len) < 0)
		return fail(-errno, "%s: getsockname", file_name(f));
	inaddr_set_port(&p->local, 0);
	if (!inaddr_any(&p->local)) {
		msg->local.data = (uint8_t *)&p->local;
		msg->local.len = inaddr_len(&p->local);
	}
	array_each (peer, &d->raw_peers->all) {
		if (peer->inode != f->st.st_ino)
			continue;
		p->peer = peer->addr;
		len = sizeof(p->peer);
		getpeername(fd, &p->peer.sa, &len); /* with port and scope, if it tells */
		msg->peer.data = (uint8_t *)&p->peer;
		msg->peer.len = inaddr_len(&p->peer);
	}
	return 0;
}

static int add_state(const struct file *f, int fd, Img__SkRaw *msg)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN | POLLRDHUP };

	if (poll(&ready, 1, 0) < 0)
		return fail(-errno, "%s: poll", file_name(f));
	msg->shutdown = ((ready.revents & POLLRDHUP) != 0) | (ready.revents & POLLHUP ? 2 : 0);
	if (ready.revents & POLLERR)
		lose("%s (%s): an error that the program was not told yet", file_name(f),
		     file_describe(f));
	if ((ready.revents & POLLIN) && !msg->shutdown)
		lose("%s (%s): the packets that wait in it", file_name(f), file_describe(f));
	return 0;
}

static int sk_raw_dump(struct dump *d, const struct file *f)
{
	auto_(parts_done) struct parts p = {};
	auto_close int fd = file_steal(f);
	Img__SkRaw msg = IMG__SK_RAW__INIT;
	int r = fd < 0 ? fail(fd, "%s: pidfd_getfd", file_name(f)) : add_state(f, fd, &msg);

	if (r == 0)
		r = add_addresses(d, f, fd, &p, &msg);
	if (r == 0)
		r = sk_inet_options(d, f, fd, NULL, &p.opts);
	if (r == 0)
		r = sk_unseen_read(d, f, fd, &p.opts);
	if (r == 0)
		r = mcast_read(d, f, fd, &p.groups);
	if (r < 0)
		return r;
	msg.family = (uint32_t)f->sock.family;
	msg.protocol = (uint32_t)f->sock.protocol;
	msg.n_group = p.groups.all.n;
	msg.group = p.groups.list;
	msg.options = sockopts_message(&p.opts);
	return msg.options ? image_put(d->out, KIND_sk_raw, f->id, &msg.base) : -ENOMEM;
}

static void sk_raw_release(struct dump *d, bool killed)
{
	mcast_forget(d);
	if (d->raw_peers)
		array_done(&d->raw_peers->all);
	free(d->raw_peers);
	d->raw_peers = NULL;
}

const struct dump_kind dump_sk_raw = {
	.owns = sk_raw_owns,
	.check = sk_raw_check,
	.dump = sk_raw_dump,
	.release = sk_raw_release,
};
