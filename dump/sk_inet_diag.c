/*
 * One netlink dump for each family and protocol that the tree has, sorted by
 * inode: a search for one socket by its addresses finds only the first of those that
 * share them. Only the few that are shut down are kept.
 */
#include "dump/sk_inet_diag.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/cleanup.h"

struct listed {
	uint32_t inode;
	uint8_t shutdown;
};

struct asked {
	int family, protocol;
};

struct inet_diag {
	ARRAY(struct asked) asked;
	ARRAY(struct listed) shut;
};

static int diag_ask(int nl, int family, int protocol)
{
	struct {
		struct nlmsghdr head;
		struct inet_diag_req_v2 req;
	} msg = {
		.head = { .nlmsg_len = sizeof(msg),
		          .nlmsg_type = SOCK_DIAG_BY_FAMILY,
		          .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.req = { .sdiag_family = (uint8_t)family,
		         .sdiag_protocol = (uint8_t)protocol,
		         .idiag_states = ~0U },
	};

	return send(nl, &msg, sizeof(msg), 0) < 0 ? -errno : 0;
}

static int sock_take(struct inet_diag *diag, const struct nlmsghdr *h)
{
	const struct inet_diag_msg *msg = NLMSG_DATA(h);
	int len = (int)h->nlmsg_len - (int)NLMSG_LENGTH(sizeof(*msg));

	for (const struct rtattr *a = (const struct rtattr *)(msg + 1); RTA_OK(a, len);
	     a = RTA_NEXT(a, len)) {
		uint8_t shutdown = *(const uint8_t *)RTA_DATA(a);
		struct listed *s;

		if (a->rta_type != INET_DIAG_SHUTDOWN || !shutdown)
			continue;
		s = array_add(&diag->shut);
		if (!s)
			return -ENOMEM;
		*s = (struct listed){ msg->idiag_inode, shutdown };
	}
	return 0;
}

/* One piece of the answer. 1: that was the last. */
static int answer_take(struct inet_diag *diag, const void *buf, size_t size)
{
	for (const struct nlmsghdr *h = buf; NLMSG_OK(h, size); h = NLMSG_NEXT(h, size)) {
		int r;

		if (h->nlmsg_type == NLMSG_DONE)
			return 1;
		if (h->nlmsg_type == NLMSG_ERROR)
			return ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
		r = sock_take(diag, h);
		if (r < 0)
			return r;
	}
	return 0;
}

static int list_read(struct inet_diag *diag, int family, int protocol)
{
	auto_close int nl = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	auto_free char *buf = malloc(1 << 16);
	int r = nl < 0 ? -errno : !buf ? -ENOMEM : diag_ask(nl, family, protocol);

	while (r == 0) {
		ssize_t n = recv(nl, buf, 1 << 16, 0);

		if (n < 0 && errno == EINTR)
			continue;
		r = n < 0 ? -errno : n == 0 ? -EPIPE : answer_take(diag, buf, (size_t)n);
	}
	return r < 0 ? r : 0;
}

static int list_find(struct dump *d, int family, int protocol)
{
	struct asked *a;

	if (!d->inet_diag)
		d->inet_diag = calloc(1, sizeof(*d->inet_diag));
	if (!d->inet_diag)
		return -ENOMEM;
	array_each (known, &d->inet_diag->asked)
		if (known->family == family && known->protocol == protocol)
			return 0;
	a = array_add(&d->inet_diag->asked);
	if (!a)
		return -ENOMEM;
	*a = (struct asked){ family, protocol };
	return list_read(d->inet_diag, family, protocol);
}

int inet_diag_shutdown(struct dump *d, const struct file *f)
{
	int r = list_find(d, f->sock.family, f->sock.protocol);

	if (r < 0)
		return r;
	array_each (s, &d->inet_diag->shut)
		if (s->inode == f->st.st_ino)
			return s->shutdown & 3;
	return 0;
}

void inet_diag_forget(struct dump *d)
{
	if (!d->inet_diag)
		return;
	array_done(&d->inet_diag->asked);
	array_done(&d->inet_diag->shut);
	free(d->inet_diag);
	d->inet_diag = NULL;
}
