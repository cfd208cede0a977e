/*
 * pidfd, restore half. Those of the tree are opened when all processes are
 * there (late.c). In place of one that is long dead, a process is forked that
 * ends in the same way and is reaped before anybody else is forked.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/pidfd.pb-c.h"
#include "restore/restore.h"

#define PIDFD_FLAGS (O_NONBLOCK | O_EXCL) /* PIDFD_NONBLOCK, PIDFD_THREAD */

static int pidfd_check(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__Pidfd *msg = (const Img__Pidfd *)base;

	if (msg->pid && !rtask_find(r, (pid_t)msg->pid))
		return fail(-EBADMSG, "file %u: pidfd: there is no process %u", file->id, msg->pid);
	if (msg->status & ~0xff7fu || WTERMSIG((int)msg->status) > SIGRTMAX)
		return fail(-EBADMSG, "file %u: pidfd: a process cannot end with status %#x",
		            file->id, msg->status);
	return 0;
}

static bool pidfd_late(const struct restore *r, const ProtobufCMessage *base)
{
	return ((const Img__Pidfd *)base)->pid;
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
	int fd = msg->pid ? (int)syscall(SYS_pidfd_open, msg->pid, file->flags & PIDFD_FLAGS)
	                  : open_dead(file, (int)msg->status);

	if (fd >= 0)
		return fd;
	return fail(msg->pid ? -errno : fd, "file %u: pidfd of process %u", file->id, msg->pid);
}

const struct restore_kind restore_pidfd = {
	.check = pidfd_check,
	.late = pidfd_late,
	.open = pidfd_open_again,
};
