/*
 * Pipes and fifos, restore half. One pipe2(2) makes both ends: those files that
 * are as pipe2 makes them are the ends themselves; what is left was opened by
 * way of /proc and is opened so again. The content is written before anybody
 * can read, packet by packet where it was in packets.
 *
 * A fifo is opened by its path, once more for both directions meanwhile: opening
 * one direction may fail or wait otherwise. One that was unlinked is made where it
 * was, or where there is room, and unlinked again.
 *
 * An end that others have (-j, --ext-pipe inherit) is a descriptor that crtool
 * was started with: what crtool opens itself is close-on-exec, this is not.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/deadline.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "proto/pipe.pb-c.h"
#include "restore/leftover.h"
#include "restore/restore.h"

#define STDIO_FDS   3
#define PACKET_SIZE 4096
#define DELETED     " (deleted)"

static int pipe_check(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__Pipe *msg = (const Img__Pipe *)base;
	uint64_t sum = 0;
	bool bad = msg->content.len > msg->capacity || (*msg->path && *msg->path != '/') ||
	           (msg->inherited && msg->number > INT32_MAX) ||
	           ((msg->unlinked || msg->reopened) && !*msg->path);

	for (size_t i = 0; i < msg->n_packets; i++) {
		bad |= !msg->packets[i] || msg->packets[i] > PACKET_SIZE;
		sum += msg->packets[i];
	}
	bad |= msg->n_packets && sum != msg->content.len;
	if (msg->of) {
		const Img__Pipe *of = (const Img__Pipe *)images_one(r->images, KIND_pipe, msg->of);

		bad |= !of || of->of;
	}
	return bad ? fail(-EBADMSG, "file %u: pipe: sizes or references are wrong", file->id) : 0;
}

static int content_write(int fd, const Img__Pipe *msg)
{
	const uint8_t *data = msg->content.data;
	int r = 0;

	if (!msg->content.len)
		return 0;
	/* More than there is room for must not make us wait. */
	if (fcntl(fd, F_SETFL, O_NONBLOCK | (msg->n_packets ? O_DIRECT : 0)) < 0)
		return -errno;
	if (!msg->n_packets)
		r = write_full(fd, data, msg->content.len);
	for (size_t i = 0; r == 0 && i < msg->n_packets; data += msg->packets[i++])
		r = write_full(fd, data, msg->packets[i]);
	if (fcntl(fd, F_SETFL, 0) < 0)
		return -errno;
	return r;
}

static int pipe_set_up(const Img__File *file, const Img__Pipe *msg, int fd)
{
	int capacity = fcntl(fd, F_GETPIPE_SZ), r;
	struct stat st;

	if (capacity != (int)msg->capacity && fcntl(fd, F_SETPIPE_SZ, msg->capacity) < 0)
		return fail(-errno,
		            "pipe %u: capacity of %u bytes (more than /proc/sys/fs/pipe-max-size "
		            "needs CAP_SYS_RESOURCE)",
		            file->id, msg->capacity);
	r = content_write(fd, msg);
	if (r < 0)
		return fail(r, "pipe %u: write %zu bytes of content", file->id, msg->content.len);
	if (*msg->path && !msg->unlinked)
		return 0; /* the owner and mode are those of the file */
	if (fstat(fd, &st) < 0)
		return fail(-errno, "pipe %u: fstat", file->id);
	if ((st.st_uid != msg->uid || st.st_gid != msg->gid) && fchown(fd, msg->uid, msg->gid) < 0)
		return fail(-errno, "pipe %u: set its owner %u:%u", file->id, msg->uid, msg->gid);
	if ((st.st_mode & 07777) != msg->mode && fchmod(fd, msg->mode) < 0)
		return fail(-errno, "pipe %u: set its mode", file->id);
	return 0;
}

/* In a directory of its own, where its own is gone or has another file of that name by now. */
static int fifo_make_aside(struct restore *r)
{
	char dir[64], path[80];
	int fd = -1, place;

	snprintf(dir, sizeof(dir), "/tmp/crtool.%d.%08x", getpid(), (unsigned)clock_ns());
	snprintf(path, sizeof(path), "%s/fifo", dir);
	place = leftover_expect(r, LEFT_DIR, dir, 0);
	if (place < 0)
		return place;
	if (mkdir(dir, 0700) < 0)
		return -errno;
	if (leftover_expect(r, LEFT_NAME, path, 0) >= 0 && mkfifo(path, 0600) == 0)
		fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		fd = -errno;
	unlink(path);
	rmdir(dir);
	leftover_forget(r, place);
	return fd;
}

/* One without a name any more, open in both directions. */
static int fifo_open_unlinked(struct restore *r, const Img__Pipe *msg)
{
	size_t len = strlen(msg->path), tail = strlen(DELETED);
	auto_free char *path = strdup(msg->path);
	int fd, place;

	if (!path)
		return -ENOMEM;
	if (len > tail && !strcmp(path + len - tail, DELETED))
		path[len - tail] = '\0';
	place = leftover_expect(r, LEFT_NAME, path, 0);
	if (place < 0)
		return place;
	if (mkfifo(path, 0600) < 0) {
		leftover_forget(r, place);
		fd = fifo_make_aside(r);
		return fd < 0 ? fail(fd, "fifo %s: make it", msg->path) : fd;
	}
	fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		fd = fail(-errno, "fifo %s", msg->path);
	unlink(path);
	leftover_forget(r, place);
	return fd;
}

/* The fifo, open in both directions: without waiting, and so that nobody else waits. */
static int fifo_open(const struct restore *r, const Img__Pipe *msg)
{
	auto_close int fd = open(msg->path, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 && errno != ENOENT)
		return fail(-errno, "fifo %s", msg->path);
	if (fd < 0)
		return fail(-ENOTSUP, "fifo %s: is gone since the dump; put it back", msg->path);
	if (fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode) ||
	    (pool_same_boot(r) && msg->ino && st.st_ino != msg->ino))
		return fail(-ENOTSUP, "fifo %s: was replaced by another file since the dump",
		            msg->path);
	return take_fd(&fd);
}

/* FD of a fifo opened again. */
static int fifo_again(const Img__Pipe *msg, int fd, int flags)
{
	char path[32];
	int again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, flags | O_NONBLOCK | O_CLOEXEC);
	return again < 0 ? fail(-errno, "fifo %s", msg->path) : again;
}

/* The direction of FILE, of a fifo that is open in both, BOTH. */
static int fifo_end(const Img__File *file, const Img__Pipe *msg, int both)
{
	auto_close int fd = fifo_again(msg, both, (int)(file->flags & O_ACCMODE));

	if (fd < 0)
		return fd;
	if (fcntl(fd, F_SETFL, 0) < 0)
		return fail(-errno, "fifo %s", msg->path);
	return take_fd(&fd);
}

/* Others may have kept what is in it. */
static int fifo_fill(const Img__File *file, const Img__Pipe *msg, int both)
{
	int size;

	if (msg->reopened && ioctl(both, FIONREAD, &size) == 0 && size > 0)
		return 0;
	return pipe_set_up(file, msg, both);
}

/* The first file of a fifo brings its content, too. */
static int fifo_make(struct restore *r, const Img__File *file, const Img__Pipe *msg)
{
	auto_close int both = -1;
	int e = msg->of ? pool_file(r, msg->of) : 0;

	if (e < 0)
		return e;
	both = msg->of         ? fifo_again(msg, e, O_RDWR)
	       : msg->unlinked ? fifo_open_unlinked(r, msg)
	                       : fifo_open(r, msg);
	e = both < 0 || msg->of ? both : fifo_fill(file, msg, both);
	return e < 0 ? e : fifo_end(file, msg, both);
}

/* A new description of the pipe that FD belongs to. */
static int end_reopen(const Img__File *file, int fd)
{
	char path[32];
	int new;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	new = open(path, (int)(file->flags & O_ACCMODE) | O_CLOEXEC);
	return new < 0 ? fail(-errno, "pipe %u: open it again", file->id) : new;
}

/* The first file of a pipe makes it, and leaves the other end for whose it is. */
static int pipe_make(struct restore *r, const Img__File *file, const Img__Pipe *msg)
{
	auto_close int reads = -1, writes = -1, own = -1;
	int p[2], e;

	if (pipe2(p, O_CLOEXEC) < 0)
		return fail(-errno, "pipe %u: create", file->id);
	reads = p[0], writes = p[1];
	e = pipe_set_up(file, msg, writes);
	if (e < 0)
		return e;
	if (msg->read_end == file->id)
		own = take_fd(&reads);
	else if (msg->write_end == file->id)
		own = take_fd(&writes);
	else
		own = end_reopen(file, reads);
	if (own >= 0 && msg->read_end && reads >= 0)
		e = pool_leave(r, msg->read_end, take_fd(&reads));
	if (own >= 0 && e == 0 && msg->write_end && writes >= 0)
		e = pool_leave(r, msg->write_end, take_fd(&writes));
	return e < 0 ? e : take_fd(&own);
}

/* The other end is not ours: crtool's own descriptor of that number takes the place. */
static int pipe_inherit(const Img__File *file, const Img__Pipe *msg)
{
	int own = fcntl((int)msg->number, F_GETFD);
	int fd = own < 0 || own & FD_CLOEXEC ? -1
	                                     : fcntl((int)msg->number, F_DUPFD_CLOEXEC, STDIO_FDS);
	int flags = fd < 0 ? -1 : fcntl(fd, F_GETFL);

	if (fd < 0)
		return fail(
			-ENOTSUP,
			"pipe %u: its other end is outside: start crtool with a descriptor %u in "
			"its place",
			file->id, msg->number);
	if ((flags & O_ACCMODE) != O_RDWR &&
	    (flags & O_ACCMODE) != (int)(file->flags & O_ACCMODE)) {
		close(fd);
		return fail(-ENOTSUP, "pipe %u: descriptor %u of crtool cannot be %s", file->id,
		            msg->number, file->flags & O_WRONLY ? "written to" : "read from");
	}
	return fd;
}

static int pipe_open(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__Pipe *msg = (const Img__Pipe *)base;
	auto_close int fd = -1;
	int e;

	if (msg->inherited)
		return pipe_inherit(file, msg);
	if (*msg->path) {
		fd = fifo_make(r, file, msg);
	} else if (!msg->of) {
		fd = pipe_make(r, file, msg);
	} else {
		int first = pool_file(r, msg->of);

		if (first < 0)
			return first;
		fd = pool_take(r, file->id);
		if (fd < 0)
			fd = end_reopen(file, first);
	}
	if (fd < 0)
		return fd;
	e = pool_set_flags(fd, file);
	return e < 0 ? fail(e, "pipe %u: set its flags", file->id) : take_fd(&fd);
}

const struct restore_kind restore_pipe = {
	.check = pipe_check,
	.open = pipe_open,
};
