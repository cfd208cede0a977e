/*
 * The master of a pseudo terminal, restore half, and with it the whole pair.
 * The number of a pair is the lowest free one when its master is opened; one
 * that is in use cannot be had. What was written to it once lies in it again,
 * byte by byte, past whatever the modes would make of it.
 *
 * Those descriptors of the other side that had been hung up are opened first and hung
 * up before the modes are set, which that resets.
 */
#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/pty.h"
#include "proto/ptmx.pb-c.h"
#include "proto/tty.pb-c.h"
#include "restore/pty_pair.h"
#include "restore/restore.h"

#define INDEX_MAX  (1u << 20)
#define QUEUE_MAX  (1u << 20) /* what the kernel keeps of one direction is far less */
#define TRIES      200
#define TRY_US     5000
#define OPEN_FLAGS (O_ACCMODE | O_NONBLOCK | O_APPEND | O_DIRECT | O_DSYNC | O_SYNC | 0100000)

/* The lines of the input are in it. */
static bool lines_are_right(const Img__Ptmx *msg)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < msg->n_lines; i++)
		sum += msg->lines[i] & ~PTY_EOF;
	return sum <= msg->input.len;
}

static int ptmx_check(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__Ptmx *msg = (const Img__Ptmx *)base;

	if (msg->index >= INDEX_MAX || *msg->path != '/' || msg->flow > PTY_STOPPED_BY_CHAR ||
	    msg->termios.len != sizeof(struct termios2) ||
	    msg->locks.len != sizeof(struct termios) || (msg->mode & ~07777u) ||
	    msg->rows > UINT16_MAX || msg->columns > UINT16_MAX || msg->xpixel > UINT16_MAX ||
	    msg->ypixel > UINT16_MAX)
		return fail(-EBADMSG, "file %u: terminal %u: impossible values", file->id,
		            msg->index);
	if (!lines_are_right(msg) || msg->input.len > QUEUE_MAX || msg->output.len > QUEUE_MAX ||
	    msg->n_lines > QUEUE_MAX || (!msg->used && (msg->input.len || msg->output.len)))
		return fail(-EBADMSG, "file %u: terminal %u: sizes of its queues are wrong",
		            file->id, msg->index);
	return 0;
}

/* ---- the pair ---- */

static int explain_taken(unsigned index)
{
	pid_t pid = pty_find_master(index);
	auto_free char *comm = NULL;
	char path[32];

	if (!pid)
		pid = pty_find_slave(index);
	if (!pid)
		return fail(-EBUSY,
		            "terminal /dev/pts/%u is in use by somebody that cannot be seen",
		            index);
	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	if (file_read(AT_FDCWD, path, &comm) > 0)
		comm[strcspn(comm, "\n")] = '\0';
	return fail(-EBUSY, "terminal /dev/pts/%u is in use by task %d (%s); end that first", index,
	            pid, comm ? comm : "?");
}

/* Somebody who opens terminals at the same moment, or closes this one, gets a second. */
int pty_make(const char *path, unsigned index)
{
	int fd;

	for (int i = 0; i < TRIES; i++) {
		fd = pty_open_master(path, index);
		if (fd != -EBUSY)
			return fd < 0 ? fail(fd, "%s: open a terminal", path) : fd;
		if (pty_find_master(index) || pty_find_slave(index))
			break;
		usleep(TRY_US);
	}
	return explain_taken(index);
}

int pty_open_files(struct restore *r, int master, uint32_t pair, int *ret_last)
{
	size_t n;
	const struct record *recs = images_kind(r->images, KIND_tty, &n);

	*ret_last = -1;
	for (size_t i = 0; i < n; i++) {
		const Img__Tty *tty = (const Img__Tty *)recs[i].msg;
		const Img__File *file =
			(const Img__File *)images_one(r->images, KIND_file, recs[i].owner);
		int fd, e;

		if (!file || tty->pair != pair || !tty->hung_up)
			continue;
		fd = pty_open_slave(master, (int)(file->flags & OPEN_FLAGS) | O_CLOEXEC);
		if (fd < 0)
			return fail(fd, "file %u: open terminal %s", file->id, tty->path);
		e = pool_leave(r, file->id, fd);
		if (e < 0)
			return e;
		*ret_last = fd;
	}
	return 0;
}

static int hang_up_files(struct restore *r, const Img__File *file, int master)
{
	int last, e = pty_open_files(r, master, file->id, &last);

	if (e < 0 || last < 0)
		return e;
	return ioctl(last, TIOCVHANGUP, 0) < 0
	               ? fail(-errno, "file %u: hang up terminals (needs CAP_SYS_ADMIN)", file->id)
	               : 0;
}

/* ---- its state ---- */

static int node_set(int slave, const Img__Ptmx *msg)
{
	char path[32];
	struct stat st;

	if (slave >= 0)
		snprintf(path, sizeof(path), "/proc/self/fd/%d", slave);
	else
		snprintf(path, sizeof(path), "/dev/pts/%u", msg->index);
	if (stat(path, &st) < 0)
		return -errno;
	if ((st.st_uid != msg->uid || st.st_gid != msg->gid) && chown(path, msg->uid, msg->gid) < 0)
		return -errno;
	if ((st.st_mode & 07777) != msg->mode && chmod(path, msg->mode) < 0)
		return -errno;
	return 0;
}

static int modes_set(int master, const Img__Ptmx *msg)
{
	struct winsize ws = {
		.ws_row = (unsigned short)msg->rows,
		.ws_col = (unsigned short)msg->columns,
		.ws_xpixel = (unsigned short)msg->xpixel,
		.ws_ypixel = (unsigned short)msg->ypixel,
	};
	static const struct termios none;

	if (ioctl(master, TCSETS2, msg->termios.data) < 0 || ioctl(master, TIOCSWINSZ, &ws) < 0)
		return -errno;
	if (memcmp(msg->locks.data, &none, sizeof(none)) != 0 &&
	    ioctl(master, TIOCSLCKTRMIOS, msg->locks.data) < 0)
		return -errno;
	return 0;
}

static int queues_put(int master, int slave, const Img__Ptmx *msg)
{
	struct pty_queue output = {
		.data = msg->output.data,
		.len = msg->output.len,
		.near = msg->output_near,
	};
	struct pty_queue input = {
		.data = msg->input.data,
		.len = msg->input.len,
		.near = msg->input_near,
		.lines = { msg->lines, msg->n_lines, msg->n_lines },
	};
	int r = pty_put_output(master, slave, &output);

	if (r == 0)
		r = pty_put_input(master, slave, &input);
	return r < 0 ? r : pty_stop(slave, (enum pty_flow)msg->flow);
}

static int bits_set(int master, int slave, const Img__Ptmx *msg)
{
	int on = 1, off = 0;

	if (slave >= 0 && msg->slave_exclusive && ioctl(slave, TIOCEXCL) < 0)
		return -errno;
	if (msg->exclusive && ioctl(master, TIOCEXCL) < 0)
		return -errno;
	if (msg->packet && ioctl(master, TIOCPKT, &on) < 0)
		return -errno;
	return ioctl(master, TIOCSPTLCK, msg->locked ? &on : &off) < 0 ? -errno : 0;
}

static int pair_set_up(struct restore *r, const Img__File *file, int master, const Img__Ptmx *msg)
{
	auto_close int slave = -1;
	int e = hang_up_files(r, file, master);

	if (e < 0)
		return e;
	if (msg->used) {
		slave = pty_open_slave(master, O_RDWR | O_NONBLOCK | O_CLOEXEC);
		if (slave < 0)
			return fail(slave, "terminal %u: open its other side", msg->index);
	}
	e = node_set(slave, msg);
	if (e < 0)
		return fail(e, "terminal %u: owner and mode of /dev/pts/%u", msg->index,
		            msg->index);
	/* The queues are filled before modes are locked or output is stopped. */
	if (ioctl(master, TCSETS2, msg->termios.data) < 0)
		return fail(-errno, "terminal %u: set its modes", msg->index);
	e = slave < 0 ? 0 : queues_put(master, slave, msg);
	if (e < 0)
		return fail(e,
		            "terminal %u: put %zu bytes of input and %zu of output back (TIOCSTI; "
		            "needs CAP_SYS_ADMIN)",
		            msg->index, msg->input.len, msg->output.len);
	e = modes_set(master, msg);
	if (e == 0)
		e = bits_set(master, slave, msg);
	return e < 0 ? fail(e, "terminal %u: set its modes", msg->index) : 0;
}

static int ptmx_open(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__Ptmx *msg = (const Img__Ptmx *)base;
	auto_close int fd = pty_make(msg->path, msg->index);
	int e;

	if (fd < 0)
		return fd;
	e = pair_set_up(r, file, fd, msg);
	if (e == 0)
		e = pool_set_flags(fd, file);
	return e < 0 ? log_failure() ? e : fail(e, "terminal %u: set its flags", msg->index)
	             : take_fd(&fd);
}

const struct restore_kind restore_ptmx = {
	.check = ptmx_check,
	.open = ptmx_open,
};
