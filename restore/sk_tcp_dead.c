/*
 * A connection to nobody is made in repair mode, which sends nothing, and gets what was received; then it is told
 * by a segment of our own (sk_tcp_segment.c) that its peer has reset it. An attempt to connect that was refused is
 * made again, at a port where nobody listens.
 */
#include "restore/sk_tcp_dead.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "restore/sk_tcp_queue.h"
#include "restore/sk_tcp_segment.h"
#include "restore/sockopt.h"

#define SEQ          1 /* of the first byte, both ways */
#define TOLD_WAIT_MS 1000

enum { CLOSE = 7, CLOSE_WAIT = 8 };

static union inaddr nowhere(int family, uint16_t port)
{
	union inaddr a = {};

	a.sa.sa_family = (sa_family_t)family;
	if (family == AF_INET)
		a.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		a.v6.sin6_addr = in6addr_loopback;
	inaddr_set_port(&a, port);
	return a;
}

/* That one, or the end. */
static int await_state(int fd, int state)
{
	for (int i = 0; i < TOLD_WAIT_MS; i++) {
		struct tcp_info info = {};

		if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &(socklen_t){ sizeof(info) }) < 0)
			return -errno;
		if (info.tcpi_state == state || info.tcpi_state == CLOSE)
			return 0;
		usleep(1000);
	}
	return -ETIMEDOUT;
}

/* ---- one that was connected ---- */

static int connected_make(int fd, const union inaddr *peer, const ProtobufCBinaryData *unread)
{
	int e = tcp_option_set(fd, TCP_REPAIR, TCP_REPAIR_ON);

	if (e == 0)
		e = tcp_seq_set(fd, TCP_SEND_QUEUE, SEQ);
	if (e == 0)
		e = tcp_seq_set(fd, TCP_RECV_QUEUE, SEQ);
	if (e == 0 && connect(fd, &peer->sa, inaddr_len(peer)) < 0)
		e = -errno;
	if (e == 0 && unread->len)
		e = tcp_receive_widen(fd);
	if (e == 0)
		e = tcp_queue_fill(fd, TCP_RECV_QUEUE, unread);
	if (e == 0)
		e = tcp_option_set(fd, TCP_REPAIR, TCP_REPAIR_OFF_NO_WP);
	return e == 0 && unread->len ? sockopts_unwiden(fd, SO_RCVBUF) : e;
}

/* Of one that has said before that it sends no more (FIN) the program is told EPIPE. */
static int reset_tell(int fd, const union inaddr *peer, size_t size, bool fin)
{
	struct segment s = { .from = *peer, .seq = SEQ + (uint32_t)size, .ack = SEQ, .window = 1 };
	socklen_t len = sizeof(s.to);
	int e = getsockname(fd, &s.to.sa, &len) < 0 ? -errno : 0;

	if (e == 0 && fin) {
		s.fin = true;
		e = segment_send(&s);
		s.fin = false;
		s.seq++;
		if (e == 0)
			e = await_state(fd, CLOSE_WAIT);
	}
	s.reset = true;
	if (e == 0)
		e = segment_send(&s);
	return e < 0 ? e : await_state(fd, CLOSE);
}

static int ended_make(int fd, const Img__SkTcp *msg, int error)
{
	union inaddr peer = nowhere((int)msg->family, 9);
	int e = connected_make(fd, &peer, &msg->unread), told;

	if (e == 0)
		e = reset_tell(fd, &peer, msg->unread.len, error == EPIPE);
	if (e == 0 && !error)
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &told, &(socklen_t){ sizeof(told) });
	return e;
}

/* ---- one that never was ---- */

static int refused_make(int fd, const Img__SkTcp *msg)
{
	auto_close int deaf = socket((int)msg->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	union inaddr at = nowhere((int)msg->family, 0);
	socklen_t len = sizeof(at);

	if (deaf < 0 || bind(deaf, &at.sa, inaddr_len(&at)) < 0 ||
	    getsockname(deaf, &at.sa, &len) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	if (connect(fd, &at.sa, inaddr_len(&at)) == 0 || errno != EINPROGRESS)
		return -EIO;
	return fcntl(fd, F_SETFL, 0) < 0 ? -errno : await_state(fd, CLOSE);
}

int tcp_dead_make(int fd, const Img__SkTcp *msg, int error)
{
	struct segment_device device;
	int e, back;

	if (msg->protocol != IPPROTO_TCP) /* MPTCP has no repair mode */
		return shutdown(fd, SHUT_RDWR) < 0 && errno != ENOTCONN ? -errno : 0;
	e = segment_device_off(fd, &device);
	if (e < 0)
		return e;
	e = error == ECONNREFUSED ? refused_make(fd, msg) : ended_make(fd, msg, error);
	back = segment_device_on(fd, &device);
	return e < 0 ? e : back;
}
