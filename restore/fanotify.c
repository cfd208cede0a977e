/* fanotify, restore half. Marks are set last, so that the group hears nothing of the restore. */
#include <errno.h>
#include <fcntl.h>
#include <sys/fanotify.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/fanotify.pb-c.h"
#include "restore/fanotify_overflow.h"
#include "restore/restore.h"

#ifndef FAN_MARK_EVICTABLE
#define FAN_MARK_EVICTABLE 0x200
#endif
#ifndef FAN_MARK_IGNORE
#define FAN_MARK_IGNORE 0x400
#endif
#define KEPT_FLAGS \
	(FAN_MARK_IGNORED_SURV_MODIFY | FAN_MARK_EVICTABLE | FAN_MARK_IGNORE | FAN_MARK_DONT_FOLLOW)

#define ENDLESS (FAN_UNLIMITED_QUEUE | 0x4000u) /* FAN_REPORT_MNT */

static int fanotify_check(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__Fanotify *msg = (const Img__Fanotify *)base;

	if (msg->overflow && msg->flags & ENDLESS)
		return fail(-EBADMSG, "file %u: fanotify: its queue cannot overflow", file->id);
	for (size_t i = 0; i < msg->n_mark; i++) {
		const Img__Fanotify__Mark *m = msg->mark[i];

		if (m->path[0] != '/' || m->flags & ~(uint32_t)KEPT_FLAGS ||
		    m->type > IMG__FANOTIFY__MARK__TYPE__FILESYSTEM)
			return fail(-EBADMSG, "file %u: fanotify: a mark on '%s' makes no sense",
			            file->id, m->path);
	}
	return 0;
}

static int fanotify_open(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__Fanotify *msg = (const Img__Fanotify *)base;
	/* As it was made, which fdinfo shows for ever; what it is now comes after that. */
	auto_close int fd = fanotify_init(msg->flags, msg->event_flags);

	if (fd < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ||
	    fcntl(fd, F_SETFL, file->flags & O_NONBLOCK) < 0)
		return fail(-errno, "fanotify %u: create with flags %#x", file->id, msg->flags);
	if (msg->overflow) {
		int e = fanotify_overflow(fd);

		if (e < 0)
			return fail(e, "fanotify %u: make its queue overflow", file->id);
	}
	return take_fd(&fd);
}

static int mark(int fd, const Img__Fanotify__Mark *m)
{
	static const unsigned types[] = { FAN_MARK_INODE, FAN_MARK_MOUNT, FAN_MARK_FILESYSTEM };
	unsigned flags = FAN_MARK_ADD | types[m->type] |
	                 (m->flags & (FAN_MARK_EVICTABLE | FAN_MARK_DONT_FOLLOW));
	unsigned ignore = m->flags & FAN_MARK_IGNORE ? FAN_MARK_IGNORE : FAN_MARK_IGNORED_MASK;

	if (m->mask && fanotify_mark(fd, flags, m->mask, AT_FDCWD, m->path) < 0)
		return -errno;
	if (m->ignored &&
	    fanotify_mark(fd, flags | ignore | (m->flags & FAN_MARK_IGNORED_SURV_MODIFY),
	                  m->ignored, AT_FDCWD, m->path) < 0)
		return -errno;
	return 0;
}

static int fanotify_finish(struct restore *r, int fd, const Img__File *file,
                           const ProtobufCMessage *base)
{
	const Img__Fanotify *msg = (const Img__Fanotify *)base;

	for (size_t i = 0; i < msg->n_mark; i++) {
		int e = mark(fd, msg->mark[i]);

		if (e < 0)
			return fail(e, "fanotify %u: mark %s", file->id, msg->mark[i]->path);
	}
	return 0;
}

const struct restore_kind restore_fanotify = {
	.check = fanotify_check,
	.open = fanotify_open,
	.finish = fanotify_finish,
};
