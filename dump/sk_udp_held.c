/*
 * While a tree is gone the kernel would answer a datagram for it that its port is unreachable, and
 * a connected peer reads ECONNREFUSED. So the lock that stays drops what comes to these ports: it is lost, as
 * datagrams may be. A port that a socket outside of the tree has as well is left alone: what comes is
 * for that one, too.
 */
#include "dump/sk_udp_held.h"

#include <errno.h>

#include "dump/borrow.h"
#include "dump/sk_inet.h"
#include "lib/cleanup.h"
#include "lib/inetdiag.h"
#include "lib/log.h"

struct finding {
	struct dump *d;
	dev_t dev; /* of sockets */
	struct udp_held *held;
};

static int add(struct dump *d, const struct file *f, struct udp_held *held)
{
	auto_(borrowed_done) struct borrowed b = file_borrow(f);
	struct netlock_listener *at;
	union inaddr local;
	int only = 1, r = b.fd < 0 ? b.fd : sk_inet_local(b.fd, &local);

	if (r < 0)
		return fail(r, "%s: getsockname", file_name(f));
	if (!inaddr_port(&local))
		return 0;
	if (f->sock.family == AF_INET6)
		sk_option(b.fd, IPPROTO_IPV6, IPV6_V6ONLY, &only);
	at = array_add(&held->all);
	if (!at)
		return -ENOMEM;
	*at = (struct netlock_listener){ inaddr_plain(&local), !only };
	return 0;
}

/* One that is not of the tree, or the kernel's own (no inode): its port is not ours alone. */
static int leave_others(const struct inet_diag_msg *msg, const struct nlattr *attrs, size_t size,
                        void *arg)
{
	const struct finding *l = arg;
	struct udp_held *held = l->held;
	size_t kept = 0;

	if (msg->idiag_inode && file_by_inode(l->d, l->dev, msg->idiag_inode))
		return 0;
	for (size_t i = 0; i < held->all.n; i++)
		if (inaddr_port(&held->all.v[i].local) != ntohs(msg->id.idiag_sport))
			held->all.v[kept++] = held->all.v[i];
	held->all.n = kept;
	return 0;
}

int udp_held_find(struct dump *d, struct udp_held *ret)
{
	struct finding l = { .d = d, .held = ret };
	int r = 0;

	array_each (f, &d->files) {
		if (f->kind != KIND_sk_udp || f->policy != FD_CARRY ||
		    f->sock.protocol != IPPROTO_UDP)
			continue;
		l.dev = f->st.st_dev;
		r = add(d, f, ret);
		if (r < 0)
			return r;
	}
	if (!ret->all.n)
		return 0;
	/* Who cannot know whose a port is leaves all of them alone. */
	if (inetdiag_each(AF_INET, IPPROTO_UDP, INETDIAG_ALL, 0, leave_others, &l) < 0 ||
	    inetdiag_each(AF_INET6, IPPROTO_UDP, INETDIAG_ALL, 0, leave_others, &l) < 0)
		ret->all.n = 0;
	return 0;
}

void udp_held_done(struct udp_held *held)
{
	array_done(&held->all);
}
