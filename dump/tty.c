/*
 * The side of a terminal that programs use, dump half. When its master is in the
 * tree, all is told by that one (ptmx.c). Else it can only be the terminal of a
 * shell job: the master is in a terminal emulator, sshd or screen outside, and a
 * restore connects to the terminal that crtool is called from, hence -j.
 *
 * Of a terminal that was hung up nothing is left but that: the master was closed,
 * or the descriptor was opened before a vhangup(2).
 */
#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include "dump/dump.h"
#include "dump/pty_pair.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/pty.h"
#include "proto/tty.pb-c.h"

/* Documentation/admin-guide/devices.txt */
#define TTY_MAJOR        4   /* virtual consoles, serial lines */
#define TTYAUX_MAJOR     5   /* 0: /dev/tty, 1: /dev/console, 2: /dev/ptmx */
#define PTY_SLAVE_MAJOR  136 /* up to 143 */
#define PTY_SLAVE_MAJORS 8

static bool is_controlling(const struct file *f)
{
	return f->st.st_rdev == makedev(TTYAUX_MAJOR, 0);
}

static bool tty_owns(const struct file *f)
{
	unsigned number = major(f->st.st_rdev);

	if (!S_ISCHR(f->st.st_mode) || (f->flags & O_PATH))
		return false;
	return number == TTY_MAJOR || is_controlling(f) ||
	       f->st.st_rdev == makedev(TTYAUX_MAJOR, 1) ||
	       (number >= PTY_SLAVE_MAJOR && number < PTY_SLAVE_MAJOR + PTY_SLAVE_MAJORS);
}

/* Is the terminal of F one that lost its master, or was it hung up while that has others open? */
static bool is_hung_up(const struct file *f)
{
	dev_t rdev;

	return tty_device(f, &rdev) == -EIO;
}

static bool is_pts(dev_t rdev)
{
	return major(rdev) == PTS_MAJOR;
}

/* The master is closed: the node is gone, or we only know that it was our /dev/tty. */
static bool is_orphan(struct dump *d, const struct file *f)
{
	return is_hung_up(f) && (is_controlling(f) ||
	                         (is_pts(f->st.st_rdev) && !pty_master(d, minor(f->st.st_rdev))));
}

static int job_check(struct dump *d, const struct file *f, dev_t rdev)
{
	if (!d->opt->shell_job)
		return fail(-ENOTSUP,
		            "%s: %s; -j saves it as that of a shell job, which the restore "
		            "connects to its own terminal",
		            file_name(f), tty_describe(rdev));
	array_each (other, &d->files) {
		dev_t is;

		if (!tty_owns(other) || tty_device(other, &is) < 0 ||
		    (is_pts(is) && pty_master(d, minor(is))))
			continue;
		if (is == rdev)
			break;
		return fail(-ENOTSUP,
		            "%s: a second terminal beside %s: not supported by this version",
		            file_name(f), other->link);
	}
	return 0;
}

static int tty_check(struct dump *d, const struct file *f)
{
	dev_t rdev;
	int r;

	if (is_orphan(d, f))
		return 0;
	r = tty_device(f, &rdev);
	if (r == -EIO && is_pts(f->st.st_rdev))
		return 0; /* of a master of the tree */
	if (r == -EIO)
		return fail(-ENOTSUP, "%s: this terminal has been hung up", file_name(f));
	if (r < 0)
		return fail(r, "%s: ask which terminal it is", file_name(f));
	return is_pts(rdev) && pty_master(d, minor(rdev)) ? 0 : job_check(d, f, rdev);
}

static int tty_ask(const struct file *f, struct termios *tio, struct winsize *ws)
{
	auto_close int fd = file_steal(f);

	if (fd < 0)
		return fail(fd, "%s: pidfd_getfd", file_name(f));
	if (ioctl(fd, TCGETS, tio) == 0 && ioctl(fd, TIOCGWINSZ, ws) == 0)
		return 0;
	if (errno == EIO)
		return fail(-ENOTSUP, "%s: this terminal has been hung up", file_name(f));
	return fail(-errno, "%s: ask for its modes", file_name(f));
}

/* The first file of those that had the same master, by the number of the pair. */
static uint32_t orphan_first(struct dump *d, const struct file *f)
{
	array_each (other, &d->files)
		if (tty_owns(other) && other->st.st_rdev == f->st.st_rdev && !is_controlling(f) &&
		    is_orphan(d, other))
			return other->id;
	return f->id;
}

/* The record of F tells nothing more when the pair is in the tree. */
static int tty_find_pair(struct dump *d, const struct file *f, Img__Tty *msg)
{
	dev_t rdev = f->st.st_rdev;
	struct file *master;
	int r;

	if (is_orphan(d, f)) {
		msg->hung_up = true;
		msg->pair = orphan_first(d, f);
		return 0;
	}
	r = tty_device(f, &rdev);
	if (r < 0 && r != -EIO)
		return r;
	master = is_pts(rdev) ? pty_master(d, minor(rdev)) : NULL;
	msg->hung_up = r == -EIO;
	msg->pair = master ? master->id : 0;
	return 0;
}

static int job_dump(struct dump *d, const struct file *f, Img__Tty *msg)
{
	struct winsize ws = {};
	struct termios tio = {};
	int r = tty_ask(f, &tio, &ws);

	if (r < 0)
		return r;
	msg->iflag = tio.c_iflag;
	msg->oflag = tio.c_oflag;
	msg->cflag = tio.c_cflag;
	msg->lflag = tio.c_lflag;
	msg->line = tio.c_line;
	msg->cc = (ProtobufCBinaryData){ sizeof(tio.c_cc), tio.c_cc };
	msg->rows = ws.ws_row;
	msg->columns = ws.ws_col;
	msg->xpixel = ws.ws_xpixel;
	msg->ypixel = ws.ws_ypixel;
	return image_put(d->out, KIND_tty, f->id, &msg->base);
}

static int tty_dump(struct dump *d, const struct file *f)
{
	Img__Tty msg = IMG__TTY__INIT;
	int r = tty_find_pair(d, f, &msg);

	if (r < 0)
		return fail(r, "%s: ask which terminal it is", file_name(f));
	msg.path = f->link;
	msg.controlling = is_controlling(f);
	msg.rdev = (uint32_t)f->st.st_rdev;
	return msg.pair ? image_put(d->out, KIND_tty, f->id, &msg.base) : job_dump(d, f, &msg);
}

const struct dump_kind dump_tty = {
	.keeps_cloexec = true,
	.owns = tty_owns,
	.check = tty_check,
	.dump = tty_dump,
};
