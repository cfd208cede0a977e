/*
 * Locks on files, restore half: set without waiting, once all descriptors are
 * there. Somebody else may have taken one since the dump: then the restore
 * fails, since both would hold it.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/log.h"
#include "proto/locks.pb-c.h"
#include "restore/restore.h"

static int locks_check(struct restore *r, uint32_t owner, const ProtobufCMessage *base)
{
	const Img__Locks *msg = (const Img__Locks *)base;

	for (size_t i = 0; i < msg->n_lock; i++)
		if (msg->lock[i]->start > msg->lock[i]->end || msg->lock[i]->start > INT64_MAX ||
		    msg->lock[i]->type > IMG__LOCKS__TYPE__LEASE)
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

static int locks_emit(struct restore *r, struct rthread *th, const ProtobufCMessage *base,
                      struct script *s)
{
	const Img__Locks *msg = (const Img__Locks *)base;

	for (size_t i = 0; i < msg->n_lock; i++)
		lock_emit(msg->lock[i], s);
	return 0;
}

const struct restore_aspect restore_locks = {
	.table = TABLE_FILES,
	.check = locks_check,
	.emit = { [PHASE_PROCESS] = locks_emit },
};
