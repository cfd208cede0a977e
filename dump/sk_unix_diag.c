/*
 * One netlink dump of all unix sockets, sorted by inode: asking for one at a
 * time would make the kernel search all of them each time (net/unix/diag.c).
 */
#include "dump/sk_unix_diag.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dump/dump.h"
#include "lib/cleanup.h"

struct unix_socks {
	ARRAY(struct unix_sock) all;
};

static int diag_ask(int nl)
{
	struct {
		struct nlmsghdr head;
		struct unix_diag_req req;
	} msg = {
		.head = { .nlmsg_len = sizeof(msg),
		          .nlmsg_type = SOCK_DIAG_BY_FAMILY,
		          .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.req = { .sdiag_family = AF_UNIX,
		         .udiag_states = ~0U,
		         .udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_PEER },
	};

	return send(nl, &msg, sizeof(msg), 0) < 0 ? -errno : 0;
}

static int sock_add(struct unix_socks *socks, const struct nlmsghdr *h)
{
	const struct unix_diag_msg *msg = NLMSG_DATA(h);
	struct unix_sock *sock = array_add(&socks->all);
	int len = (int)h->nlmsg_len - (int)NLMSG_LENGTH(sizeof(*msg));

	if (!sock)
		return -ENOMEM;
	sock->ino = msg->udiag_ino;
	sock->type = msg->udiag_type;
	sock->state = msg->udiag_state;
	for (const struct rtattr *a = (const struct rtattr *)(msg + 1); RTA_OK(a, len);
	     a = RTA_NEXT(a, len)) {
		if (a->rta_type == UNIX_DIAG_PEER) {
			sock->peer = *(const uint32_t *)RTA_DATA(a);
			sock->has_peer = true;
		} else if (a->rta_type == UNIX_DIAG_NAME) {
			sock->named = true;
		} else if (a->rta_type == UNIX_DIAG_SHUTDOWN) {
			sock->shutdown = *(const uint8_t *)RTA_DATA(a);
		}
	}
	return 0;
}

/* One piece of the answer. 1: it was the last. */
static int diag_take(struct unix_socks *socks, const void *buf, size_t size)
{
	for (const struct nlmsghdr *h = buf; NLMSG_OK(h, size); h = NLMSG_NEXT(h, size)) {
		int r;

		if (h->nlmsg_type == NLMSG_DONE)
			return 1;
		if (h->nlmsg_type == NLMSG_ERROR)
			return ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
		r = sock_add(socks, h);
		if (r < 0)
			return r;
	}
	return 0;
}

static int sock_compare(const void *a, const void *b)
{
	const struct unix_sock *x = a, *y = b;

	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

static int socks_read(struct unix_socks *socks)
{
	auto_close int nl = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	auto_free char *buf = malloc(1 << 16);
	int r = nl < 0 ? -errno : buf ? diag_ask(nl) : -ENOMEM;

	while (r == 0) {
		ssize_t n = recv(nl, buf, 1 << 16, 0);

		if (n < 0 && errno == EINTR)
			continue;
		r = n < 0 ? -errno : diag_take(socks, buf, (size_t)n);
	}
	if (r > 0 && socks->all.n)
		qsort(socks->all.v, socks->all.n, sizeof(*socks->all.v), sock_compare);
	return r < 0 ? r : 0;
}

int unix_sock_find(struct dump *d, uint64_t ino, struct unix_sock *ret)
{
	struct unix_sock key = { .ino = (uint32_t)ino }, *found;

	if (!d->unix_socks) {
		int r;

		d->unix_socks = calloc(1, sizeof(*d->unix_socks));
		r = d->unix_socks ? socks_read(d->unix_socks) : -ENOMEM;
		if (r < 0)
			return r;
	}
	if (!d->unix_socks->all.n)
		return -ENOENT;
	found = bsearch(&key, d->unix_socks->all.v, d->unix_socks->all.n, sizeof(key),
	                sock_compare);
	if (!found)
		return -ENOENT;
	*ret = *found;
	return 0;
}

void unix_socks_free(struct dump *d)
{
	if (d->unix_socks)
		array_done(&d->unix_socks->all);
	free(d->unix_socks);
	d->unix_socks = NULL;
}
