#include "restore/sk_tcp_queue.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define PIECE 32768 /* of a queue */

int tcp_option_set(int fd, int name, int value)
{
	return setsockopt(fd, IPPROTO_TCP, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

int tcp_seq_set(int fd, int queue, uint32_t seq)
{
	int e = tcp_option_set(fd, TCP_REPAIR_QUEUE, queue);

	return e < 0 ? e : tcp_option_set(fd, TCP_QUEUE_SEQ, (int)seq);
}

int tcp_receive_widen(int fd)
{
	int size = 1 << 30;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) == 0)
		return 0;
	/* In a user namespace: what everybody may have (net.core.rmem_max). */
	return setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) < 0 ? -errno : 0;
}

int tcp_queue_fill(int fd, int queue, const ProtobufCBinaryData *data)
{
	int e = data->len ? tcp_option_set(fd, TCP_REPAIR_QUEUE, queue) : 0;

	for (size_t at = 0; e == 0 && at < data->len;) {
		size_t size = data->len - at < PIECE ? data->len - at : PIECE;
		ssize_t n = send(fd, data->data + at, size, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0)
			e = -errno;
		else
			at += (size_t)n;
	}
	return e;
}
