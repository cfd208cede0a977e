/*
 * Unread bytes of a pseudo terminal (drivers/tty/n_tty.c). There is no way to
 * peek: they are read, and put back by TIOCSTI, which goes straight to the line
 * discipline, past the other side's queue, in the order of the calls and done when it
 * returns. What does not fit there (4095 bytes) waited in the buffers between the
 * two sides, unprocessed, and is written to the other side again.
 *
 * A line that is not ended yet cannot be seen in canonical mode, so that mode is
 * left for a moment. This makes the kernel forget where lines end; an
 * empty queue is flushed afterwards, which makes it as good as new.
 *
 * Not kept: a newline that was quoted (VLNEXT) counts as one; the column of the cursor,
 * by which an erased tab is echoed; of more than 4095 bytes, those beyond are processed without
 * their echo.
 */
#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/pty.h"

#define CHUNK   4096
#define WAIT_MS 200

void pty_queue_done(struct pty_queue *q)
{
	free(q->data);
	array_done(&q->lines);
	*q = (struct pty_queue){};
}

bool pty_may_put(void)
{
	auto_close int fd = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);

	return fd >= 0 && ioctl(fd, TIOCSTI, "x") == 0;
}

/* ---- taking ---- */

/* FD has something to be read now: poll(2) waits for what is on its way to the line discipline. */
static bool is_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1 && (p.revents & POLLIN);
}

static int waiting(int fd)
{
	int n;

	return ioctl(fd, FIONREAD, &n) < 0 ? -errno : n;
}

static int room(struct pty_queue *q)
{
	if (q->cap - q->len < CHUNK) {
		size_t cap = q->cap ? 2 * q->cap : 4 * CHUNK;
		uint8_t *p = realloc(q->data, cap);

		if (!p)
			return -ENOMEM;
		q->data = p;
		q->cap = cap;
	}
	return 0;
}

/* One read(2). 0: there is nothing, or an end of file; -EAGAIN: nothing. */
static ssize_t take_some(int fd, struct pty_queue *q)
{
	int r = room(q);
	ssize_t n = r < 0 ? r : read(fd, q->data + q->len, CHUNK);

	if (n > 0)
		q->len += (size_t)n;
	return r < 0 ? r : n < 0 ? -errno : n;
}

static int take_all(int fd, struct pty_queue *q)
{
	ssize_t n;

	do
		n = take_some(fd, q);
	while (n > 0);
	return n == -EAGAIN ? 0 : (int)n;
}

/* A control character of 0 is none. */
static bool ends_line(const struct termios2 *tio, uint8_t c)
{
	return c == '\n' || (c && (c == tio->c_cc[VEOL] || c == tio->c_cc[VEOL2]));
}

static int take_lines(int fd, const struct termios2 *tio, struct pty_queue *q)
{
	while (is_readable(fd)) {
		size_t begin = q->len;
		ssize_t n;
		uint32_t *line = array_add(&q->lines);

		n = line ? take_some(fd, q) : -ENOMEM;
		if (n < 0) {
			q->lines.n -= !!line;
			return n == -EAGAIN ? 0 : (int)n;
		}
		*line = (uint32_t)(q->len - begin);
		if (!n || !ends_line(tio, q->data[q->len - 1]))
			*line |= PTY_EOF;
	}
	return 0;
}

static bool has_lines(const struct termios2 *tio)
{
	return (tio->c_lflag & ICANON) && !(tio->c_lflag & EXTPROC);
}

/* As TIO is, without echo and signals. */
static struct termios2 quiet(const struct termios2 *tio)
{
	struct termios2 t = *tio;

	t.c_lflag &= ~(tcflag_t)(ISIG | ECHO | ECHONL);
	return t;
}

/* What is not a line yet; afterwards there is none. */
static int take_rest(int slave, const struct termios2 *tio, struct pty_queue *q)
{
	struct termios2 raw = quiet(tio);
	int r, back;

	raw.c_lflag &= ~(tcflag_t)ICANON;
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	if (ioctl(slave, TCSETS2, &raw) < 0)
		return -errno;
	r = waiting(slave);
	if (r > 0)
		r = take_all(slave, q);
	back = ioctl(slave, TCSETS2, tio) < 0 || ioctl(slave, TCFLSH, TCIFLUSH) < 0 ? -errno : 0;
	return r < 0 ? r : back;
}

int pty_take_input(int slave, struct pty_queue *q)
{
	struct termios2 tio, calm;
	int r, back;

	if (ioctl(slave, TCGETS2, &tio) < 0)
		return -errno;
	is_readable(slave);
	r = waiting(slave);
	if (r < 0)
		return r;
	q->near = (size_t)r;
	if (!has_lines(&tio) && !r)
		return 0;
	if (!has_lines(&tio) || is_readable(slave)) {
		calm = quiet(&tio);
		if (ioctl(slave, TCSETS2, &calm) < 0)
			return -errno;
		r = has_lines(&tio) ? take_lines(slave, &tio, q) : take_all(slave, q);
		back = ioctl(slave, TCSETS2, &tio) < 0 ? -errno : 0;
		r = r < 0 ? r : back;
	}
	return r >= 0 && has_lines(&tio) ? take_rest(slave, &tio, q) : r;
}

int pty_take_output(int master, struct pty_queue *q)
{
	int r = 0;

	while (r >= 0 && is_readable(master)) {
		if (!q->len) {
			r = waiting(master);
			q->near = r > 0 ? (size_t)r : 0;
		}
		if (r >= 0)
			r = (int)take_some(master, q);
		if (r == -EIO) /* the other side is closed, and that was all */
			return 0;
	}
	return r < 0 ? r : 0;
}

/* ---- putting back ---- */

static int push(int fd, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (ioctl(fd, TIOCSTI, &data[i]) < 0)
			return -errno;
	return 0;
}

/* Through the buffers between the two sides; a writer that is full gets a moment. */
static int pass(int fd, const uint8_t *data, size_t len)
{
	int flags = fcntl(fd, F_GETFL), r = 0;

	if (!len)
		return 0;
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	for (size_t done = 0; r == 0 && done < len;) {
		ssize_t n = write(fd, data + done, len - done);
		struct pollfd p = { .fd = fd, .events = POLLOUT };

		if (n > 0)
			done += (size_t)n;
		else if (n < 0 && errno != EAGAIN && errno != EINTR)
			r = -errno;
		else if (poll(&p, 1, WAIT_MS) == 0)
			r = -ENOSPC;
	}
	return fcntl(fd, F_SETFL, flags) < 0 && r == 0 ? -errno : r;
}

/* Bytes go through as they are, but for those that end a line. */
static struct termios2 literal(const struct termios2 *tio, uint8_t eof)
{
	struct termios2 t = *tio;

	t.c_iflag &= IXON; /* taken away, it would start output that was stopped */
	t.c_lflag &= ICANON | EXTPROC | IEXTEN;
	memset(t.c_cc, 0, sizeof(t.c_cc));
	t.c_cc[VEOL] = tio->c_cc[VEOL];
	t.c_cc[VEOL2] = tio->c_cc[VEOL2];
	t.c_cc[VEOF] = eof;
	if (!has_lines(tio)) {
		t.c_cc[VMIN] = tio->c_cc[VMIN];
		t.c_cc[VTIME] = tio->c_cc[VTIME];
	}
	return t;
}

/* A byte that is not in the data; 0: all are. */
static uint8_t unused_byte(const struct pty_queue *q)
{
	for (int c = 255; c > 0; c--)
		if (!q->len || !memchr(q->data, c, q->len))
			return (uint8_t)c;
	return 0;
}

static int push_input(int slave, uint8_t eof, const struct pty_queue *q, size_t near)
{
	size_t done = 0;

	array_each (line, &q->lines) {
		size_t len = *line & ~PTY_EOF;
		int r = push(slave, q->data + done, len);

		if (r == 0 && (*line & PTY_EOF))
			r = push(slave, &eof, 1);
		if (r < 0)
			return r;
		done += len;
	}
	return done < near ? push(slave, q->data + done, near - done) : 0;
}

int pty_put_input(int master, int slave, const struct pty_queue *q)
{
	/* All of a canonical queue fits: it has been there, or comes from nowhere else. */
	uint8_t eof = unused_byte(q);
	struct termios2 tio, t;
	size_t near;
	int r, back;

	if (!q->len && !q->lines.n)
		return 0;
	if (ioctl(slave, TCGETS2, &tio) < 0)
		return -errno;
	near = has_lines(&tio) || q->near > q->len ? q->len : q->near;
	t = literal(&tio, eof);
	if (ioctl(slave, TCSETS2, &t) < 0)
		return -errno;
	r = push_input(slave, eof, q, near);
	back = ioctl(slave, TCSETS2, &tio) < 0 ? -errno : 0;
	if (r == 0)
		r = back;
	return r == 0 ? pass(master, q->data + near, q->len - near) : r;
}

int pty_put_output(int master, int slave, const struct pty_queue *q)
{
	size_t near = q->near < q->len ? q->near : q->len;
	int r = push(master, q->data, near), back;
	struct termios2 tio, t;

	if (r < 0 || near == q->len)
		return r;
	if (ioctl(slave, TCGETS2, &tio) < 0)
		return -errno;
	t = tio;
	t.c_oflag &= ~(tcflag_t)OPOST;
	if (ioctl(slave, TCSETS2, &t) < 0)
		return -errno;
	r = pass(slave, q->data + near, q->len - near);
	back = ioctl(slave, TCSETS2, &tio) < 0 ? -errno : 0;
	return r < 0 ? r : back;
}

/* ---- flow ---- */

static bool is_writable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT);
}

/* tcflow(3) starts what it has stopped, and nothing else. */
int pty_flow(int slave, enum pty_flow *ret)
{
	*ret = PTY_FLOWS;
	if (is_writable(slave))
		return 0;
	if (ioctl(slave, TCXONC, TCOON) < 0)
		return -errno;
	*ret = is_writable(slave) ? PTY_STOPPED_BY_CALL : PTY_STOPPED_BY_CHAR;
	return *ret == PTY_STOPPED_BY_CALL && ioctl(slave, TCXONC, TCOOFF) < 0 ? -errno : 0;
}

int pty_stop(int slave, enum pty_flow how)
{
	struct termios2 tio, t;
	int r;

	if (how == PTY_FLOWS)
		return 0;
	if (how == PTY_STOPPED_BY_CALL)
		return ioctl(slave, TCXONC, TCOOFF) < 0 ? -errno : 0;
	if (ioctl(slave, TCGETS2, &tio) < 0)
		return -errno;
	t = quiet(&tio);
	t.c_iflag |= IXON;
	t.c_cc[VSTOP] = 's';
	if (ioctl(slave, TCSETS2, &t) < 0)
		return -errno;
	r = push(slave, (const uint8_t *)"s", 1);
	return ioctl(slave, TCSETS2, &tio) < 0 && r == 0 ? -errno : r;
}
