/*
 * inotify, restore half. Watches are added by the first process that has it, when
 * all files of the tree are open: else it would see us opening them.
 */
#include <errno.h>
#include <limits.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/inotify.pb-c.h"
#include "restore/restore.h"

#ifndef INOTIFY_IOC_SETNEXTWD
#define INOTIFY_IOC_SETNEXTWD _IOW('I', 0, int32_t)
#endif

static int inotify_check(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__Inotify *msg = (const Img__Inotify *)base;

	for (size_t i = 0; i < msg->n_watch; i++) {
		const Img__Inotify__Watch *w = msg->watch[i];

		if (!w->wd || w->wd > INT_MAX || w->path[0] != '/' ||
		    (i && w->wd <= msg->watch[i - 1]->wd))
			return fail(-EBADMSG, "file %u: inotify: watch %u makes no sense", file->id,
			            w->wd);
	}
	return 0;
}

static int inotify_open(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	auto_close int fd = inotify_init1(IN_CLOEXEC);
	int e = fd < 0 ? -errno : pool_set_flags(fd, file);

	return e < 0 ? fail(e, "inotify %u: create", file->id) : take_fd(&fd);
}

static int inotify_emit(struct restore *r, struct rtask *t, int fd, const Img__File *file,
                        const ProtobufCMessage *base, struct script *s)
{
	const Img__Inotify *msg = (const Img__Inotify *)base;

	for (size_t i = 0; i < msg->n_watch; i++) {
		const Img__Inotify__Watch *w = msg->watch[i];

		script_call(s, __NR_ioctl, fd, INOTIFY_IOC_SETNEXTWD, w->wd);
		script_want(s, w->wd, __NR_inotify_add_watch, fd, script_string(s, w->path),
		            w->mask);
	}
	return 0;
}

const struct restore_kind restore_inotify = {
	.check = inotify_check,
	.open = inotify_open,
	.emit = inotify_emit,
};
