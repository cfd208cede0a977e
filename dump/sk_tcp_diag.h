/* What sock_diag(7) tells of all TCP sockets of a tree at once, in a dump for each of IPv4 and IPv6. */
#pragma once

#include <linux/inet_diag.h>

#include "dump/dump.h"
#include "dump/sockopt.h"

struct tcp_diag {
	ino_t ino;
	int family, state;
	bool has_ulp;  /* another protocol works on it */
	bool has_keys; /* TCP_MD5SIG */
	/* Options, if they are told. */
	bool has_memory, has_mark, has_tos, has_tclass, has_flags, has_v6only;
	bool has_no_priority;  /* SO_PRIORITY is 0 */
	bool has_none_charged; /* nothing that options would need memory for: no filter */
	uint32_t mark, sndbuf, rcvbuf;
	uint32_t flags; /* of struct inet_diag_sockopt */
	uint8_t tos, tclass, v6only;
	uint64_t max_pacing_rate;
	char congestion[16];
	struct inet_diag_sockid id;
};

/*
 * What is known of F, a TCP socket: listed when first asked for, and again when the tree is
 * frozen. NULL: the kernel lists none, or this is none that has to do with a peer or waits for one.
 */
const struct tcp_diag *tcp_diag_find(struct dump *d, const struct file *f);

/* List them now; what F, a socket of which only the inode is known, is then: fills f->sock. Several threads may ask. */
void tcp_diag_list(struct dump *d);
bool tcp_diag_knows(const struct dump *d, struct file *f);

/* No TCP socket of D has keys, else -ENOTSUP explained. */
int tcp_keys_refuse(struct dump *d);

/* What is known of the options of one before any is asked for. */
struct tcp_told {
	const struct tcp_diag *diag; /* or NULL */
	bool no_control,
		no_control6; /* received packets are told nothing of: IP_PKTOPTIONS, IPV6_2292PKTOPTIONS */
};

/* The same of F, a connection of which FD is a descriptor of ours. */
struct tcp_told tcp_told_of(const struct tcp_diag *diag, const struct file *f, int fd);

/*
 * For struct sockopt_source, ARG being a struct tcp_told. Options that only datagrams have are of no interest, nor,
 * of a connection, are those that tell what came of the path and of the kernel's own tuning instead of what the
 * program has set.
 */
int tcp_sock_option(const void *arg, uint32_t level, uint32_t name, void *value);
int tcp_conn_option(const void *arg, uint32_t level, uint32_t name, void *value);

void tcp_diag_forget(struct dump *d);
