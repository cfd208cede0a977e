/*
 * inotify, restore half. Watches are added by the first process that has it, when
 * all files of the tree are open: else it would see us opening them.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "proto/inotify.pb-c.h"
#include "restore/inode.h"
#include "restore/restore.h"

#ifndef INOTIFY_IOC_SETNEXTWD
#define INOTIFY_IOC_SETNEXTWD _IOW('I', 0, int32_t)
#endif

static int inotify_check(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__Inotify *msg = (const Img__Inotify *)base;

	for (size_t i = 0; i < msg->n_watch; i++) {
		const Img__Inotify__Watch *w = msg->watch[i];

		if (!w->wd || w->wd >= INT_MAX || w->path[0] != '/' ||
		    (i && w->wd <= msg->watch[i - 1]->wd))
			return fail(-EBADMSG, "file %u: inotify: watch %u makes no sense", file->id,
			            w->wd);
		if (w->inode &&
		    (!inode_record(r, w->inode) ||
		     inode_check(r, w->inode, inode_record(r, w->inode)->mode, "inotify") < 0))
			return fail(-EBADMSG, "file %u: inotify: watch %u is on no inode", file->id,
			            w->wd);
	}
	return 0;
}

/* How many events a queue holds before it overflows; it takes the number over when it is made. */
static long queue_max(void)
{
	auto_free char *text = NULL;

	if (file_read(AT_FDCWD, "/proc/sys/fs/inotify/max_queued_events", &text) <= 0)
		return -1;
	return strtol(text, NULL, 10);
}

/* Two events after each other that are not alike, as they would become one. */
static int make_events(const char *path, long n)
{
	for (long i = 0; i < n; i += 2) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);

		if (fd < 0)
			return -errno;
		close(fd);
	}
	return 0;
}

/* Take N events without a name out again. */
static int drop_events(int fd, long n)
{
	size_t size = (size_t)n * sizeof(struct inotify_event);
	auto_free char *buf = malloc(size);

	return buf ? read_full(fd, buf, size) : -ENOMEM;
}

/*
 * The kernel makes an overflow event when the queue is full: it is filled with
 * events of a file of our own, the watch is taken away, whose news is lost, too, and
 * all but the last are read.
 */
static int make_overflow(int fd)
{
	auto_close int own = memfd_create("crtool", MFD_CLOEXEC);
	long max = queue_max();
	char path[32];
	int wd, e;

	if (own < 0 || max <= 0)
		return own < 0 ? -errno : -EPROTO;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", own);
	wd = inotify_add_watch(fd, path, IN_OPEN | IN_CLOSE_NOWRITE);
	if (wd < 0)
		return -errno;
	e = make_events(path, max + 1);
	if (e == 0 && inotify_rm_watch(fd, wd) < 0)
		e = -errno;
	return e < 0 ? e : drop_events(fd, max);
}

static int inotify_open(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	auto_close int fd = inotify_init1(IN_CLOEXEC);
	int e = fd < 0 ? -errno : 0;

	if (e < 0)
		return fail(e, "inotify %u: create", file->id);
	if (((const Img__Inotify *)base)->overflow)
		e = make_overflow(fd);
	if (e == 0)
		e = pool_set_flags(fd, file);
	return e < 0 ? fail(e, "inotify %u: set it up", file->id) : take_fd(&fd);
}

static int inotify_emit(struct restore *r, struct rtask *t, int fd, const Img__File *file,
                        const ProtobufCMessage *base, struct script *s)
{
	const Img__Inotify *msg = (const Img__Inotify *)base;

	for (size_t i = 0; i < msg->n_watch; i++) {
		const Img__Inotify__Watch *w = msg->watch[i];

		if (w->inode)
			continue;
		script_call(s, __NR_ioctl, fd, INOTIFY_IOC_SETNEXTWD, w->wd);
		script_want(s, w->wd, __NR_inotify_add_watch, fd, script_string(s, w->path),
		            w->mask);
	}
	return 0;
}

static int add_deleted(struct restore *r, int fd, const Img__Inotify__Watch *w)
{
	int number = inode_get(r, w->inode), wd = (int)w->wd;
	char path[32];

	if (number < 0)
		return number;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", number);
	if (ioctl(fd, INOTIFY_IOC_SETNEXTWD, wd) < 0 || inotify_add_watch(fd, path, w->mask) != wd)
		return fail(errno ? -errno : -EPROTO, "inotify: watch the deleted file %s",
		            w->path);
	return 0;
}

/* Those of deleted files, which were given their times a moment ago: it would see that, too. */
static int inotify_finish(struct restore *r, int fd, const Img__File *file,
                          const ProtobufCMessage *base)
{
	const Img__Inotify *msg = (const Img__Inotify *)base;
	bool added = false;

	for (size_t i = 0; i < msg->n_watch; i++) {
		int e = msg->watch[i]->inode ? add_deleted(r, fd, msg->watch[i]) : 0;

		if (e < 0)
			return e;
		added = added || msg->watch[i]->inode;
	}
	if (added && ioctl(fd, INOTIFY_IOC_SETNEXTWD, msg->watch[msg->n_watch - 1]->wd + 1) < 0)
		return fail(-errno, "inotify %u: number of the next watch", file->id);
	return 0;
}

const struct restore_kind restore_inotify = {
	.check = inotify_check,
	.open = inotify_open,
	.emit = inotify_emit,
	.finish = inotify_finish,
};
