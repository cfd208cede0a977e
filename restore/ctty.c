/*
 * The controlling terminal, restore half. The leader takes it when the session
 * is made, so that whom it forks into that has it as well; the foreground group
 * is set when the groups are there. Both are asked of the master, which the
 * kernel takes for the other side (tty_io.c, real_tty).
 */
#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "lib/log.h"
#include "lib/pty.h"
#include "proto/ctty.pb-c.h"
#include "restore/restore.h"

static bool group_exists(const struct restore *r, uint32_t pgrp, pid_t sid)
{
	array_each (t, &r->tasks)
		if ((uint32_t)t->pgid == pgrp && t->sid == sid)
			return true;
	return false;
}

static int ctty_check(struct restore *r, uint32_t owner, const ProtobufCMessage *base)
{
	const Img__Ctty *msg = (const Img__Ctty *)base;
	const struct rtask *t = rtask_find(r, (pid_t)owner);
	const Img__File *master = (const Img__File *)images_one(r->images, KIND_file, msg->master);

	if (!t || !master || master->kind != KIND_ptmx || msg->none == (t->sid == t->pid))
		return fail(-EBADMSG, "task %u: controlling terminal: no leader or no master",
		            owner);
	if (msg->pgrp && (msg->none || !group_exists(r, msg->pgrp, t->sid)))
		return fail(-EBADMSG, "task %u: controlling terminal: no group %u in its session",
		            owner, msg->pgrp);
	return 0;
}

static int ctty_session(struct restore *r, struct rthread *th, const ProtobufCMessage *base,
                        struct script *s)
{
	const Img__Ctty *msg = (const Img__Ctty *)base;
	int master = pool_file(r, msg->master);

	if (master < 0)
		return master;
	script_call(s, __NR_ioctl, master, TIOCSCTTY, 0);
	return 0;
}

/* TIOCNOTTY must be asked of the terminal itself. */
static int give_up(struct restore *r, int master, struct script *s)
{
	int slave = pty_open_slave(master, O_RDWR | O_CLOEXEC);

	slave = slave < 0 ? fail(slave, "controlling terminal: open it") : pool_add(r, slave);
	if (slave < 0)
		return slave;
	script_call(s, __NR_ioctl, slave, TIOCNOTTY);
	return 0;
}

/* From the background, the kernel would stop us for it, were SIGTTOU not blocked. */
static int ctty_build(struct restore *r, struct rthread *th, const ProtobufCMessage *base,
                      struct script *s)
{
	const Img__Ctty *msg = (const Img__Ctty *)base;
	int pgrp = (int)msg->pgrp, master = pool_file(r, msg->master);

	if (master < 0)
		return master;
	if (msg->none)
		return give_up(r, master, s);
	if (pgrp)
		script_call(s, __NR_ioctl, master, TIOCSPGRP, script_put(s, &pgrp, sizeof(pgrp)));
	return 0;
}

const struct restore_aspect restore_ctty = {
	.check = ctty_check,
	.emit = {
		[PHASE_SESSION] = ctty_session,
		[PHASE_BUILD] = ctty_build,
	},
};
