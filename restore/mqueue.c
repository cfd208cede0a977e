/*
 * POSIX message queue, restore half: the one of that name, or a new one with the messages
 * that it had, unless these are not known. One that was unlinked is made under its name, or another if that
 * is taken, and unlinked again. If the restore fails, those with a name that it has made go.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <mqueue.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/mqueue.pb-c.h"
#include "restore/leftover.h"
#include "restore/restore.h"

#define NAME_LIMIT   255 /* mq_overview(7) */
#define DELETED      " (deleted)"
#define PRIORITY_MAX 32767 /* MQ_PRIO_MAX - 1 */

static int mqueue_check(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__Mqueue *msg = (const Img__Mqueue *)base;

	if (msg->name[0] != '/' || strchr(msg->name + 1, '/') || !msg->name[1] ||
	    strlen(msg->name) > NAME_LIMIT + strlen(DELETED))
		return fail(-EBADMSG, "message queue %u: \"%s\" cannot be its name", file->id,
		            msg->name);
	if (msg->n_message && msg->n_message != msg->curmsgs)
		return fail(-EBADMSG, "message queue %u: %zu messages, which should be %" PRIu64,
		            file->id, msg->n_message, msg->curmsgs);
	for (size_t i = 0; i < msg->n_message; i++)
		if (msg->message[i]->text.len > msg->msgsize ||
		    msg->message[i]->priority > PRIORITY_MAX)
			return fail(-EBADMSG, "message queue %u: message %zu makes no sense",
			            file->id, i);
	return 0;
}

/* It was there all the time: is it still the same? */
static int check_same(int fd, const Img__Mqueue *msg)
{
	struct mq_attr attr = {};

	if (syscall(SYS_mq_getsetattr, fd, NULL, &attr) < 0)
		return fail(-errno, "message queue %s: mq_getattr", msg->name);
	if ((uint64_t)attr.mq_maxmsg != msg->maxmsg || (uint64_t)attr.mq_msgsize != msg->msgsize)
		return fail(-ENOTSUP,
		            "message queue %s: holds %ld messages of %ld bytes, it was %" PRIu64
		            " of %" PRIu64 " when dumped: it is another one",
		            msg->name, attr.mq_maxmsg, attr.mq_msgsize, msg->maxmsg, msg->msgsize);
	return 0;
}

/* Descriptors may be there for one direction only. */
static int send_all(const Img__Mqueue *msg)
{
	auto_close int fd = (int)syscall(SYS_mq_open, msg->name + 1,
	                                 O_WRONLY | O_NONBLOCK | O_CLOEXEC, 0, NULL);

	if (fd < 0)
		return -errno;
	for (size_t i = 0; i < msg->n_message; i++) {
		const Img__Mqueue__Message *m = msg->message[i];

		if (syscall(SYS_mq_timedsend, fd, m->text.data, m->text.len, m->priority, NULL) < 0)
			return -errno;
	}
	return 0;
}

static int fill_queue(int fd, const Img__Mqueue *msg)
{
	int r = send_all(msg);

	if (r < 0)
		return fail(r, "message queue %s: send its messages", msg->name);
	if (fchown(fd, msg->uid, msg->gid) < 0 || fchmod(fd, msg->mode) < 0)
		return fail(-errno, "message queue %s: set its owner and mode", msg->name);
	return 0;
}

/* *RET_NOTED: where that is noted (leftover.h). */
static int make_queue(struct restore *restore, int flags, const Img__Mqueue *msg, int *ret_noted)
{
	struct mq_attr attr = { .mq_maxmsg = (long)msg->maxmsg, .mq_msgsize = (long)msg->msgsize };
	auto_close int fd = -1;
	int r;

	if (msg->curmsgs && !msg->n_message)
		return fail(-ENOTSUP, "message queue %s: is gone, and with it %" PRIu64 " messages",
		            msg->name, msg->curmsgs);
	*ret_noted = leftover_expect(restore, LEFT_QUEUE, msg->name + 1, 0);
	if (*ret_noted < 0)
		return *ret_noted;
	fd = (int)syscall(SYS_mq_open, msg->name + 1, flags | O_CREAT | O_EXCL, 0600, &attr);
	r = fd < 0 ? fail(-errno, "message queue %s: create", msg->name) : fill_queue(fd, msg);
	if (r == 0)
		return take_fd(&fd);
	if (fd >= 0)
		syscall(SYS_mq_unlink, msg->name + 1);
	leftover_forget(restore, *ret_noted);
	return r;
}

/* The first file on the queue of inode INO that was unlinked. */
static uint32_t first_file(const struct record *rec, size_t n, uint64_t ino)
{
	for (size_t i = 0; i < n; i++) {
		const Img__Mqueue *msg = (const Img__Mqueue *)rec[i].msg;

		if (msg->unlinked && msg->ino == ino)
			return rec[i].owner;
	}
	return 0;
}

/* Close-on-exec it is in any case; what is asked for stays in the flags of the file, and fdinfo shows it for ever. */
static int flags_of(const Img__File *file)
{
	return (int)(file->flags & (O_ACCMODE | O_NONBLOCK));
}

/* As long as it has a name: all others that are open. */
static int open_others(struct restore *r, uint32_t first, const Img__Mqueue *msg, const char *name)
{
	size_t n;
	const struct record *rec = images_kind(r->images, KIND_mqueue, &n);
	int ret = 0;

	for (size_t i = 0; i < n && ret == 0; i++) {
		const Img__Mqueue *other = (const Img__Mqueue *)rec[i].msg;
		const Img__File *file =
			(const Img__File *)images_one(r->images, KIND_file, rec[i].owner);
		int fd;

		if (rec[i].owner == first || !other->unlinked || other->ino != msg->ino)
			continue;
		fd = (int)syscall(SYS_mq_open, name + 1, flags_of(file), 0, NULL);
		ret = fd < 0 ? fail(-errno, "message queue %s", msg->name)
		             : pool_leave(r, rec[i].owner, fd);
	}
	return ret;
}

/* A name that nobody else has, for a moment. */
static void find_name(const Img__Mqueue *msg, char name[static NAME_LIMIT + 1])
{
	size_t len = strlen(msg->name), tail = strlen(DELETED);
	int fd;

	len -= len > tail + 1 && !strcmp(msg->name + len - tail, DELETED) ? tail : 0;
	snprintf(name, NAME_LIMIT + 1, "%.*s", (int)len, msg->name);
	fd = (int)syscall(SYS_mq_open, name + 1, O_RDONLY | O_CLOEXEC, 0, NULL);
	if (fd < 0)
		return;
	close(fd);
	snprintf(name, NAME_LIMIT + 1, "/crtool-%d-%u", getpid(), (unsigned)msg->ino);
}

static int open_unlinked(struct restore *r, const Img__File *file, const Img__Mqueue *msg)
{
	size_t n;
	const struct record *rec = images_kind(r->images, KIND_mqueue, &n);
	uint32_t first = first_file(rec, n, msg->ino);
	char name[NAME_LIMIT + 1];
	Img__Mqueue named = *msg;
	auto_close int fd = -1;
	int ret, noted;

	if (first != file->id) {
		ret = pool_file(r, first);
		return ret < 0 ? ret : pool_take(r, file->id);
	}
	find_name(msg, name);
	named.name = name;
	fd = make_queue(r, flags_of(file), &named, &noted);
	if (fd < 0)
		return fd;
	ret = open_others(r, first, msg, name);
	syscall(SYS_mq_unlink, name + 1);
	leftover_forget(r, noted);
	return ret < 0 ? ret : take_fd(&fd);
}

/* The first file on the queue of that name: with it, it is made. */
static uint32_t named_first(const struct restore *r, const Img__Mqueue *msg)
{
	size_t n;
	const struct record *rec = images_kind(r->images, KIND_mqueue, &n);

	for (size_t i = 0; i < n; i++) {
		const Img__Mqueue *other = (const Img__Mqueue *)rec[i].msg;

		if (!other->unlinked && other->ino == msg->ino && !strcmp(other->name, msg->name))
			return rec[i].owner;
	}
	return 0;
}

static int make_named(struct restore *r, const Img__File *file, const Img__Mqueue *msg)
{
	uint32_t first = named_first(r, msg);
	const char **name;
	int fd, noted;

	if (first != file->id) {
		fd = pool_file(r, first);
		if (fd < 0)
			return fd;
		fd = (int)syscall(SYS_mq_open, msg->name + 1, flags_of(file), 0, NULL);
		return fd < 0 ? fail(-errno, "message queue %s", msg->name) : fd;
	}
	name = array_add(&r->made_queues);
	if (!name)
		return -ENOMEM;
	fd = make_queue(r, flags_of(file), msg, &noted);
	*name = fd < 0 ? NULL : msg->name;
	return fd;
}

static int mqueue_open(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__Mqueue *msg = (const Img__Mqueue *)base;
	auto_close int fd = -1;
	int ret;

	if (msg->unlinked)
		return open_unlinked(r, file, msg);
	fd = (int)syscall(SYS_mq_open, msg->name + 1, flags_of(file), 0, NULL);
	if (fd < 0 && errno == ENOENT)
		return make_named(r, file, msg);
	if (fd < 0)
		return fail(-errno, "message queue %s", msg->name);
	ret = check_same(fd, msg);
	return ret < 0 ? ret : take_fd(&fd);
}

static void mqueue_done(struct restore *r)
{
	array_each (name, &r->made_queues)
		if (*name && !r->committed)
			syscall(SYS_mq_unlink, *name + 1);
	array_done(&r->made_queues);
}

const struct restore_kind restore_mqueue = {
	.check = mqueue_check,
	.open = mqueue_open,
	.done = mqueue_done,
};
