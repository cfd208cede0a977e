/*
 * Pipes and fifos, dump half. The ends that the tree has open are known from
 * the inode. The content is copied with tee(2) from a stolen descriptor, which
 * consumes nothing; what comes out of the copy in one read(2) is one packet when
 * the pipe is in packet mode (O_DIRECT).
 *
 * An end outside of the tree shows when the tree has no such end: poll(2) then
 * tells whether anybody has. Outsiders beside an end in the tree are not looked for.
 * What becomes of a pipe to the outside is for --ext-pipe to say.
 *
 * A fifo that was unlinked, or whose directory was, is carried when nobody outside
 * has it: nobody else could open it any more.
 *
 * Not carried: packets behind plain bytes keep no border between the two.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "dump/dump.h"
#include "dump/pipe_peer.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/pipe.pb-c.h"

#define STDIO_FDS   3
#define PACKET_SIZE 4096 /* PIPE_BUF: the largest packet */

int ext_pipe_parse(const char *name, enum ext_pipe *ret)
{
	static const char *const names[] = { [EXT_PIPE_REFUSE] = "refuse",
		                             [EXT_PIPE_EOF] = "eof",
		                             [EXT_PIPE_INHERIT] = "inherit",
		                             [EXT_PIPE_REOPEN] = "reopen" };

	*ret = EXT_PIPE_REFUSE;
	for (size_t i = 0; name && i < ARRAY_SIZE(names); i++) {
		if (!strcmp(name, names[i])) {
			*ret = (enum ext_pipe)i;
			return 0;
		}
	}
	return name ? fail(-EINVAL, "--ext-pipe %s: is none of refuse, eof, inherit, reopen", name)
	            : 0;
}

static bool pipe_owns(const struct file *f)
{
	return S_ISFIFO(f->st.st_mode) && !(f->flags & O_PATH);
}

static bool is_fifo(const struct file *f)
{
	return f->link[0] == '/';
}

/* Where others find it, too. */
static bool has_path(const struct file *f)
{
	return is_fifo(f) && f->st.st_nlink;
}

static bool end_reads(const struct file *f)
{
	return (f->flags & O_ACCMODE) != O_WRONLY;
}

static bool end_writes(const struct file *f)
{
	return (f->flags & O_ACCMODE) != O_RDONLY;
}

/* As pipe2(2) makes them: what was opened by way of /proc has O_LARGEFILE. */
static bool end_plain(const struct file *f, int mode)
{
	return (f->flags & (O_ACCMODE | 0100000)) == (uint32_t)mode;
}

/*
 * poll(2) shows no hang-up to a reader of a fifo that never had a writer. tee(2)
 * from an empty one gives 0 without writers and EAGAIN with some. 1, 0 or -errno;
 * -ENODATA: it is not empty.
 */
static int empty_has_writers(int fd)
{
	auto_close int r = -1, w = -1;
	int p[2];
	ssize_t n;

	if (pipe2(p, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	r = p[0], w = p[1];
	n = tee(fd, w, 1, SPLICE_F_NONBLOCK);
	if (n < 0)
		return errno == EAGAIN ? 1 : -errno;
	return n ? -ENODATA : 0;
}

/* Is there an end of the other sort outside? F is one of those in the tree. 1, 0 or -errno. */
static int pipe_open_outside(const struct file *f)
{
	auto_close int fd = file_steal(f);
	struct pollfd p = { .fd = fd };

	if (fd < 0)
		return fd;
	if (is_fifo(f) && end_reads(f)) {
		int r = empty_has_writers(fd);

		if (r != -ENODATA)
			return r;
	}
	if (poll(&p, 1, 0) < 0)
		return -errno;
	return !(p.revents & (end_reads(f) ? POLLHUP : POLLERR));
}

/* Is F an end whose other end is outside? 1, 0 or -errno. */
static int pipe_is_half(struct dump *d, const struct file *f)
{
	bool reads = false, writes = false;

	for (const struct file *e = file_of(d, f->first);; e = file_of(d, e->next)) {
		reads |= end_reads(e);
		writes |= end_writes(e);
		if (!e->next)
			break;
	}
	return reads && writes ? 0 : pipe_open_outside(f);
}

/* What to do about an end outside. */
static enum ext_pipe policy_of(const struct dump *d, const struct file *f)
{
	enum ext_pipe want = d->opt->ext_pipe;

	if (!is_fifo(f) && d->opt->shell_job && f->fd < STDIO_FDS)
		return EXT_PIPE_INHERIT;
	if (has_path(f))
		return want == EXT_PIPE_REOPEN ? want : EXT_PIPE_REFUSE;
	return want == EXT_PIPE_REOPEN ? EXT_PIPE_REFUSE : want;
}

static int fifo_check(const struct file *f)
{
	struct stat st;

	if (!has_path(f))
		return 0;
	if (stat(f->link, &st) == 0 && st.st_dev == f->st.st_dev && st.st_ino == f->st.st_ino)
		return 0;
	return fail(-ENOTSUP,
	            "%s: the path leads to this fifo no more: not supported by this version",
	            file_name(f));
}

/* An end that nobody has open may be in flight to a socket of the tree: that is seen when it is dumped. */
static int refuse_outside(const struct dump *d, const struct file *f, bool in_flight_known)
{
	bool terminal = f->fd < STDIO_FDS && !is_fifo(f);
	char who[160];

	if (!pipe_peers(d, f, end_reads(f), who, sizeof(who)) && !in_flight_known)
		return 0;
	return fail(-ENOTSUP,
	            "%s: the %s end of this pipe is outside of the tree, at %s; --ext-pipe %s%s",
	            file_name(f), end_reads(f) ? "writing" : "reading", who,
	            has_path(f) ? "reopen opens the fifo again"
	                        : "eof takes it for closed, --ext-pipe inherit restores this end "
	                          "as that descriptor of crtool",
	            terminal ? "; -j restores it as that of crtool" : "");
}

static int pipe_check(struct dump *d, const struct file *f)
{
	int r;

	r = is_fifo(f) ? fifo_check(f) : 0;
	if (r < 0 || f->id != f->first)
		return r;
	r = pipe_is_half(d, f);
	if (r < 0)
		return fail(r, "%s: look for its other end", file_name(f));
	return r && policy_of(d, f) == EXT_PIPE_REFUSE ? refuse_outside(d, f, false) : 0;
}

/* ---- content ---- */

static int packet_add(Img__Pipe *msg, size_t *cap, uint32_t size)
{
	if (msg->n_packets == *cap) {
		size_t more = *cap ? *cap * 2 : 16;
		uint32_t *p = reallocarray(msg->packets, more, sizeof(*p));

		if (!p)
			return -ENOMEM;
		msg->packets = p;
		*cap = more;
	}
	msg->packets[msg->n_packets++] = size;
	return 0;
}

/* Read all SIZE bytes of the copy; each read(2) ends with a packet or with the pipe. */
static int content_read(int fd, size_t size, Img__Pipe *msg)
{
	size_t cap = 0;

	msg->content.data = malloc(size);
	if (!msg->content.data)
		return -ENOMEM;
	while (msg->content.len < size) {
		ssize_t n = read(fd, msg->content.data + msg->content.len, size - msg->content.len);

		if (n <= 0)
			return n < 0 ? -errno : -ENODATA;
		msg->content.len += (size_t)n;
		if (packet_add(msg, &cap, (uint32_t)n) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int content_copy(int fd, int capacity, Img__Pipe *msg)
{
	auto_close int r = -1, w = -1;
	int p[2], size;
	ssize_t n;

	if (ioctl(fd, FIONREAD, &size) < 0)
		return -errno;
	if (size == 0)
		return 0;
	if (pipe2(p, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	r = p[0], w = p[1];
	if (fcntl(w, F_GETPIPE_SZ) < capacity && fcntl(w, F_SETPIPE_SZ, capacity) < 0)
		return -errno;
	n = tee(fd, w, (size_t)size, SPLICE_F_NONBLOCK);
	if (n < 0)
		return -errno;
	return n == size ? content_read(r, (size_t)size, msg) : -EIO;
}

/* Plain bytes come in one piece, whatever the sizes of the writes were. */
static void packets_forget(Img__Pipe *msg, bool packet_mode)
{
	bool plain = msg->n_packets == 1 && !packet_mode;

	for (size_t i = 0; i < msg->n_packets; i++)
		plain |= msg->packets[i] > PACKET_SIZE;
	if (plain)
		msg->n_packets = 0;
}

/* ---- record ---- */

static void pipe_ends(struct dump *d, const struct file *f, Img__Pipe *msg,
                      const struct file **ret_reader, bool *ret_packet_mode)
{
	*ret_reader = NULL;
	*ret_packet_mode = false;
	for (const struct file *e = f;; e = file_of(d, e->next)) {
		if (!msg->read_end && end_plain(e, O_RDONLY))
			msg->read_end = e->id;
		if (!msg->write_end && end_plain(e, O_WRONLY))
			msg->write_end = e->id;
		if (!*ret_reader && end_reads(e))
			*ret_reader = e;
		*ret_packet_mode |= end_writes(e) && (e->flags & O_DIRECT);
		if (!e->next)
			return;
	}
}

static int pipe_fill(struct dump *d, const struct file *f, Img__Pipe *msg)
{
	const struct file *reader;
	bool packet_mode;
	auto_close int fd = -1;
	int r, capacity;

	pipe_ends(d, f, msg, &reader, &packet_mode);
	fd = file_steal(reader ? reader : f);
	if (fd < 0)
		return fd;
	capacity = fcntl(fd, F_GETPIPE_SZ);
	if (capacity < 0)
		return -errno;
	msg->capacity = (uint32_t)capacity;
	msg->mode = f->st.st_mode & 07777;
	msg->uid = f->st.st_uid;
	msg->gid = f->st.st_gid;
	r = reader ? content_copy(fd, capacity, msg) : 0;
	packets_forget(msg, packet_mode);
	return r;
}

static int pipe_dump(struct dump *d, const struct file *f)
{
	Img__Pipe msg = IMG__PIPE__INIT;
	bool half;
	int r = 0;

	if (is_fifo(f)) {
		msg.path = f->link;
		msg.ino = f->st.st_ino;
		msg.unlinked = !f->st.st_nlink;
	}
	if (f->id != f->first) {
		msg.of = f->first;
		return image_put(d->out, KIND_pipe, f->id, &msg.base);
	}
	half = pipe_is_half(d, f) > 0;
	if (half && policy_of(d, f) == EXT_PIPE_REFUSE)
		return refuse_outside(d, f, true);
	if (half && policy_of(d, f) == EXT_PIPE_INHERIT) {
		msg.inherited = true;
		msg.number = (uint32_t)f->fd;
	} else {
		r = pipe_fill(d, f, &msg);
	}
	/* Its content waits in the kernel as long as the others have it open. */
	msg.reopened = half && policy_of(d, f) == EXT_PIPE_REOPEN;
	if (r < 0)
		fail(r, "%s: copy its content", file_name(f));
	else
		r = image_put(d->out, KIND_pipe, f->id, &msg.base);
	free(msg.content.data);
	free(msg.packets);
	return r;
}

const struct dump_kind dump_pipe = {
	.owns = pipe_owns,
	.check = pipe_check,
	.dump = pipe_dump,
};
