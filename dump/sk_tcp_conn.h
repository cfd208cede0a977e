/* The connections of a tree: locked, read, and silenced when the tree goes. */
#pragma once

#include "dump/dump.h"
#include "dump/sk_tcp_diag.h"
#include "dump/sk_tcp_read.h"
#include "dump/sockopt.h"
#include "lib/inaddr.h"

struct tcp_conn {
	uint32_t file; /* id */
	union inaddr local, peer;
	const struct tcp_diag *diag; /* or NULL */
	bool ready;                  /* what follows has been read */
	Img__SkTcp__Connection msg;
	struct sockopts opts;
	short events;            /* of poll(2) */
	bool has_syn, has_label; /* see sk_tcp_read.h */
};

/* Lock all connections of D, which keeps a descriptor of each, and read those that hold little. Explained. */
int tcp_conns_begin(struct dump *d);

/* The connection that F was when it was locked, or NULL. In the order of files. */
struct tcp_conn *tcp_conn_find(struct dump *d, const struct file *f);

/* Read CONN, if that is not done. Explained, but for -ENOTCONN: it has ended meanwhile. */
int tcp_conn_read(struct dump *d, const struct file *f, struct tcp_conn *conn);

/* Free what was read. */
void tcp_conn_forget(struct tcp_conn *conn);

/* The lock is made to stay, and the end of the tree will not be heard. Explained. */
int tcp_conns_end(struct dump *d);
void tcp_conns_release(struct dump *d, bool killed);
