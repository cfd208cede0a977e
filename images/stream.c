/*
 * Writing a stream. A program may stand still until it is written, so no write
 * waits for longer than the reader may take: a pipe is opened again to get a
 * description of our own that does not block; that of others stays as it is.
 */
#define _GNU_SOURCE
#include "images/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "images/format.h"
#include "images/hash.h"
#include "lib/cleanup.h"
#include "lib/deadline.h"
#include "lib/log.h"

#define GLANCE_MS 50 /* between looks whether to go on */

struct stream_out {
	int fd; /* our own */
	bool is_pipe, is_socket, is_file;
	unsigned stall_ms;
	pthread_mutex_t lock; /* of all below */
	uint64_t number;
	int error;
};

uint64_t frame_hash(const struct frame_header *h, const void *data)
{
	return XXH3_64bits_withSeed(data, h->size,
	                            XXH3_64bits(h, offsetof(struct frame_header, hash)));
}

uint32_t frame_file(const char *name)
{
	unsigned n;

	if (!strcmp(name, STATE_FILE))
		return 0;
	if (!strcmp(name, SIGNATURE_FILE))
		return FRAME_SIGNATURE;
	return sscanf(name, PAGES_FILE, &n) == 1 ? n + 1 : FRAME_MANIFEST;
}

static int stream_fail(int r)
{
	if (r == -EPIPE)
		return fail(r, "stream: nobody reads it any more");
	if (r == -ETIMEDOUT)
		return fail(r, "stream: its reader takes nothing; --timeout gives it longer");
	return fail(r, "stream: write");
}

/* Something may be written now, or the reader has gone, which writing tells. */
static int wait_reader(struct stream_out *s, uint64_t since)
{
	struct pollfd p = { .fd = s->fd, .events = POLLOUT };

	if (interrupted())
		return -EINTR;
	if (clock_ns() - since > (uint64_t)s->stall_ms * 1000000)
		return -ETIMEDOUT;
	return poll(&p, 1, GLANCE_MS) < 0 && errno != EINTR ? -errno : 0;
}

static ssize_t write_some(const struct stream_out *s, struct iovec *iov, size_t n)
{
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = n };

	return s->is_socket ? sendmsg(s->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL)
	                    : writev(s->fd, iov, (int)n);
}

static int write_all(struct stream_out *s, struct iovec *iov, size_t n)
{
	uint64_t since = clock_ns();

	while (n) {
		ssize_t done = write_some(s, iov, n);
		int r = 0;

		if (done < 0 && errno == EAGAIN)
			r = wait_reader(s, since);
		else if (done < 0 && errno != EINTR)
			r = -errno;
		if (r < 0)
			return r;
		if (done > 0)
			since = clock_ns();
		for (; n && done >= (ssize_t)iov->iov_len; n--)
			done -= (ssize_t)iov++->iov_len;
		if (n && done > 0)
			iov->iov_base = (char *)iov->iov_base + done, iov->iov_len -= (size_t)done;
	}
	return 0;
}

static int put_frame(struct stream_out *s, uint32_t file, const void *data, uint32_t size)
{
	struct frame_header h = { .file = file, .size = size };
	struct iovec iov[] = { { &h, sizeof(h) }, { (void *)data, size } };
	int r;

	pthread_mutex_lock(&s->lock);
	r = s->error;
	if (r == 0) {
		h.number = s->number++;
		h.hash = frame_hash(&h, data);
		r = write_all(s, iov, size ? 2 : 1);
		s->error = r;
		if (r < 0)
			stream_fail(r);
	}
	pthread_mutex_unlock(&s->lock);
	return r;
}

int stream_put(struct stream_out *s, uint32_t file, const void *data, uint64_t size)
{
	const char *p = data;
	int r = 0;

	for (uint64_t n; r == 0 && size; p += n, size -= n) {
		n = size < FRAME_MAX ? size : FRAME_MAX;
		r = put_frame(s, file, p, (uint32_t)n);
	}
	return r;
}

/* The last bytes are not only in the pipe: whoever reads it has them. */
static int drain(struct stream_out *s)
{
	uint64_t since = clock_ns();
	int left = 0, before = 0;

	while (s->is_pipe && ioctl(s->fd, FIONREAD, &left) == 0 && left) {
		struct pollfd p = { .fd = s->fd, .events = 0 };

		if (interrupted())
			return -EINTR;
		if (left != before)
			since = clock_ns();
		if (clock_ns() - since > (uint64_t)s->stall_ms * 1000000)
			return -ETIMEDOUT;
		before = left;
		if (poll(&p, 1, 1) > 0)
			return -EPIPE;
	}
	return 0;
}

int stream_end(struct stream_out *s, bool sync)
{
	int r = put_frame(s, FRAME_END, "", 0);

	if (r < 0)
		return r;
	r = drain(s);
	if (r == 0 && s->is_file && sync && fsync(s->fd) < 0)
		r = -errno;
	return r < 0 ? stream_fail(r) : 0;
}

/* A description of our own, that does not block where FD is a pipe. */
static int own_description(int fd, const struct stat *st)
{
	char path[32];
	int own;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = S_ISFIFO(st->st_mode) ? open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC)
	                            : fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return own < 0 ? -errno : own;
}

int stream_out_new(int fd, unsigned stall_ms, struct stream_out **ret)
{
	struct stream_header h = { .magic = STREAM_MAGIC, .version = STREAM_VERSION };
	struct iovec iov = { &h, sizeof(h) };
	struct stream_out *s;
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return fail(-errno, "stream: stdout");
	if (isatty(fd))
		return fail(-EINVAL,
		            "stream: stdout is a terminal; give it a reader, or a directory (-D)");
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->is_pipe = S_ISFIFO(st.st_mode);
	s->is_socket = S_ISSOCK(st.st_mode);
	s->is_file = S_ISREG(st.st_mode);
	s->stall_ms = stall_ms;
	pthread_mutex_init(&s->lock, NULL);
	s->fd = own_description(fd, &st);
	r = s->fd < 0 ? s->fd : write_all(s, &iov, 1);
	if (r < 0) {
		stream_out_free(s);
		return stream_fail(r);
	}
	*ret = s;
	return 0;
}

void stream_out_free(struct stream_out *s)
{
	if (!s)
		return;
	closep(&s->fd);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
