/*
 * The master of a pseudo terminal, dump half, and with it the whole pair: modes,
 * size, locks, and what lies unread in either direction. Most of it the
 * master is asked for; for the rest the other side is opened for a moment. That
 * is not done to a pair whose other side nobody has ever opened: it would not
 * be so any more.
 *
 * Unread bytes are read and put back at once (lib/pty_queue.c), the tree being
 * stopped. Packet mode is off meanwhile; a status byte that waits for the master would be
 * lost by that, so the dump is refused until it was read.
 *
 * Others that have the same pair open beside the tree are not looked for.
 */
#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "dump/dump.h"
#include "dump/pty_pair.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/pty.h"
#include "proto/ptmx.pb-c.h"

/* What is found of one pair. */
struct pair {
	unsigned index;
	short events; /* of the master */
	int packet;
	struct termios2 tio;
	struct termios locks;
	struct winsize ws;
	struct stat st; /* of the other side */
	struct pty_queue input, output;
	enum pty_flow flow;
};

static void pair_done(struct pair *p)
{
	pty_queue_done(&p->input);
	pty_queue_done(&p->output);
}

static bool ptmx_owns(const struct file *f)
{
	return S_ISCHR(f->st.st_mode) && !(f->flags & O_PATH) &&
	       f->st.st_rdev == makedev(PTMX_MAJOR, PTMX_MINOR);
}

static bool is_never_used(struct dump *d, const struct file *f, int master)
{
	struct pollfd p = { .fd = master, .events = POLLIN };

	return poll(&p, 1, 0) >= 0 && !(p.revents & POLLHUP) && !pty_has_slave(d, f);
}

static bool is_in_tree(const struct dump *d, pid_t pid)
{
	array_each (t, &d->tasks)
		if (t->pid == pid)
			return true;
	return false;
}

static int ptmx_check(struct dump *d, const struct file *f)
{
	auto_close int fd = file_steal(f);
	unsigned index = pty_index(f);
	pid_t other;

	if (fd < 0)
		return fail(fd, "%s: pidfd_getfd", file_name(f));
	if (pty_master(d, index) != f)
		return fail(-ENOTSUP,
		            "%s: the second terminal with number %u, of another instance of "
		            "devpts: not supported by this version",
		            file_name(f), index);
	other = is_never_used(d, f, fd) ? pty_find_slave(index) : 0;
	/* Before the freeze, a file that was hung up may stand for one that looks the same. */
	if (other && !is_in_tree(d, other))
		return fail(-ENOTSUP,
		            "%s: the other side, /dev/pts/%u, is open in task %d outside of the "
		            "tree; end that first, or dump a tree that has both",
		            file_name(f), index, other);
	return 0;
}

/* ---- what can be asked ---- */

static int ask_bits(int master, struct pair *p, Img__Ptmx *msg)
{
	int locked, exclusive = 0;

	if (ioctl(master, TIOCGPTN, &p->index) < 0 || ioctl(master, TIOCGPTLCK, &locked) < 0 ||
	    ioctl(master, TIOCGPKT, &p->packet) < 0 || ioctl(master, TIOCGEXCL, &exclusive) < 0)
		return -errno;
	msg->index = p->index;
	msg->locked = locked;
	msg->packet = p->packet;
	msg->exclusive = exclusive;
	return 0;
}

/* These answer for the other side. */
static int ask_modes(int master, struct pair *p, Img__Ptmx *msg)
{
	if (ioctl(master, TCGETS2, &p->tio) < 0 || ioctl(master, TIOCGWINSZ, &p->ws) < 0 ||
	    ioctl(master, TIOCGLCKTRMIOS, &p->locks) < 0)
		return -errno;
	msg->termios = (ProtobufCBinaryData){ sizeof(p->tio), (uint8_t *)&p->tio };
	msg->locks = (ProtobufCBinaryData){ sizeof(p->locks), (uint8_t *)&p->locks };
	msg->rows = p->ws.ws_row;
	msg->columns = p->ws.ws_col;
	msg->xpixel = p->ws.ws_xpixel;
	msg->ypixel = p->ws.ws_ypixel;
	return 0;
}

static int ask_node(int slave, struct pair *p, Img__Ptmx *msg)
{
	char path[32];
	int r;

	snprintf(path, sizeof(path), "/dev/pts/%u", p->index);
	r = slave >= 0 ? fstat(slave, &p->st) : stat(path, &p->st);
	if (r < 0)
		return -errno;
	msg->uid = p->st.st_uid;
	msg->gid = p->st.st_gid;
	msg->mode = p->st.st_mode & 07777;
	return 0;
}

/* ---- what lies unread ---- */

/* With the queues empty, the flow shows; then all is put back, whatever happened. */
static int take_queues(int master, int slave, struct pair *p)
{
	int r = pty_take_output(master, &p->output), back;

	if (r == 0)
		r = pty_flow(slave, &p->flow);
	if (r == 0)
		r = pty_take_input(slave, &p->input);
	back = pty_put_output(master, slave, &p->output);
	if (back < 0)
		warn("/dev/pts/%u: %zu bytes of output were lost: %s", p->index, p->output.len,
		     strerror(-back));
	r = r < 0 ? r : back;
	back = pty_put_input(master, slave, &p->input);
	if (back < 0)
		warn("/dev/pts/%u: %zu bytes of input were lost: %s", p->index, p->input.len,
		     strerror(-back));
	return r < 0 ? r : back;
}

static int ask_queues(const struct file *f, int master, int slave, struct pair *p)
{
	struct pollfd poll_master = { .fd = master, .events = POLLIN | POLLPRI };
	int off = 0, r;

	if (!pty_may_put())
		return fail(
			-EPERM,
			"%s: what lies unread cannot be put back (TIOCSTI; needs CAP_SYS_ADMIN)",
			file_name(f));
	if (poll(&poll_master, 1, 0) < 0)
		return -errno;
	if (p->packet && (poll_master.revents & POLLPRI))
		return fail(-EAGAIN,
		            "%s: a status byte of packet mode has not been read yet; try again",
		            file_name(f));
	if (p->packet && ioctl(master, TIOCPKT, &off) < 0)
		return -errno;
	r = take_queues(master, slave, p);
	if (p->packet && ioctl(master, TIOCPKT, &p->packet) < 0 && r == 0)
		r = -errno;
	return r;
}

static void put_queues(struct pair *p, Img__Ptmx *msg)
{
	msg->flow = p->flow;
	msg->input = (ProtobufCBinaryData){ p->input.len, p->input.data };
	msg->lines = p->input.lines.v;
	msg->n_lines = p->input.lines.n;
	msg->input_near = (uint32_t)p->input.near;
	msg->output = (ProtobufCBinaryData){ p->output.len, p->output.data };
	msg->output_near = (uint32_t)p->output.near;
}

static int ask_slave(const struct file *f, int master, int slave, struct pair *p, Img__Ptmx *msg)
{
	int exclusive = 0, discipline, r;

	if (ioctl(slave, TIOCGEXCL, &exclusive) < 0 || ioctl(slave, TIOCGETD, &discipline) < 0)
		return -errno;
	if (discipline != N_TTY)
		return fail(-ENOTSUP,
		            "%s: line discipline %d is not that of a terminal: not "
		            "supported by this version",
		            file_name(f), discipline);
	msg->slave_exclusive = exclusive;
	r = ask_queues(f, master, slave, p);
	put_queues(p, msg);
	return r;
}

static int ask_all(struct dump *d, const struct file *f, struct pair *p, Img__Ptmx *msg)
{
	auto_close int master = file_steal(f), slave = -1;
	int r = master < 0 ? master : ask_bits(master, p, msg);

	if (r == 0)
		r = ask_modes(master, p, msg);
	if (r < 0)
		return r;
	msg->used = !is_never_used(d, f, master);
	if (msg->used) {
		slave = pty_open_slave(master, O_RDWR | O_NONBLOCK | O_CLOEXEC);
		r = slave < 0 ? slave : ask_slave(f, master, slave, p, msg);
	}
	return r < 0 ? r : ask_node(slave, p, msg);
}

static int ptmx_dump(struct dump *d, const struct file *f)
{
	auto_(pair_done) struct pair p = {};
	Img__Ptmx msg = IMG__PTMX__INIT;
	int r = ask_all(d, f, &p, &msg);

	if (r < 0)
		return log_failure() ? r : fail(r, "%s: ask for its state", file_name(f));
	msg.path = f->link;
	return image_put(d->out, KIND_ptmx, f->id, &msg.base);
}

const struct dump_kind dump_ptmx = {
	.owns = ptmx_owns,
	.check = ptmx_check,
	.dump = ptmx_dump,
};
