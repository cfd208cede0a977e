/*
 * One established connection. What repair mode alone tells (sequence numbers, the send queue, windows) is
 * read in it, between two calls that enter and leave it without a word to the peer.
 *
 * Not seen: what of our own data is urgent, and not acknowledged: it arrives as ordinary data.
 */
#include "dump/sk_tcp_read.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "dump/sk_inet.h"

static int queue_select(int fd, int queue)
{
	return setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, &queue, sizeof(queue)) < 0 ? -errno
	                                                                                : 0;
}

/* SIZE bytes of the selected queue; an urgent mark ends what is seen at once. */
static int queue_peek(int fd, size_t size, ProtobufCBinaryData *ret)
{
	ssize_t n;

	if (!size)
		return 0;
	ret->data = malloc(size);
	if (!ret->data)
		return -ENOMEM;
	n = recv(fd, ret->data, size, MSG_PEEK | MSG_DONTWAIT);
	if (n < 0)
		return -errno;
	ret->len = (size_t)n;
	return 0;
}

/* The same of what is received, from OFF on. SO_PEEK_OFF is the program's, and would be obeyed. */
static int received_peek(struct watch_fd *w, const struct tcp_ways *ways, int off, int size,
                         ProtobufCBinaryData *ret)
{
	bool changes = off || ways->peek_off >= 0;
	int r = changes ? watch_peek(w, off ? off : -1, ways->peek_off) : 0, back;

	if (r == 0)
		r = queue_peek(w->fd, (size_t)size, ret);
	back = changes ? watch_unpeek(w) : 0;
	return r < 0 ? r : back;
}

/*
 * All SIZE bytes, by who takes urgent data for ordinary: the mark ends the first look, which, at the
 * mark itself, goes beyond it.
 */
static int received_read(struct watch_fd *w, const struct tcp_ways *ways, int size,
                         Img__SkTcp__Connection *msg)
{
	int at_mark = 0, before, r = ioctl(w->fd, SIOCATMARK, &at_mark) < 0 ? -errno : 0;

	if (r == 0 && !at_mark)
		r = received_peek(w, ways, 0, size, &msg->received);
	before = (int)msg->received.len;
	if (r == 0 && before < size)
		r = received_peek(w, ways, before, size - before, &msg->urgent);
	return r == 0 && before + (int)msg->urgent.len != size ? -EOPNOTSUPP : r;
}

/* The byte at the mark is there; was it taken out? */
static bool urgent_is_read(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_OOB | MSG_PEEK | MSG_DONTWAIT) < 0;
}

/*
 * While there is an urgent mark ahead, read or not, the kernel counts what is before it; all is
 * counted, and seen, for who takes urgent data for ordinary. Of one who does not, *RET_ALL is that.
 */
static int marked_read(struct watch_fd *w, const struct tcp_ways *ways, int size, int *ret_all,
                       Img__SkTcp__Connection *msg)
{
	int r = watch_inline(w, true), off;

	if (r == 0 && ioctl(w->fd, SIOCINQ, ret_all) < 0)
		r = -errno;
	if (r == 0 && *ret_all != size)
		r = received_read(w, ways, *ret_all, msg);
	off = watch_inline(w, false);
	if (r == 0 && msg->urgent.len)
		msg->urgent_read = urgent_is_read(w->fd);
	return r < 0 ? r : off;
}

static int receive_side(struct watch_fd *w, const struct tcp_ways *ways, size_t max, short ready,
                        Img__SkTcp__Connection *msg)
{
	int fd = w->fd, size = 0, seq = 0, r = queue_select(fd, TCP_RECV_QUEUE), all;

	if (r == 0)
		r = sk_option(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, &seq);
	if (r == 0 && ioctl(fd, SIOCINQ, &size) < 0)
		r = -errno;
	if (r == 0 && max && (size_t)size > max)
		r = -EFBIG;
	all = size;
	if (r == 0 && !ways->is_inline && (size || (ready & (POLLIN | POLLPRI))))
		r = marked_read(w, ways, size, &all, msg);
	else if (r == 0 && size)
		r = received_read(w, ways, size, msg);
	if (r == 0 && !ways->is_inline && all == size)
		r = received_peek(w, ways, 0, size, &msg->received);
	msg->rcv_seq = (uint32_t)seq - (uint32_t)all - msg->fin_received;
	return r == 0 && msg->received.len + msg->urgent.len != (size_t)all ? -EOPNOTSUPP : r;
}

/* What is unsent ends the queue; a FIN counts as one byte behind it. */
static int send_side(int fd, size_t max, bool fin_acked, Img__SkTcp__Connection *msg)
{
	ProtobufCBinaryData all = {};
	int unacked = 0, unsent = 0, seq = 0, r = queue_select(fd, TCP_SEND_QUEUE);
	size_t size, rest;

	if (r == 0)
		r = sk_option(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, &seq);
	if (r == 0 &&
	    (ioctl(fd, SIOCOUTQ, &unacked) < 0 || (unacked && ioctl(fd, SIOCOUTQNSD, &unsent) < 0)))
		r = -errno;
	if (r == 0 && max && (size_t)unacked > max)
		r = -EFBIG;
	if (r < 0)
		return r;
	size = (size_t)unacked - (msg->fin_sent && !fin_acked && unacked);
	rest = (size_t)unsent - (msg->fin_sent && unsent);
	msg->snd_seq = (uint32_t)seq - (uint32_t)size - msg->fin_sent;
	r = queue_peek(fd, size, &all);
	if (r == 0 && all.len != size)
		r = -EIO;
	if (r == 0 && rest) {
		msg->unsent.data = malloc(rest);
		if (!msg->unsent.data)
			r = -ENOMEM;
		else
			memcpy(msg->unsent.data, all.data + size - rest, msg->unsent.len = rest);
	}
	msg->sent = all;
	msg->sent.len -= msg->unsent.len;
	return r;
}

/* A FIN that was received, and what is urgent, is told again at the restore, and is not there before that. */
static uint32_t not_after(uint32_t seq, uint32_t end)
{
	return (int32_t)(seq - end) > 0 ? end : seq;
}

static int window_read(int fd, Img__SkTcp__Connection *msg)
{
	uint32_t end = msg->rcv_seq + (uint32_t)msg->received.len;
	struct tcp_repair_window w;
	socklen_t len = sizeof(w);

	if (getsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &w, &len) < 0)
		return -errno;
	msg->snd_wl1 = not_after(w.snd_wl1, end + w.rcv_wnd);
	msg->snd_wnd = w.snd_wnd;
	msg->max_window = w.max_window;
	msg->rcv_wup = not_after(w.rcv_wup, end);
	msg->rcv_wnd = w.rcv_wnd + (w.rcv_wup - msg->rcv_wup);
	return 0;
}

static int repaired_read(struct watch_fd *w, const struct tcp_ways *ways, size_t max, int state,
                         short ready, Img__SkTcp__Connection *msg)
{
	int fd = w->fd, mss = 0, stamp = 0, r = sk_option(fd, IPPROTO_TCP, TCP_MAXSEG, &mss);

	msg->mss = (uint32_t)mss;
	if (r == 0 && msg->options & TCPI_OPT_TIMESTAMPS)
		r = sk_option(fd, IPPROTO_TCP, TCP_TIMESTAMP, &stamp);
	msg->timestamp = (uint32_t)stamp;
	if (r == 0)
		r = send_side(fd, max, state == FIN_WAIT2, msg);
	if (r == 0)
		r = receive_side(w, ways, max, ready, msg);
	return r < 0 ? r : window_read(fd, msg);
}

static int info_read(int fd, int *ret_state, Img__SkTcp__Connection *msg)
{
	struct tcp_info info = {};
	socklen_t len = sizeof(info);
	int state;

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return -errno;
	*ret_state = state = info.tcpi_state;
	msg->options = info.tcpi_options & (TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_WSCALE);
	msg->snd_wscale = info.tcpi_snd_wscale;
	msg->rcv_wscale = info.tcpi_rcv_wscale;
	msg->fin_sent =
		state == FIN_WAIT1 || state == FIN_WAIT2 || state == CLOSING || state == LAST_ACK;
	msg->fin_received = state == CLOSE_WAIT || state == CLOSING || state == LAST_ACK;
	return 0;
}

int tcp_read(struct watch_fd *w, const struct tcp_ways *ways, size_t max,
             Img__SkTcp__Connection *msg, short *ret_events)
{
	struct pollfd ready = { .fd = w->fd, .events = POLLIN | POLLPRI | POLLRDHUP };
	int state = 0, r = info_read(w->fd, &state, msg), left;

	if (r == 0 && !tcp_state_connected(state))
		r = -ENOTCONN;
	if (r == 0 && poll(&ready, 1, 0) < 0)
		r = -errno;
	if (r == 0)
		r = watch_repair(w);
	if (r < 0)
		return r;
	r = repaired_read(w, ways, max, state, ready.revents, msg);
	left = watch_leave(w);
	if (r < 0 || left < 0)
		return r < 0 ? r : left;
	msg->deaf = !msg->fin_received && (ready.revents & POLLRDHUP);
	*ret_events = ready.revents;
	return 0;
}

bool tcp_has_label(int fd)
{
	char none[32] = ""; /* struct in6_flowlabel_req: IPV6_FL_A_GET, of nobody else's */

	return getsockopt(fd, IPPROTO_IPV6, 32 /* IPV6_FLOWLABEL_MGR */, none,
	                  &(socklen_t){ sizeof(none) }) == 0;
}

bool tcp_has_syn(int fd)
{
	char none;

	return getsockopt(fd, IPPROTO_TCP, TCP_SAVED_SYN, &none, &(socklen_t){ 0 }) < 0 &&
	       errno == EINVAL;
}

void tcp_read_done(Img__SkTcp__Connection *msg)
{
	free(msg->sent.data);
	free(msg->unsent.data);
	free(msg->received.data);
	free(msg->urgent.data);
	img__sk_tcp__connection__init(msg);
}
