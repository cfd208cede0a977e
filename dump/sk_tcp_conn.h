/* The connections of a tree: locked, read, and silenced when the tree goes. */
#pragma once

#include "dump/dump.h"
#include "proto/sk_tcp.pb-c.h"

/* TCP states (include/net/tcp_states.h). */
enum tcp_state {
	ESTABLISHED = 1,
	SYN_SENT,
	SYN_RECV,
	FIN_WAIT1,
	FIN_WAIT2,
	TIME_WAIT,
	CLOSED,
	CLOSE_WAIT,
	LAST_ACK,
	LISTENING,
	CLOSING,
};

/* A connection on which something may still be said, or waited for. */
static inline bool tcp_state_connected(int state)
{
	return state == ESTABLISHED || state == FIN_WAIT1 || state == FIN_WAIT2 ||
	       state == CLOSE_WAIT || state == LAST_ACK || state == CLOSING;
}

/* The TCP state of a socket; FD is ours. -errno. */
int tcp_state_of(int fd);

/* Lock all connections of D, which keeps a descriptor of each. Explained. */
int tcp_conns_begin(struct dump *d);

/* Fill MSG, whose buffers are the caller's to free by tcp_conn_done(). Explained. */
int tcp_conn_read(struct dump *d, const struct file *f, Img__SkTcp__Connection *msg);
void tcp_conn_done(Img__SkTcp__Connection *msg);

/* The lock is made to stay, and the end of the tree will not be heard. Explained. */
int tcp_conns_end(struct dump *d);
void tcp_conns_release(struct dump *d, bool killed);
