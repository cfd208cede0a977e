/* POSIX message queue, restore half: the one of that name, or a new one if nothing is lost by it. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <mqueue.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/mqueue.pb-c.h"
#include "restore/restore.h"

#define NAME_LIMIT 255 /* mq_overview(7) */

static int mqueue_check(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__Mqueue *msg = (const Img__Mqueue *)base;

	if (msg->name[0] != '/' || strchr(msg->name + 1, '/') || !msg->name[1] ||
	    strlen(msg->name) > NAME_LIMIT)
		return fail(-EBADMSG, "message queue %u: \"%s\" cannot be its name", file->id,
		            msg->name);
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

static int make_queue(int flags, const Img__Mqueue *msg)
{
	struct mq_attr attr = { .mq_maxmsg = (long)msg->maxmsg, .mq_msgsize = (long)msg->msgsize };
	auto_close int fd = -1;

	if (msg->curmsgs)
		return fail(-ENOTSUP, "message queue %s: is gone, and with it %" PRIu64 " messages",
		            msg->name, msg->curmsgs);
	fd = (int)syscall(SYS_mq_open, msg->name + 1, flags | O_CREAT | O_EXCL, 0600, &attr);
	if (fd < 0)
		return fail(-errno, "message queue %s: create", msg->name);
	if (fchown(fd, msg->uid, msg->gid) < 0 || fchmod(fd, msg->mode) < 0) {
		syscall(SYS_mq_unlink, msg->name + 1);
		return fail(-errno, "message queue %s: set its owner and mode", msg->name);
	}
	return take_fd(&fd);
}

static int mqueue_open(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__Mqueue *msg = (const Img__Mqueue *)base;
	int flags = (int)(file->flags & (O_ACCMODE | O_NONBLOCK)) | O_CLOEXEC;
	auto_close int fd = (int)syscall(SYS_mq_open, msg->name + 1, flags, 0, NULL);
	int ret;

	if (fd < 0 && errno == ENOENT)
		return make_queue(flags, msg);
	if (fd < 0)
		return fail(-errno, "message queue %s", msg->name);
	ret = check_same(fd, msg);
	return ret < 0 ? ret : take_fd(&fd);
}

const struct restore_kind restore_mqueue = {
	.check = mqueue_check,
	.open = mqueue_open,
};
