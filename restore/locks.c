/*
 * Locks on files, restore half: set without waiting, once all descriptors are
 * there. Somebody else may have taken one since the dump: then the restore
 * fails, since both would hold it.
 *
 * A lease that was being broken is so again by an open(2) of ours that must not wait. Its owner, who was told
 * then, is not told again: meanwhile there is none.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/fds.pb-c.h"
#include "proto/file.pb-c.h"
#include "proto/locks.pb-c.h"
#include "restore/restore.h"

static bool lock_sound(const Img__Locks__Lock *l)
{
	return l->start <= l->end && l->start <= INT64_MAX && l->type <= IMG__LOCKS__TYPE__LEASE &&
	       l->breaking <= IMG__LOCKS__BREAKING__TO_NONE &&
	       (!l->breaking || l->type == IMG__LOCKS__TYPE__LEASE) &&
	       (l->breaking != IMG__LOCKS__BREAKING__TO_READ || l->write);
}

static int locks_check(struct restore *r, uint32_t owner, const ProtobufCMessage *base)
{
	const Img__Locks *msg = (const Img__Locks *)base;

	for (size_t i = 0; i < msg->n_lock; i++)
		if (!lock_sound(msg->lock[i]))
			return fail(-EBADMSG, "task %u: fd %u: lock of a wrong range", owner,
			            msg->lock[i]->fd);
	return 0;
}

static void lock_emit(const Img__Locks__Lock *lock, struct script *s)
{
	struct flock range = {
		.l_type = lock->write ? F_WRLCK : F_RDLCK,
		.l_whence = SEEK_SET,
		.l_start = (off_t)lock->start,
		.l_len = lock->end >= INT64_MAX ? 0 : (off_t)(lock->end - lock->start + 1),
	};

	if (lock->type == IMG__LOCKS__TYPE__FLOCK)
		script_call(s, __NR_flock, lock->fd, (lock->write ? LOCK_EX : LOCK_SH) | LOCK_NB);
	else if (lock->type == IMG__LOCKS__TYPE__LEASE)
		script_call(s, __NR_fcntl, lock->fd, F_SETLEASE, lock->write ? F_WRLCK : F_RDLCK);
	else
		script_call(s, __NR_fcntl, lock->fd,
		            lock->type == IMG__LOCKS__TYPE__OFD ? F_OFD_SETLK : F_SETLK,
		            script_put(s, &range, sizeof(range)));
}

static const Img__File *file_of(const struct restore *r, const struct rthread *th, uint32_t fd)
{
	const Img__Fds *fds = (const Img__Fds *)images_one(r->images, KIND_fds, (uint32_t)th->tid);

	for (size_t i = 0; fds && i < fds->n_fd; i++)
		if (fds->fd[i] == fd)
			return (const Img__File *)images_one(r->images, KIND_file, fds->file[i]);
	return NULL;
}

/* Who takes a lease is told of its end, unless somebody else is: nobody was, if who took it had ended. */
static void lease_disown(const struct restore *r, const struct rthread *th,
                         const Img__Locks__Lock *lock, struct script *s)
{
	const Img__File *file = file_of(r, th, lock->fd);

	if (file && !file->owner_pid)
		script_call(s, __NR_fcntl, lock->fd, F_SETOWN, 0);
}

static int locks_emit(struct restore *r, struct rthread *th, const ProtobufCMessage *base,
                      struct script *s)
{
	const Img__Locks *msg = (const Img__Locks *)base;

	for (size_t i = 0; i < msg->n_lock; i++) {
		lock_emit(msg->lock[i], s);
		if (msg->lock[i]->type == IMG__LOCKS__TYPE__LEASE)
			lease_disown(r, th, msg->lock[i], s);
	}
	return 0;
}

/* ---- leases that are being broken ---- */

/* It waits for nobody; whoever may not open it cannot break it. */
static int break_lease(const struct rthread *th, const Img__Locks__Lock *lock, int fd)
{
	int how = lock->breaking == IMG__LOCKS__BREAKING__TO_READ ? O_RDONLY : O_WRONLY;
	auto_close int opened = -1;
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	opened = open(path, how | O_NONBLOCK | O_CLOEXEC);
	if (opened >= 0)
		return -EPROTO;
	if (errno != EACCES && errno != EPERM && errno != EROFS)
		return errno == EWOULDBLOCK ? 0 : -errno;
	lose("%s: fd %u: its lease is held as if nobody opened the file: %s", rtask_name(th->task),
	     lock->fd, strerror(errno));
	return 0;
}

static int break_again(const struct restore *r, const struct rthread *th,
                       const Img__Locks__Lock *lock)
{
	const Img__File *file = file_of(r, th, lock->fd);
	auto_close int fd = file ? file_fetch(th->task, (int)lock->fd) : -EBADF;
	int e = fd < 0 ? fd : fcntl(fd, F_SETOWN, 0) < 0 ? -errno : break_lease(th, lock, fd);

	if (e == 0 && file->owner_pid)
		e = fds_name_owner(fd, file);
	return e < 0 ? fail(e, "%s: fd %u: have its lease be broken", rtask_name(th->task),
	                    lock->fd)
	             : 0;
}

static int locks_finish(struct restore *r, struct rthread *th, const ProtobufCMessage *base)
{
	const Img__Locks *msg = (const Img__Locks *)base;
	int e = 0;

	for (size_t i = 0; i < msg->n_lock && e == 0; i++)
		if (msg->lock[i]->breaking)
			e = break_again(r, th, msg->lock[i]);
	return e;
}

const struct restore_aspect restore_locks = {
	.table = TABLE_FILES,
	.check = locks_check,
	.emit = { [PHASE_PROCESS] = locks_emit },
	.finish = locks_finish,
};
