/*
 * The network lock: no packet of some connections comes in or goes out. One
 * table of nftables for all of them, made over netlink: two chains, a set of
 * connections for each of IPv4 and IPv6, and a rule that drops what is in it.
 *
 * A lock with an owner goes with the descriptor, whatever happens to us; one that
 * stays is there until netlock_remove(). Needs CAP_NET_ADMIN, and holds in the network
 * namespace of the caller.
 */
#pragma once

#include "lib/inaddr.h"

struct netlock_conn {
	union inaddr local, peer; /* plain: see inaddr_plain() */
};

/* New connections to it are kept waiting: what they ask for is dropped, and they ask again. */
struct netlock_listener {
	union inaddr local; /* plain */
	bool dual;          /* of any address, for IPv4, too */
};

struct netlock {
	const struct netlock_conn *conns;
	size_t nconns;
	const struct netlock_listener *listeners;
	size_t nlisteners;
	bool lets_in_own; /* ... but not those that come from this network namespace itself */
	/* UDP sockets: what comes to them is dropped, and nobody is told that they are gone. */
	const struct netlock_listener *held;
	size_t nheld;
};

/* Lock them under that name. A descriptor (close it to unlock, unless STAYS) or -errno. */
int netlock_new(const char *name, bool stays, const struct netlock *lock);

/* -ENOENT: there is none of that name. */
int netlock_remove(const char *name);
