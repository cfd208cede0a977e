/* What sock_diag(7) tells of all TCP sockets of a tree at once, in a dump for each of IPv4 and IPv6. */
#pragma once

#include <linux/inet_diag.h>

#include "dump/dump.h"
#include "dump/sockopt.h"

struct tcp_diag {
	int state;     /* 0: it is not known, or of another network namespace */
	bool has_ulp;  /* another protocol works on it */
	bool has_keys; /* TCP_MD5SIG */
	/* Options, if they are told. */
	bool has_memory, has_mark, has_tos, has_flags, has_v6only;
	uint32_t mark, sndbuf, rcvbuf;
	uint32_t flags; /* of struct inet_diag_sockopt */
	uint8_t tos, v6only;
	uint64_t max_pacing_rate;
	char congestion[16];
	struct inet_diag_sockid id;
};

/*
 * What is known of F, a TCP socket: listed when first asked for, and again when the tree is
 * frozen. NULL: the kernel lists none, or this is none that has to do with a peer or waits for one.
 */
const struct tcp_diag *tcp_diag_find(struct dump *d, const struct file *f);

/* No TCP socket of D has keys, else -ENOTSUP explained. */
int tcp_keys_refuse(struct dump *d);

/*
 * For struct sockopt_source: what it tells of the options of a socket, ARG being a struct tcp_diag or
 * NULL. Those that only datagrams have are of no interest, nor, of a connection, are those that tell what came of
 * the path and of the kernel's own tuning instead of what the program has set.
 */
int tcp_sock_option(const void *arg, uint32_t level, uint32_t name, void *value);
int tcp_conn_option(const void *arg, uint32_t level, uint32_t name, void *value);

void tcp_diag_forget(struct dump *d);
