/*
 * The descriptor table, restore half. Every descriptor is a dup3(2) from the
 * pool, whose numbers are in nobody's way, so their order does not matter; many
 * wait at their number already. The rest -
 * the pool, what crtool has open itself - is closed when the process is built
 * (PHASE_THREAD): what is built after the descriptors may still need the pool.
 *
 * Owners (F_SETOWN_EX) must exist when they are named, hence PHASE_PROCESS.
 * The kernel keeps the uids of who named them (F_GETOWNER_UIDS) and later
 * decides by them whether the signal may be sent: the script takes them on for
 * that call. O_ASYNC comes after the owner, or early signals would be lost.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/log.h"
#include "proto/fds.pb-c.h"
#include "restore/restore.h"

static int fds_check(struct restore *r, uint32_t owner, const ProtobufCMessage *base)
{
	const Img__Fds *msg = (const Img__Fds *)base;

	if (msg->n_fd != msg->n_file || msg->n_fd != msg->n_cloexec)
		return fail(-EBADMSG, "task %u: fds: lists of different length", owner);
	for (size_t i = 0; i < msg->n_fd; i++) {
		if (i && msg->fd[i] <= msg->fd[i - 1])
			return fail(-EBADMSG, "task %u: fd %u: not in order", owner, msg->fd[i]);
		if (!images_one(r->images, KIND_file, msg->file[i]))
			return fail(-EBADMSG, "task %u: fd %u: there is no file %u", owner,
			            msg->fd[i], msg->file[i]);
	}
	return 0;
}

static int emit_dup(struct restore *r, struct rthread *th, const Img__Fds *msg, struct script *s)
{
	for (size_t i = 0; i < msg->n_fd; i++) {
		int number = pool_file(r, msg->file[i]);

		if (number < 0)
			return number;
		if (number != (int)msg->fd[i])
			script_want(s, msg->fd[i], __NR_dup3, number, msg->fd[i],
			            msg->cloexec[i] ? O_CLOEXEC : 0);
		else if (msg->cloexec[i] != pool_cloexec(r, msg->file[i]))
			script_call(s, __NR_fcntl, number, F_SETFD,
			            msg->cloexec[i] ? FD_CLOEXEC : 0);
	}
	return 0;
}

/* What the kind has to say in the first process that has the file open. */
static int emit_kinds(struct restore *r, struct rthread *th, const Img__Fds *msg, struct script *s)
{
	for (size_t i = 0; i < msg->n_fd; i++) {
		const Img__File *file =
			(const Img__File *)images_one(r->images, KIND_file, msg->file[i]);
		const struct restore_kind *kind = restore_kind_of(file->kind);
		int e;

		if (!kind->emit || !pool_owns(r, file->id, (uint32_t)th->task->pid, msg->fd[i]))
			continue;
		e = kind->emit(r, th->task, (int)msg->fd[i], file,
		               images_one(r->images, (enum record_kind)file->kind, file->id), s);
		if (e < 0)
			return e;
	}
	return 0;
}

static int fds_build(struct restore *r, struct rthread *th, const ProtobufCMessage *base,
                     struct script *s)
{
	const Img__Fds *msg = (const Img__Fds *)base;
	int e = late_emit(r, th->task, s);

	if (e == 0)
		e = emit_dup(r, th, msg, s);
	return e < 0 ? e : emit_kinds(r, th, msg, s);
}

/* Close all that lies between the descriptors, and beyond. */
static int fds_close(struct restore *r, struct rthread *th, const ProtobufCMessage *base,
                     struct script *s)
{
	const Img__Fds *msg = (const Img__Fds *)base;
	uint32_t from = 0;

	for (size_t i = 0; i < msg->n_fd; i++) {
		if (msg->fd[i] > from)
			script_call(s, __NR_close_range, from, msg->fd[i] - 1, 0);
		from = msg->fd[i] + 1;
	}
	script_call(s, __NR_close_range, from, ~0U, 0);
	return 0;
}

static void emit_owner(const Img__File *file, uint32_t fd, struct script *s)
{
	struct f_owner_ex owner = { .type = (int)file->owner_type, .pid = (pid_t)file->owner_pid };
	bool other = file->owner_uid != getuid() || file->owner_euid != geteuid();

	if (file->signal)
		script_call(s, __NR_fcntl, fd, F_SETSIG, file->signal);
	if (!file->owner_pid)
		return;
	if (other)
		script_call(s, __NR_setresuid, file->owner_uid, file->owner_euid, getuid());
	script_call(s, __NR_fcntl, fd, F_SETOWN_EX, script_put(s, &owner, sizeof(owner)));
	if (other)
		script_call(s, __NR_setresuid, getuid(), geteuid(), getuid());
}

/* What is made last stands at one number by now: the others of its file. */
static void emit_copies(const Img__Fds *msg, size_t first, struct script *s)
{
	for (size_t i = 0; i < msg->n_fd; i++)
		if (msg->file[i] == msg->file[first] && i != first)
			script_want(s, msg->fd[i], __NR_dup3, msg->fd[first], msg->fd[i],
			            msg->cloexec[i] ? O_CLOEXEC : 0);
	script_call(s, __NR_fcntl, msg->fd[first], F_SETFD, msg->cloexec[first] ? FD_CLOEXEC : 0);
}

/* LAST: what is made now; else what waits for that. */
static int emit_last(struct restore *r, struct rthread *th, const Img__Fds *msg, bool last,
                     struct script *s)
{
	for (size_t i = 0; i < msg->n_fd; i++) {
		const Img__File *file =
			(const Img__File *)images_one(r->images, KIND_file, msg->file[i]);
		const struct restore_kind *kind = restore_kind_of(file->kind);
		int e;

		if (!kind->emit_last || file_is_last(r, file->id) != last ||
		    !pool_owns(r, file->id, (uint32_t)th->task->pid, msg->fd[i]))
			continue;
		e = kind->emit_last(r, th->task, (int)msg->fd[i], file,
		                    images_one(r->images, (enum record_kind)file->kind, file->id),
		                    s);
		if (e < 0)
			return e;
		if (last)
			emit_copies(msg, i, s);
	}
	return 0;
}

static int fds_own(struct restore *r, struct rthread *th, const ProtobufCMessage *base,
                   struct script *s)
{
	const Img__Fds *msg = (const Img__Fds *)base;

	for (int last = 1; last >= 0; last--) {
		int e = emit_last(r, th, msg, last, s);

		if (e < 0)
			return e;
	}
	for (size_t i = 0; i < msg->n_fd; i++) {
		const Img__File *file =
			(const Img__File *)images_one(r->images, KIND_file, msg->file[i]);

		if (!pool_owns(r, file->id, (uint32_t)th->task->pid, msg->fd[i]))
			continue;
		emit_owner(file, msg->fd[i], s);
		if (file->flags & O_ASYNC)
			script_call(s, __NR_fcntl, msg->fd[i], F_SETFL, file->flags);
	}
	return 0;
}

int fds_name_owner(int fd, const Img__File *file)
{
	struct f_owner_ex owner = { .type = (int)file->owner_type, .pid = (pid_t)file->owner_pid };
	uid_t uid = getuid(), euid = geteuid();
	bool other = file->owner_uid != uid || file->owner_euid != euid;
	int e = 0;

	/* The call itself, which is for this thread alone. */
	if (other && syscall(SYS_setresuid, file->owner_uid, file->owner_euid, uid) < 0)
		return -errno;
	if (fcntl(fd, F_SETOWN_EX, &owner) < 0)
		e = -errno;
	if (other && syscall(SYS_setresuid, uid, euid, uid) < 0)
		return -errno;
	return e;
}

int fds_own_in_flight(struct restore *r, const Img__File *file)
{
	int fd = pool_unused(r, file->id) && (file->owner_pid || file->signal)
	                 ? pool_file(r, file->id)
	                 : -ENOENT;
	int e = 0;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	if (file->signal && fcntl(fd, F_SETSIG, file->signal) < 0)
		e = -errno;
	if (e == 0 && file->owner_pid)
		e = fds_name_owner(fd, file);
	if (e == 0 && file->flags & O_ASYNC && fcntl(fd, F_SETFL, file->flags) < 0)
		e = -errno;
	return e < 0 ? fail(e, "file %u, in flight: name its owner", file->id) : 0;
}

const struct restore_aspect restore_fds = {
	.table = TABLE_FILES,
	.check = fds_check,
	.emit = {
		[PHASE_BUILD] = fds_build,
		[PHASE_THREAD] = fds_close,
		[PHASE_PROCESS] = fds_own,
	},
};
