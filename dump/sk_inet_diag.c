/*
 * One netlink dump for each family and protocol that the tree has, sorted by
 * inode: a search for one socket by its addresses finds only the first of those that
 * share them. Only the few that are shut down are kept.
 */
#include "dump/sk_inet_diag.h"

#include <errno.h>
#include <sys/socket.h>

#include "lib/inetdiag.h"

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

static int sock_take(const struct inet_diag_msg *msg, const struct nlattr *attrs, size_t size,
                     void *arg)
{
	struct inet_diag *diag = arg;
	const struct nlattr *a = sockdiag_find(attrs, size, INET_DIAG_SHUTDOWN);
	uint8_t shutdown = a ? *(const uint8_t *)sockdiag_data(a) : 0;
	struct listed *s = shutdown ? array_add(&diag->shut) : NULL;

	if (s)
		*s = (struct listed){ msg->idiag_inode, shutdown };
	return shutdown && !s ? -ENOMEM : 0;
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
	return inetdiag_each(family, protocol, INETDIAG_ALL, 0, sock_take, d->inet_diag);
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
