/*
 * The terminal of a shell job, dump half. The tree has the side that programs
 * use, the master is in a terminal emulator, sshd or screen outside: a restore
 * connects to the terminal that crtool is called from, hence -j.
 *
 * Pairs with both sides in the tree are not carried yet: no room owns a master.
 */
#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include "dump/dump.h"
#include "lib/cleanup.h"
#include "lib/log.h"
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

static int tty_check(struct dump *d, const struct file *f)
{
	if (!d->opt->shell_job)
		return fail(-ENOTSUP,
		            "%s: a terminal; -j saves it as that of a shell job, which the restore "
		            "connects to its own terminal",
		            file_name(f));
	array_each (other, &d->files) {
		if (!tty_owns(other) || is_controlling(other) || is_controlling(f))
			continue;
		if (other->st.st_rdev == f->st.st_rdev)
			break;
		return fail(-ENOTSUP,
		            "%s: a second terminal beside %s: not supported by this version",
		            file_name(f), other->link);
	}
	return 0;
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

static int tty_dump(struct dump *d, const struct file *f)
{
	Img__Tty msg = IMG__TTY__INIT;
	struct winsize ws = {};
	struct termios tio = {};
	int r = tty_ask(f, &tio, &ws);

	if (r < 0)
		return r;
	msg.path = f->link;
	msg.controlling = is_controlling(f);
	msg.rdev = (uint32_t)f->st.st_rdev;
	msg.iflag = tio.c_iflag;
	msg.oflag = tio.c_oflag;
	msg.cflag = tio.c_cflag;
	msg.lflag = tio.c_lflag;
	msg.line = tio.c_line;
	msg.cc = (ProtobufCBinaryData){ sizeof(tio.c_cc), tio.c_cc };
	msg.rows = ws.ws_row;
	msg.columns = ws.ws_col;
	msg.xpixel = ws.ws_xpixel;
	msg.ypixel = ws.ws_ypixel;
	return image_put(d->out, KIND_tty, f->id, &msg.base);
}

const struct dump_kind dump_tty = {
	.owns = tty_owns,
	.check = tty_check,
	.dump = tty_dump,
};
