/*
 * The side of a terminal that programs use, restore half. When its master is in
 * the checkpoint, that one has made the pair, and this is one more way to open
 * it. /dev/tty is the one of who opens it: a process of ours, which shares our
 * descriptors, makes it its own for that moment.
 *
 * Of the shell job: the terminal that crtool itself uses takes its place. Every
 * file is opened anew, since the shell's own description is shared with others.
 *
 * The modes are set at once. Its size stays what it is, the window is as large
 * as it is; a program that knows another size is told as the kernel does it:
 * the size is set to the old one for a moment, and setting it back from inside
 * sends SIGWINCH.
 */
#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/pty.h"
#include "proto/tty.pb-c.h"
#include "restore/pty_pair.h"
#include "restore/restore.h"

static int pair_check(struct restore *r, const Img__File *file, const Img__Tty *msg)
{
	const Img__File *of = (const Img__File *)images_one(r->images, KIND_file, msg->pair);
	const Img__Tty *first = (const Img__Tty *)images_one(r->images, KIND_tty, msg->pair);
	bool bad = !of || (of->kind != KIND_ptmx && of->kind != KIND_tty);

	if (!bad && of->kind == KIND_tty)
		bad = !first || first->pair != msg->pair || first->rdev != msg->rdev ||
		      !msg->hung_up || (msg->controlling && msg->pair != file->id);
	return bad ? fail(-EBADMSG, "file %u: terminal: there is no master %u", file->id, msg->pair)
	           : 0;
}

static int tty_check(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__Tty *msg = (const Img__Tty *)base;
	struct termios tio;

	if (msg->pair)
		return pair_check(r, file, msg);
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

/* In a process of its own: SLAVE is its controlling terminal while it opens /dev/tty as WANT. */
__attribute__((noreturn)) static void open_controlling(int slave, int flags, int want)
{
	int fd;

	signal(SIGHUP, SIG_IGN); /* the end of a session */
	if (setsid() < 0 || ioctl(slave, TIOCSCTTY, 0) < 0)
		_exit(errno);
	fd = open("/dev/tty", flags);
	if (fd < 0 || dup3(fd, want, O_CLOEXEC) < 0)
		_exit(errno);
	close(fd); /* the table is shared */
	_exit(0);
}

static int controlling_open(int slave, int flags)
{
	auto_close int want = fcntl(slave, F_DUPFD_CLOEXEC, 3);
	long pid;
	int status;

	if (want < 0)
		return -errno;
	pid = syscall(SYS_clone, CLONE_FILES, 0, 0, 0, 0);
	if (pid < 0)
		return -errno;
	if (pid == 0)
		open_controlling(slave, flags, want);
	while (waitpid((pid_t)pid, &status, __WCLONE) < 0)
		if (errno != EINTR)
			return -errno;
	if (!WIFEXITED(status))
		return -ECANCELED;
	return WEXITSTATUS(status) ? -WEXITSTATUS(status) : take_fd(&want);
}

static int slave_open(int master, const Img__File *file, bool controlling)
{
	int flags = (int)file->flags & ~O_ASYNC;
	auto_close int slave = -1;

	if (!controlling)
		return pty_open_slave(master, flags | O_CLOEXEC);
	slave = pty_open_slave(master, O_RDWR | O_CLOEXEC);
	return slave < 0 ? slave : controlling_open(slave, flags | O_CLOEXEC);
}

/* All files of a master that is closed: the first of them makes the pair, and hangs all up by that. */
static int orphans_make(struct restore *r, const Img__File *file, const Img__Tty *msg)
{
	auto_close int master = -1;
	int last;

	if (msg->controlling) {
		unsigned any = 0;

		master = pty_open_any("/dev/ptmx", &any);
		return master < 0 ? master : slave_open(master, file, true);
	}
	master = pty_make("/dev/ptmx", minor(msg->rdev));
	return master < 0 ? master : pty_open_files(r, master, file->id, &last);
}

static int pair_open(struct restore *r, const Img__File *file, const Img__Tty *msg)
{
	int fd, master = 0;

	if (msg->pair != file->id)
		master = pool_file(r, msg->pair);
	else
		master = orphans_make(r, file, msg);
	if (master < 0)
		return log_failure() ? master : fail(master, "terminal %s: make it", msg->path);
	if (msg->controlling && msg->pair == file->id)
		return master;
	fd = msg->hung_up ? pool_take(r, file->id) : slave_open(master, file, msg->controlling);
	return fd < 0 ? fail(fd, "terminal %s: open it", msg->path) : fd;
}

static int job_open(const Img__File *file, const Img__Tty *msg)
{
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

static int tty_open(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__Tty *msg = (const Img__Tty *)base;

	return msg->pair ? pair_open(r, file, msg) : job_open(file, msg);
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

	if (msg->pair)
		return 0;
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
