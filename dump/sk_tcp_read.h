/* One established connection, read from a descriptor of ours while the network is locked. */
#pragma once

#include <stdbool.h>

#include "dump/sk_tcp_watch.h"
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

/* Options that are in the way of reading, as the program has set them. */
struct tcp_ways {
	int is_inline, peek_off; /* SO_OOBINLINE, SO_PEEK_OFF */
};

/*
 * Fill MSG, which is empty; its buffers go by tcp_read_done(). Not explained: -ENOTCONN: it
 * is no connection any more; -EOPNOTSUPP: urgent data waits in it, and this kernel does not show what
 * is behind it; -EFBIG: a queue of more than MAX bytes, unless that is 0. What poll(2) tells is in
 * *RET_EVENTS. Several threads may read at once.
 */
int tcp_read(struct watch_fd *w, const struct tcp_ways *ways, size_t max,
             Img__SkTcp__Connection *msg, short *ret_events);
/* Is the packet kept that began the connection FD (TCP_SAVE_SYN)? Who fetches it takes it away, if there is room. */
bool tcp_has_syn(int fd);

/* Does a connection over IPv6 use a flow label that it has leased (IPV6_FLOWLABEL_MGR)? */
bool tcp_has_label(int fd);

void tcp_read_done(Img__SkTcp__Connection *msg);
