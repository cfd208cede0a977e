/*
 * SO_REUSEPORT: a program that chooses among the sockets of a port gives the number of one of them, in the order in
 * which they were bound, or began to listen. A restore makes them in the order of their files, and knows of no others.
 *
 * Not seen: of connections of TCP SO_BUSY_POLL_BUDGET, a policy of IPsec, and that it is in a map of BPF that is not of
 * the tree (BPF_MAP_TYPE_SOCKMAP).
 */
#include "dump/sk_unseen.h"

#include <errno.h>
#include <string.h>

#include "dump/kernel_memory.h"
#include "dump/sk_inet.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/inet_facts.h"
#include "lib/log.h"
#include "lib/reuseport_facts.h"

#define BUSY_BUDGET 70 /* SO_BUSY_POLL_BUDGET */

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

/* ---- a program that chooses ---- */

/* Raw sockets have none, and those of MPTCP cannot have such a program. */
static bool shares_port(const struct file *f, int fd)
{
	int value = 0;

	return f->sock.type != SOCK_RAW && f->sock.protocol != IPPROTO_MPTCP &&
	       sk_option(fd, SOL_SOCKET, SO_REUSEPORT, &value) == 0 && value;
}

/* Of all who have the port; while the tree is looked at, not all of its files are known. */
static bool is_in_order(struct dump *d, const struct file *f, const struct reuseport_facts *facts)
{
	uint32_t last = 0;

	for (size_t i = 0; i < facts->n_members; i++) {
		const struct file *member = file_by_inode(d, f->st.st_dev, facts->members[i]);

		if (!member && !d->frozen)
			continue;
		if (!member || member->id < last)
			return false;
		last = member->id;
	}
	return true;
}

static int program_check(struct dump *d, const struct file *f, const struct reuseport_facts *facts)
{
	if (facts->has_program && !facts->insns)
		return fail(-ENOTSUP,
		            "%s (%s): an eBPF program chooses among the sockets of its port "
		            "(SO_ATTACH_REUSEPORT_EBPF): not supported by this version",
		            file_name(f), file_describe(f));
	if (!is_in_order(d, f, facts))
		return fail(-ENOTSUP,
		            "%s (%s): a program chooses among the sockets of its port by their "
		            "order (SO_ATTACH_REUSEPORT_CBPF), which would be another one: they "
		            "were bound in another order than they were made, or not all of "
		            "them are of the tree; SO_DETACH_REUSEPORT_BPF lets it go",
		            file_name(f), file_describe(f));
	return 0;
}

/* 0; -ENODATA: it cannot be seen; -errno explained. */
static int program_find(struct dump *d, const struct file *f, int fd, struct reuseport_facts *ret)
{
	const struct kmem *k = kernel_memory(d);
	int r = k ? reuseport_facts_read(k, fd, ret) : -ENODATA;

	if (error_passes(r))
		return fail(r, "%s: what chooses among the sockets of its port", file_name(f));
	if (r < 0)
		return -ENODATA;
	r = program_check(d, f, ret);
	if (r < 0)
		reuseport_facts_done(ret);
	return r;
}

static int program_read(struct dump *d, const struct file *f, int fd, struct sockopts *into)
{
	struct reuseport_facts facts = {};
	int r = program_find(d, f, fd, &facts);

	if (r == -ENODATA) {
		lose("%s (%s): a program that chooses among the sockets of its port "
		     "(SO_ATTACH_REUSEPORT_CBPF), if there is one: to see that takes CAP_BPF and "
		     "CAP_PERFMON, and a kernel with BTF",
		     file_name(f), file_describe(f));
		return 0;
	}
	if (r == 0 && facts.insns)
		r = sockopts_put(into, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, facts.insns,
		                 facts.n_insns * sizeof(*facts.insns));
	reuseport_facts_done(&facts);
	return r;
}

/* ---- the rest ---- */

static void tell_lost(const struct file *f, const struct inet_facts *facts)
{
	if (facts->has_policy)
		lose("%s (%s): its own policy of IPsec (IP_XFRM_POLICY, IP_IPSEC_POLICY)",
		     file_name(f), file_describe(f));
	if (facts->has_labels)
		lose("%s (%s): flow labels that it has leased (IPV6_FLOWLABEL_MGR)", file_name(f),
		     file_describe(f));
	if (facts->has_anycast)
		lose("%s (%s): anycast addresses that it has joined (IPV6_JOIN_ANYCAST)",
		     file_name(f), file_describe(f));
}

/* An interface that was given by its address is told by that. */
static int facts_put(const struct inet_facts *facts, struct sockopts *into)
{
	const struct ip_mreqn device = { .imr_ifindex = (int)facts->multicast_device };
	static const struct in6_pktinfo none;
	int r = 0;

	if (facts->multicast_device && !facts->multicast_address.s_addr)
		r = sockopts_put(into, IPPROTO_IP, IP_MULTICAST_IF, &device, sizeof(device));
	if (r == 0 && facts->busy_budget)
		r = sockopts_put(into, SOL_SOCKET, BUSY_BUDGET, &facts->busy_budget,
		                 sizeof(facts->busy_budget));
	if (r == 0 && memcmp(&facts->source, &none, sizeof(none)) != 0)
		r = sockopts_put(into, IPPROTO_IPV6, IPV6_PKTINFO, &facts->source,
		                 sizeof(facts->source));
	if (r == 0 && facts->mtu)
		r = sockopts_put(into, IPPROTO_IPV6, IPV6_MTU, &facts->mtu, sizeof(facts->mtu));
	return r;
}

static int facts_read(struct dump *d, const struct file *f, int fd, struct sockopts *into)
{
	const struct kmem *k = kernel_memory(d);
	struct inet_facts facts;
	int r = k ? inet_facts_read(k, fd, f->sock.family == AF_INET6, &facts) : -EOPNOTSUPP;

	if (r < 0)
		return error_passes(r) ? fail(r, "%s: its options", file_name(f)) : 0;
	tell_lost(f, &facts);
	return facts_put(&facts, into);
}

int sk_unseen_check(struct dump *d, const struct file *f, int fd)
{
	struct reuseport_facts facts = {};
	int r = d->frozen ? 0 : sk_inet_refused(d, f, fd);

	/* So that it is read before the freeze, which takes time. */
	if (r == 0 && f->sock.type != SOCK_STREAM)
		kernel_memory(d);
	if (r == 0 && shares_port(f, fd))
		r = program_find(d, f, fd, &facts);
	reuseport_facts_done(&facts);
	return r == -ENODATA ? 0 : r;
}

/* These alone may have asked for such packets, which the kernel lists nowhere. */
static bool may_take_alerts(const struct file *f)
{
	return f->sock.family == AF_INET6 && f->sock.type == SOCK_RAW &&
	       f->sock.protocol == IPPROTO_RAW;
}

int sk_unseen_read(struct dump *d, const struct file *f, int fd, struct sockopts *into)
{
	int r = shares_port(f, fd) ? program_read(d, f, fd, into) : 0;

	if (may_take_alerts(f))
		lose("%s (%s): router alerts that it takes (IPV6_ROUTER_ALERT), if it does: that "
		     "cannot be seen",
		     file_name(f), file_describe(f));
	return r < 0 || f->sock.type == SOCK_STREAM ? r : facts_read(d, f, fd, into);
}
