/*
 * One netlink dump of all unix sockets, sorted by inode: asking for one at a
 * time would make the kernel search all of them each time (net/unix/diag.c).
 */
#include "dump/sk_unix_diag.h"

#include <errno.h>
#include <linux/unix_diag.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dump/dump.h"
#include "lib/sockdiag.h"

/* Who waits for whom. */
struct waiting {
	uint32_t client, listener;
};

struct unix_socks {
	ARRAY(struct unix_sock) all;       /* by inode */
	ARRAY(struct unix_sock) listeners; /* by place */
	ARRAY(struct waiting) waiting;     /* by client */
	ARRAY(uint32_t) clients;           /* as the listeners have them ... */
	ARRAY(uint32_t) runs;              /* ... in runs: listener, first, count */
};

/* FNV-1a: names that are no files are told apart by it. */
static uint64_t name_hash(const uint8_t *name, size_t len)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < len; i++)
		h = (h ^ name[i]) * UINT64_C(0x100000001b3);
	return h;
}

static int icons_add(struct unix_socks *socks, uint32_t listener, const uint32_t *clients, size_t n)
{
	uint32_t run[] = { listener, (uint32_t)socks->clients.n, (uint32_t)n };

	for (size_t i = 0; i < n; i++) {
		struct waiting *w = array_add(&socks->waiting);
		uint32_t *client = array_add(&socks->clients);

		if (!w || !client)
			return -ENOMEM;
		*w = (struct waiting){ clients[i], listener };
		*client = clients[i];
	}
	for (size_t i = 0; i < ARRAY_SIZE(run); i++) {
		uint32_t *at = array_add(&socks->runs);

		if (!at)
			return -ENOMEM;
		*at = run[i];
	}
	return 0;
}

static int attribute_take(struct unix_socks *socks, struct unix_sock *sock, const struct nlattr *a)
{
	const void *data = sockdiag_data(a);
	const struct unix_diag_vfs *vfs = data;
	const struct unix_diag_rqlen *len = data;

	switch (a->nla_type) {
	case UNIX_DIAG_PEER:
		sock->peer = *(const uint32_t *)data;
		sock->has_peer = true;
		break;
	case UNIX_DIAG_NAME:
		sock->named = true;
		if (!sock->place[0])
			sock->place[1] = name_hash(data, sockdiag_size(a));
		break;
	case UNIX_DIAG_VFS:
		sock->place[0] = vfs->udiag_vfs_dev;
		sock->place[1] = vfs->udiag_vfs_ino;
		break;
	case UNIX_DIAG_RQLEN:
		sock->rqueue = len->udiag_rqueue;
		sock->wqueue = len->udiag_wqueue;
		break;
	case UNIX_DIAG_SHUTDOWN:
		sock->shutdown = *(const uint8_t *)data;
		break;
	case UNIX_DIAG_ICONS:
		return icons_add(socks, sock->ino, data, sockdiag_size(a) / sizeof(uint32_t));
	}
	return 0;
}

static int sock_add(const void *data, size_t size, void *arg)
{
	const struct unix_diag_msg *msg = data;
	struct unix_socks *socks = arg;
	struct unix_sock *sock = array_add(&socks->all), *listener;

	if (!sock)
		return -ENOMEM;
	sock->ino = msg->udiag_ino;
	sock->type = msg->udiag_type;
	sock->state = msg->udiag_state;
	for (const struct nlattr *a = sockdiag_attrs(data, sizeof(*msg), size, &size); size;
	     a = sockdiag_next(a, &size)) {
		int r = attribute_take(socks, sock, a);

		if (r < 0)
			return r;
	}
	if (sock->state != TCP_LISTEN)
		return 0;
	listener = array_add(&socks->listeners);
	if (listener)
		*listener = *sock;
	return listener ? 0 : -ENOMEM;
}

static int sock_compare(const void *a, const void *b)
{
	const struct unix_sock *x = a, *y = b;

	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

static int place_compare(const void *a, const void *b)
{
	const struct unix_sock *x = a, *y = b;

	if (x->type != y->type)
		return x->type < y->type ? -1 : 1;
	return memcmp(x->place, y->place, sizeof(x->place));
}

static int waiting_compare(const void *a, const void *b)
{
	const struct waiting *x = a, *y = b;

	return x->client < y->client ? -1 : x->client > y->client;
}

static void socks_sort(struct unix_socks *socks)
{
	if (socks->all.n)
		qsort(socks->all.v, socks->all.n, sizeof(*socks->all.v), sock_compare);
	if (socks->listeners.n)
		qsort(socks->listeners.v, socks->listeners.n, sizeof(*socks->listeners.v),
		      place_compare);
	if (socks->waiting.n)
		qsort(socks->waiting.v, socks->waiting.n, sizeof(*socks->waiting.v),
		      waiting_compare);
}

static int socks_read(struct unix_socks *socks)
{
	struct unix_diag_req req = {
		.sdiag_family = AF_UNIX,
		.udiag_states = ~0U,
		.udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_PEER | UDIAG_SHOW_VFS |
		              UDIAG_SHOW_ICONS | UDIAG_SHOW_RQLEN,
	};
	int r = sockdiag_each(&req, sizeof(req), sock_add, socks);

	socks_sort(socks);
	return r;
}

static int socks_need(struct dump *d)
{
	if (d->unix_socks)
		return 0;
	d->unix_socks = calloc(1, sizeof(*d->unix_socks));
	return d->unix_socks ? socks_read(d->unix_socks) : -ENOMEM;
}

int unix_sock_find(struct dump *d, uint64_t ino, struct unix_sock *ret)
{
	struct unix_sock key = { .ino = (uint32_t)ino }, *found;
	int r = socks_need(d);

	if (r < 0)
		return r;
	if (!d->unix_socks->all.n)
		return -ENOENT;
	found = bsearch(&key, d->unix_socks->all.v, d->unix_socks->all.n, sizeof(key),
	                sock_compare);
	if (!found)
		return -ENOENT;
	*ret = *found;
	return 0;
}

uint32_t unix_sock_listener(struct dump *d, const struct unix_sock *sock)
{
	const struct unix_socks *socks = d->unix_socks;
	const struct unix_sock *found = NULL;

	if (socks && socks->listeners.n && sock->named)
		found = bsearch(sock, socks->listeners.v, socks->listeners.n, sizeof(*sock),
		                place_compare);
	return found ? found->ino : 0;
}

uint32_t unix_sock_waits(struct dump *d, uint32_t ino)
{
	const struct unix_socks *socks = d->unix_socks;
	struct waiting key = { .client = ino }, *found = NULL;

	if (socks && socks->waiting.n)
		found = bsearch(&key, socks->waiting.v, socks->waiting.n, sizeof(key),
		                waiting_compare);
	return found ? found->listener : 0;
}

uint32_t unix_sock_waiting(struct dump *d, uint32_t listener, const uint32_t **ret)
{
	const struct unix_socks *socks = d->unix_socks;

	for (size_t i = 0; socks && i < socks->runs.n; i += 3) {
		if (socks->runs.v[i] != listener)
			continue;
		*ret = socks->clients.v + socks->runs.v[i + 1];
		return socks->runs.v[i + 2];
	}
	return 0;
}

void unix_socks_free(struct dump *d)
{
	struct unix_socks *socks = d->unix_socks;

	if (!socks)
		return;
	array_done(&socks->all);
	array_done(&socks->listeners);
	array_done(&socks->waiting);
	array_done(&socks->clients);
	array_done(&socks->runs);
	free(socks);
	d->unix_socks = NULL;
}
