/*
 * pidfd, restore half. Those of the tree are opened when all processes are
 * there (late.c), those of their threads by the process that has them open, when all
 * threads are there. In place of one that is long dead, a process is forked that ends in the
 * same way and is reaped before anybody else is forked.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/pidfd.pb-c.h"
#include "restore/restore.h"

#define PIDFD_FLAGS (O_NONBLOCK | O_EXCL) /* PIDFD_NONBLOCK, PIDFD_THREAD */

static bool is_thread(const struct restore *r, const Img__Pidfd *msg)
{
	const struct rtask *t = rtask_find(r, (pid_t)msg->pid);

	if (t)
		array_each (th, &t->threads)
			if (th->tid == (pid_t)msg->thread)
				return th != t->threads.v;
	return false;
}

static int pidfd_check(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__Pidfd *msg = (const Img__Pidfd *)base;

	if (msg->pid && !rtask_find(r, (pid_t)msg->pid))
		return fail(-EBADMSG, "file %u: pidfd: there is no process %u", file->id, msg->pid);
	if (msg->thread && (!is_thread(r, msg) || !file_in_one_table(r, file->id)))
		return fail(-EBADMSG, "file %u: pidfd: makes no sense for thread %u", file->id,
		            msg->thread);
	if (msg->status & ~0xff7fu || WTERMSIG((int)msg->status) > SIGRTMAX)
		return fail(-EBADMSG, "file %u: pidfd: a process cannot end with status %#x",
		            file->id, msg->status);
	return 0;
}

static bool pidfd_late(const struct restore *r, const ProtobufCMessage *base)
{
	const Img__Pidfd *msg = (const Img__Pidfd *)base;

	return msg->pid && !msg->thread;
}

static bool pidfd_last(const struct restore *r, const ProtobufCMessage *base)
{
	return ((const Img__Pidfd *)base)->thread;
}

static void end_with(int status)
{
	sigset_t none;

	if (WTERMSIG(status)) {
		prctl(PR_SET_DUMPABLE, 0); /* no core */
		sigemptyset(&none);
		signal(WTERMSIG(status), SIG_DFL);
		sigprocmask(SIG_SETMASK, &none, NULL);
		raise(WTERMSIG(status));
	}
	_exit(WEXITSTATUS(status));
}

static int open_dead(const Img__File *file, int status)
{
	pid_t pid = fork();
	int fd, e;

	if (pid == 0)
		end_with(status);
	if (pid < 0)
		return -errno;
	fd = (int)syscall(SYS_pidfd_open, pid, file->flags & PIDFD_FLAGS);
	e = fd < 0 ? -errno : fd;
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return e;
}

static int pidfd_open_again(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__Pidfd *msg = (const Img__Pidfd *)base;
	int fd = msg->thread ? eventfd(0, EFD_CLOEXEC) /* stands in */
	         : msg->pid  ? (int)syscall(SYS_pidfd_open, msg->pid, file->flags & PIDFD_FLAGS)
	                     : open_dead(file, (int)msg->status);

	if (fd >= 0)
		return fd;
	return fail(msg->pid ? -errno : fd, "file %u: pidfd of process %u", file->id, msg->pid);
}

static int pidfd_emit_last(struct restore *r, struct rtask *t, int fd, const Img__File *file,
                           const ProtobufCMessage *base, struct script *s)
{
	const Img__Pidfd *msg = (const Img__Pidfd *)base;

	if (!msg->thread)
		return 0;
	script_call(s, SYS_pidfd_open, msg->thread, file->flags & PIDFD_FLAGS);
	script_op(s, OP_RESULT, EXPECT_ANY, 0, 0, (const uint64_t[6]){ 1, 0, 1 });
	script_op(s, OP_RESULT, EXPECT_ANY, 0, 0, (const uint64_t[6]){ 2, 0, 1 });
	script_want(s, fd, SYS_dup3, 0, fd, O_CLOEXEC);
	script_call(s, SYS_close, 0);
	return 0;
}

const struct restore_kind restore_pidfd = {
	.check = pidfd_check,
	.late = pidfd_late,
	.last = pidfd_last,
	.emit_last = pidfd_emit_last,
	.open = pidfd_open_again,
};
