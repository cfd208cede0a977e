/*
 * A connection that waits to be accepted belongs to no descriptor and can be
 * taken out of the queue, but not put back. So there must be none: before the
 * freeze a lock holds up whoever asks for a new one (its system asks again after
 * a second), and the program accepts those that are there. One that does not
 * is refused, or they are let go by policy. A tree that connects to itself would
 * then stand still in the middle of that; the next try does not hold it up.
 */
#include "dump/sk_tcp_listen.h"

#include <errno.h>
#include <linux/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dump/sk_inet.h"
#include "dump/sk_tcp_read.h"
#include "lib/cleanup.h"
#include "lib/inetdiag.h"
#include "lib/log.h"

#define STEP_MS 5
#define LOOK_MS 500  /* for those that wait */
#define HOLD_MS 1000 /* for those, and handshakes */

struct tcp_listeners {
	ARRAY(int) fds; /* ours, until the freeze */
	ARRAY(struct netlock_listener) all;
	int lock; /* -1: none */
};

static int waiting(int fd)
{
	struct tcp_info info = {};

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &(socklen_t){ sizeof(info) }) < 0
	               ? 0
	               : (int)info.tcpi_unacked;
}

static int remember(struct dump *d, const struct file *f, int *fd)
{
	struct tcp_listeners *l = d->tcp_listeners;
	struct netlock_listener *at;
	union inaddr local;
	int only = 0, *own;

	if (!l) {
		l = d->tcp_listeners = calloc(1, sizeof(*l));
		if (!l)
			return -ENOMEM;
		l->lock = -1;
	}
	at = array_add(&l->all);
	own = array_add(&l->fds);
	if (!at || !own || sk_inet_local(*fd, &local) < 0)
		return -ENOMEM;
	if (f->sock.family == AF_INET6)
		sk_option(*fd, IPPROTO_IPV6, IPV6_V6ONLY, &only);
	*own = *fd;
	*fd = -1;
	*at = (struct netlock_listener){ inaddr_plain(&local),
		                         f->sock.family == AF_INET6 && !only };
	return 0;
}

int tcp_listener_check(struct dump *d, const struct file *f, int fd)
{
	int n = waiting(fd);

	if (d->opt->tcp == TCP_LET_GO)
		return 0;
	for (int ms = 0; n && !d->frozen && ms < LOOK_MS; ms += STEP_MS) {
		usleep(STEP_MS * 1000);
		n = waiting(fd);
	}
	if (n) {
		d->passing |= d->frozen;
		return fail(
			-ENOTSUP,
			"%s (%s): %d connections wait to be accepted, which cannot be saved: try "
			"again when they are; --tcp-close ends them",
			file_name(f), file_describe(f), n);
	}
	if (!d->frozen && d->opt->tcp == TCP_CARRIED) {
		auto_close int own = file_steal(f);

		return own < 0 ? fail(own, "%s: pidfd_getfd", file_name(f)) : remember(d, f, &own);
	}
	return 0;
}

/* ---- the hold ---- */

struct ports {
	const struct tcp_listeners *listeners;
	size_t n; /* handshakes */
};

static int count_handshake(const struct inet_diag_msg *msg, const struct nlattr *attrs, size_t size,
                           void *arg)
{
	struct ports *p = arg;

	array_each (l, &p->listeners->all)
		if (inaddr_port(&l->local) == ntohs(msg->id.idiag_sport)) {
			p->n++;
			break;
		}
	return 0;
}

static size_t handshakes(const struct tcp_listeners *l)
{
	struct ports p = { .listeners = l };

	inetdiag_each(AF_INET, IPPROTO_TCP, 1 << SYN_RECV, 0, count_handshake, &p);
	inetdiag_each(AF_INET6, IPPROTO_TCP, 1 << SYN_RECV, 0, count_handshake, &p);
	return p.n;
}

static bool quiet(const struct tcp_listeners *l)
{
	array_each (fd, &l->fds)
		if (waiting(*fd))
			return false;
	return true;
}

static void drain(const struct tcp_listeners *l)
{
	size_t left = 0;
	bool done = false;

	for (int ms = 0; !done && ms < HOLD_MS; ms += STEP_MS) {
		if (ms)
			usleep(STEP_MS * 1000);
		done = quiet(l) && !(left = handshakes(l)) && quiet(l);
	}
	if (left)
		lose("%zu TCP handshakes with listeners of the tree, which do not come to their "
		     "end",
		     left);
}

static void fds_close(struct tcp_listeners *l)
{
	array_each (fd, &l->fds)
		close(*fd);
	array_done(&l->fds);
}

int tcp_listeners_hold(struct dump *d)
{
	struct tcp_listeners *l = d->tcp_listeners;
	char name[48];

	if (!l)
		return 0;
	snprintf(name, sizeof(name), "crtool-listeners-%d", getpid());
	l->lock = netlock_new(name, false,
	                      &(struct netlock){ .listeners = l->all.v,
	                                         .nlisteners = l->all.n,
	                                         .lets_in_own = d->again });
	if (l->lock < 0)
		lose("new connections to listeners of the tree: they are not held up (nftables: "
		     "%s)",
		     strerror(-l->lock));
	else
		drain(l);
	fds_close(l);
	return 0;
}

void tcp_listeners_lock(const struct dump *d, struct netlock *lock)
{
	const struct tcp_listeners *l = d->tcp_listeners;

	if (l && l->lock >= 0) {
		lock->listeners = l->all.v;
		lock->nlisteners = l->all.n;
	}
}

void tcp_listeners_release(struct dump *d)
{
	struct tcp_listeners *l = d->tcp_listeners;

	d->tcp_listeners = NULL;
	if (!l)
		return;
	closep(&l->lock);
	fds_close(l);
	array_done(&l->all);
	free(l);
}
