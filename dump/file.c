/*
 * One open file description: may it be saved, what is it called in messages,
 * and the record that all kinds have in common.
 *
 * The owner and its signal (F_SETOWN_EX, F_SETSIG) are shown nowhere in /proc:
 * each description is taken over for a moment with pidfd_getfd(2), four system
 * calls in all. An owner that is set costs a fifth, F_GETOWNER_UIDS.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "dump/borrow.h"
#include "dump/dump.h"
#include "dump/stages.h"
#include "dump/task.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/file.pb-c.h"

#ifndef F_GETOWNER_UIDS
#define F_GETOWNER_UIDS 17
#endif

const char *file_name(const struct file *f)
{
	static char name[4352];

	if (f->fd < 0)
		snprintf(name, sizeof(name), "%s: mapped file %s", task_name(f->task), f->link);
	else
		snprintf(name, sizeof(name), "%s: fd %d: %s", task_name(f->task), f->fd, f->link);
	return name;
}

int file_steal(const struct file *f)
{
	int pidfd = task_pidfd(f->task);
	int fd = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, f->fd, 0);

	/* A leader that has exited has none, and there is no pidfd of another thread before Linux 6.9. */
	if (fd < 0 && pidfd >= 0 && (errno == EBADF || errno == ESRCH) && f->task->headless)
		return -EOPNOTSUPP;
	return pidfd < 0 ? pidfd : fd < 0 ? -errno : fd;
}

static int socket_ask(int fd, int name, int *ret)
{
	return getsockopt(fd, SOL_SOCKET, name, ret, &(socklen_t){ sizeof(*ret) });
}

void file_ask_socket(struct file *f, int fd)
{
	if (socket_ask(fd, SO_TYPE, &f->sock.type) < 0 ||
	    socket_ask(fd, SO_PROTOCOL, &f->sock.protocol) < 0 ||
	    socket_ask(fd, SO_DOMAIN, &f->sock.family) < 0)
		f->sock.family = AF_UNSPEC;
}

/* ---- checks ---- */

static int file_check(struct dump *d, const struct file *f)
{
	if (!f->room)
		return fail(-ENOTSUP,
		            "%s (%s): not supported by this version; --on-unknown-fd=null or "
		            "=close lets it go",
		            file_name(f), file_describe(f));
	return f->room->check ? f->room->check(d, f) : 0;
}

/* F was refused: R, or 0 if the policy lets it go, which is told by the dump alone. */
static int file_let_go(struct dump *d, struct file *f, int r)
{
	f->policy = unknown_policy(d, f);
	if (f->policy == FD_CARRY)
		return r;
	log_forget();
	if (d->frozen)
		lose("%s (%s): %s", file_name(f), file_describe(f),
		     f->policy == FD_NULL ? "/dev/null is open in its place" : "closed");
	f->room = dump_kind_of(f, &f->kind);
	return 0;
}

/* What is to be closed is open no more. */
static void fds_close(struct dump *d, struct task *t)
{
	size_t kept = 0;

	array_each (e, &t->fds) {
		if (d->files.v[e->file].policy == FD_CLOSE)
			free(e->locks);
		else
			t->fds.v[kept++] = *e;
	}
	t->fds.n = kept;
}

int files_check(struct dump *d, struct task *t)
{
	array_each (e, &t->fds) {
		struct file *f = &d->files.v[e->file];
		int r;

		if (f->task != t || f->fd != e->fd)
			continue; /* a duplicate: said once */
		r = file_check(d, f);
		if (r == -ENOTSUP)
			r = file_let_go(d, f, r);
		r = dump_obstacle(d, r);
		if (r < 0)
			return r;
	}
	if (d->opt->on_unknown_fd.n)
		fds_close(d, t);
	return 0;
}

int dump_obstacle(struct dump *d, int r)
{
	if (r != -ENOTSUP || !d->opt->all || !log_failure())
		return r;
	lose("%s", log_failure());
	log_forget();
	d->obstacles++;
	return 0;
}

/* ---- records ---- */

/* Does a process, thread or group of the tree bear that number? Mostly it is that of a process, too. */
static bool owner_known(const struct dump *d, int type, pid_t pid)
{
	const struct task *named = task_find(d, pid);

	if (type == F_OWNER_PID || (named && (type == F_OWNER_TID || named->pgid == pid)))
		return named;
	array_each (t, &d->tasks) {
		if (type == F_OWNER_PGRP && t->pgid == pid)
			return true;
		if (type != F_OWNER_TID)
			continue;
		array_each (th, &t->threads)
			if (th->tid == pid)
				return true;
	}
	return false;
}

static int file_owner(const struct dump *d, const struct file *f, int fd, Img__File *msg)
{
	struct f_owner_ex owner;
	uint32_t uids[2];
	int signal = fcntl(fd, F_GETSIG);

	if (signal < 0 || fcntl(fd, F_GETOWN_EX, &owner) < 0)
		return fail(-errno, "%s: who owns it", file_name(f));
	msg->signal = (uint32_t)signal;
	if (!owner.pid)
		return 0;
	if (!owner_known(d, owner.type, owner.pid))
		return fail(-ENOTSUP,
		            "%s: sends its signals (F_SETOWN) to %d, which is not in the tree",
		            file_name(f), owner.pid);
	if (fcntl(fd, F_GETOWNER_UIDS, uids) < 0)
		return fail(-errno, "%s: F_GETOWNER_UIDS", file_name(f));
	msg->owner_type = (uint32_t)owner.type;
	msg->owner_pid = (uint32_t)owner.pid;
	msg->owner_uid = uids[0];
	msg->owner_euid = uids[1];
	return 0;
}

static int file_dump(struct dump *d, const struct file *f)
{
	Img__File msg = IMG__FILE__INIT;
	int r = 0;

	msg.id = f->id;
	msg.kind = f->kind;
	msg.flags = f->flags;
	msg.pos = f->pos;
	msg.key = (char *)(uintptr_t)file_key(f);
	if (S_ISSOCK(f->st.st_mode) && !(f->flags & O_PATH)) {
		msg.sk_uid = f->st.st_uid;
		msg.sk_gid = f->st.st_gid;
	}
	if (f->fd >= 0 && !(f->flags & O_PATH) &&
	    f->policy == FD_CARRY) { /* others have no owner */
		auto_(borrowed_done) struct borrowed b = file_borrow(f);

		r = b.fd < 0 ? fail(b.fd, "%s: pidfd_getfd", file_name(f))
		             : file_owner(d, f, b.fd, &msg);
	}
	if (r == 0)
		r = image_put(d->out, KIND_file, f->id, &msg.base);
	return r < 0 ? r : f->room->dump(d, f);
}

/* What only other files hold becomes known, which may hold more. */
static int files_reach(struct dump *d)
{
	for (size_t i = 0; i < d->files.n; i++) {
		const struct file *f = &d->files.v[i];
		int r = f->room && f->room->reach && f->policy == FD_CARRY ? f->room->reach(d, f)
		                                                           : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

int dump_files(struct dump *d)
{
	int ret = files_reach(d);

	if (ret == 0)
		ret = dump_kinds_begin(d);
	if (ret < 0)
		return ret;
	array_each (f, &d->files) {
		/* A descriptor was checked by files_check(), others were not. */
		int r = f->fd < 0 || f->task == d->own ? file_check(d, f) : 0;

		if (f->policy == FD_CLOSE)
			continue;
		if (r == 0 && f->task == d->own && f->room->needs_owner)
			r = fail(-ENOTSUP,
			         "%s is in flight and nobody has it open: not supported by this "
			         "version",
			         f->link);
		if (r == 0)
			r = file_dump(d, f);
		if (r < 0)
			return log_failure() ? r : fail(r, "%s: write its record", file_name(f));
	}
	return 0;
}
