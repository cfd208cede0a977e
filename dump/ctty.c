/*
 * The controlling terminal, dump half. A session has one as long as its leader
 * lives; whoever is forked in it has it, too, until he gives it up (TIOCNOTTY).
 * All of that is in /proc/PID/stat. When the leader is outside, it is that of a shell
 * job, and the restored tree is forked in crtool's own session.
 */
#include <errno.h>
#include <sys/sysmacros.h>

#include "dump/dump.h"
#include "dump/pty_pair.h"
#include "dump/task.h"
#include "lib/log.h"
#include "lib/pty.h"
#include "proto/ctty.pb-c.h"

/* new_encode_dev() of linux/kdev_t.h */
static dev_t tty_of(const struct proc_stat *st)
{
	unsigned long nr = (unsigned long)st->field[STAT_TTY_NR];

	return makedev((nr >> 8) & 0xfff, (nr & 0xff) | ((nr >> 12) & 0xfff00));
}

static struct task *leader_of(struct dump *d, const struct task *t)
{
	array_each (leader, &d->tasks)
		if (leader->pid == t->sid)
			return leader->state == TASK_ZOMBIE ? NULL : leader;
	return NULL;
}

static int ctty_look(struct dump *d, struct task *t)
{
	struct proc_stat st;
	int r = stat_read(t->proc, "stat", &st);
	dev_t rdev;

	if (r < 0)
		return fail(r, "%s: read /proc/%d/stat", task_name(t), t->pid);
	rdev = tty_of(&st);
	if (!rdev || leader_of(d, t) != t ||
	    (major(rdev) == PTS_MAJOR && pty_master(d, minor(rdev))))
		return 0;
	return fail(
		-ENOTSUP,
		"%s: leads a session on %s outside of the tree: a restore could not give it that "
		"terminal; dump the tree that has the master, too",
		task_name(t), tty_describe(rdev));
}

static bool group_lives(const struct dump *d, pid_t pgrp)
{
	array_each (t, &d->tasks)
		if (t->pgid == pgrp)
			return true;
	return false;
}

static int ctty_take(struct dump *d, struct thread *th, const struct script *s,
                     const struct ask *ask)
{
	struct task *t = th->task, *leader = leader_of(d, t);
	Img__Ctty msg = IMG__CTTY__INIT;
	struct proc_stat st, of_leader;
	struct file *master;
	int r = task_stat(t, &st);

	if (r == 0 && leader)
		r = task_stat(leader, &of_leader);
	if (r < 0)
		return fail(r, "%s: read /proc/%d/stat", task_name(t), t->pid);
	if (!leader || !tty_of(&of_leader) || (leader != t && tty_of(&st)))
		return 0;
	master = major(tty_of(&of_leader)) == PTS_MAJOR ? pty_master(d, minor(tty_of(&of_leader)))
	                                                : NULL;
	if (!master)
		return fail(-ENOTSUP,
		            "%s: has another controlling terminal than before the freeze; "
		            "try again",
		            task_name(t));
	msg.master = master->id;
	msg.none = leader != t;
	if (leader == t && st.field[STAT_TPGID] > 0) {
		msg.pgrp = (uint32_t)st.field[STAT_TPGID];
		if (!group_lives(d, (pid_t)msg.pgrp)) {
			lose("%s: the foreground group %u of its terminal has no member left; "
			     "restored as its own group",
			     task_name(t), msg.pgrp);
			msg.pgrp = 0;
		}
	}
	return image_put(d->out, KIND_ctty, (uint32_t)t->pid, &msg.base);
}

const struct dump_aspect dump_ctty = {
	.scope = SCOPE_PROCESS,
	.look = ctty_look,
	.take = ctty_take,
};
