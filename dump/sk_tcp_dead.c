/*
 * A connection that was reset, has failed, or has ended on both sides is in the state TCP_CLOSE, and keeps what was
 * received until that is read. The error that the program is told next (SO_ERROR) would be told to us instead, and
 * never again: which one it is tells the memory of the kernel, else it is taken for the usual one.
 */
#include "dump/sk_tcp_dead.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "dump/guard.h"
#include "dump/kernel_memory.h"
#include "dump/sk_inet.h"
#include "lib/log.h"

static void error_read(struct dump *d, int fd, struct tcp_dead *ret)
{
	int error = kernel_socket_error(d, fd);

	ret->guessed = error < 0;
	ret->error = ret->guessed ? ECONNRESET : error;
	ret->queue = !ret->error;
}

static int peek_off_set(int fd, int value)
{
	return setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int bytes_peek(int fd, size_t size, ProtobufCBinaryData *ret)
{
	ssize_t n;

	ret->data = malloc(size);
	if (!ret->data)
		return -ENOMEM;
	n = recv(fd, ret->data, size, MSG_PEEK | MSG_DONTWAIT);
	ret->len = n < 0 ? 0 : (size_t)n;
	return n < 0 ? -errno : 0;
}

/* SO_PEEK_OFF is the program's, and would be obeyed. */
static int unread_read(struct dump *d, const struct file *f, int fd, size_t size,
                       ProtobufCBinaryData *ret)
{
	int was = -1, r, back = 0;

	sk_option(fd, SOL_SOCKET, SO_PEEK_OFF, &was); /* TCP has it since 6.9 */
	r = was < 0 ? 0 : guard_note_option(d, f, SO_PEEK_OFF, was);
	if (r == 0 && was >= 0)
		r = peek_off_set(fd, -1);
	if (r == 0)
		r = bytes_peek(fd, size, ret);
	if (was >= 0)
		back = guard_undo_option(d, f, fd, SO_PEEK_OFF, was);
	return r < 0 ? r : back;
}

static int refuse(const struct file *f, const char *why)
{
	return fail(-ENOTSUP, "%s: a connection that has ended %s: not supported by this version",
	            file_name(f), why);
}

int tcp_dead_read(struct dump *d, const struct file *f, int fd, struct tcp_dead *ret)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLPRI | POLLRDHUP };
	bool plain = f->sock.protocol == IPPROTO_TCP;
	int unread = 0, r;

	*ret = (struct tcp_dead){};
	if (poll(&p, 1, 0) < 0 || (plain && ioctl(fd, SIOCINQ, &unread) < 0))
		return fail(-errno, "%s: poll", file_name(f));
	ret->ended = (p.revents & (POLLIN | POLLRDHUP)) != 0;
	if (!plain && p.revents & POLLERR && d->opt->tcp != TCP_LET_GO)
		return refuse(f, "by an error that the program was not told yet");
	if (plain && p.revents & POLLERR)
		error_read(d, fd, ret);
	if (p.revents & POLLPRI)
		return refuse(f, "with urgent data unread");
	if (!unread || !d->frozen)
		return 0;
	r = unread_read(d, f, fd, (size_t)unread, &ret->unread);
	if (r < 0)
		return fail(r, "%s: peek at what waits in it", file_name(f));
	return ret->unread.len == (size_t)unread ? 0 : refuse(f, "with urgent data unread");
}

void tcp_dead_done(struct tcp_dead *dead)
{
	free(dead->unread.data);
	dead->unread = (ProtobufCBinaryData){};
}

void tcp_dead_lose(const struct file *f, const struct tcp_dead *dead)
{
	int e = dead->error;

	if (dead->queue)
		lose("%s (%s): what waits in its error queue", file_name(f), file_describe(f));
	else if (dead->guessed)
		lose("%s (%s): which error the program was not told yet: it is told that the "
		     "connection was reset",
		     file_name(f), file_describe(f));
	else if (e && e != ECONNRESET && e != EPIPE && e != ECONNREFUSED)
		lose("%s (%s): the error \"%s\", which the program was not told yet: it is told "
		     "that the connection was reset",
		     file_name(f), file_describe(f), strerror(e));
}
