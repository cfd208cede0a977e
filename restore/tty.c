/*
 * The terminal of a shell job, restore half: the terminal that crtool itself
 * uses takes its place. Every file is opened anew, since the shell's own
 * description is shared with others.
 *
 * The modes are set at once. Its size stays what it is, the window is as large
 * as it is; a program that knows another size is told as the kernel does it:
 * the size is set to the old one for a moment, and setting it back from inside
 * sends SIGWINCH.
 */
#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/tty.pb-c.h"
#include "restore/restore.h"

static int tty_check(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__Tty *msg = (const Img__Tty *)base;
	struct termios tio;

	if (msg->cc.len != sizeof(tio.c_cc))
		return fail(-EBADMSG, "file %u: terminal: %zu control characters", file->id,
		            msg->cc.len);
	if (!r->opt->shell_job)
		return fail(-EINVAL,
		            "terminal %s: this is a shell job; -j connects it to the terminal of "
		            "crtool",
		            msg->path);
	return 0;
}

/* crtool's terminal: the number of one of its standard descriptors, or -ENOTTY. */
static int own_terminal(void)
{
	for (int fd = 0; fd < 3; fd++)
		if (isatty(fd))
			return fd;
	return -ENOTTY;
}

/* Out of the background, the kernel would stop us for it. */
static int modes_set(int fd, const Img__Tty *msg)
{
	struct termios tio = {
		.c_iflag = msg->iflag,
		.c_oflag = msg->oflag,
		.c_cflag = msg->cflag,
		.c_lflag = msg->lflag,
		.c_line = (cc_t)msg->line,
	};
	sigset_t block, old;
	int r;

	memcpy(tio.c_cc, msg->cc.data, sizeof(tio.c_cc));
	sigemptyset(&block);
	sigaddset(&block, SIGTTOU);
	sigprocmask(SIG_BLOCK, &block, &old);
	r = ioctl(fd, TCSETS, &tio) < 0 ? -errno : 0;
	sigprocmask(SIG_SETMASK, &old, NULL);
	return r;
}

static int tty_open(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__Tty *msg = (const Img__Tty *)base;
	int terminal = own_terminal(), e;
	char path[32] = "/dev/tty";
	auto_close int fd = -1;

	if (terminal < 0)
		return fail(-ENOTSUP,
		            "terminal %s: crtool has no terminal on its standard descriptors to "
		            "connect it to",
		            msg->path);
	if (!msg->controlling)
		snprintf(path, sizeof(path), "/proc/self/fd/%d", terminal);
	fd = open(path, ((int)file->flags & ~O_ASYNC) | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return fail(-errno, "terminal %s: open that of crtool", msg->path);
	e = modes_set(fd, msg);
	return e < 0 ? fail(e, "terminal %s: set its modes", msg->path) : take_fd(&fd);
}

static int tty_emit(struct restore *r, struct rtask *t, int fd, const Img__File *file,
                    const ProtobufCMessage *base, struct script *s)
{
	const Img__Tty *msg = (const Img__Tty *)base;
	struct winsize was = {
		.ws_row = (unsigned short)msg->rows,
		.ws_col = (unsigned short)msg->columns,
		.ws_xpixel = (unsigned short)msg->xpixel,
		.ws_ypixel = (unsigned short)msg->ypixel,
	};
	struct winsize is;

	if (ioctl(own_terminal(), TIOCGWINSZ, &is) < 0)
		return fail(-errno, "terminal %s: its size", msg->path);
	if (!memcmp(&is, &was, sizeof(is)))
		return 0;
	script_call(s, __NR_ioctl, fd, TIOCSWINSZ, script_put(s, &was, sizeof(was)));
	/* A window without a size takes the old one. */
	if (is.ws_row || is.ws_col)
		script_call(s, __NR_ioctl, fd, TIOCSWINSZ, script_put(s, &is, sizeof(is)));
	return 0;
}

const struct restore_kind restore_tty = {
	.check = tty_check,
	.open = tty_open,
	.emit = tty_emit,
};
