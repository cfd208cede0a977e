/* What is not carried, restore half: /dev/null in its place, for reading and writing as it was. */
#include <errno.h>
#include <fcntl.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/null.pb-c.h"
#include "restore/restore.h"

static int null_open(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__Null *msg = (const Img__Null *)base;
	auto_close int fd = open("/dev/null",
	                         (int)(file->flags & (O_ACCMODE | O_APPEND | O_NONBLOCK | O_PATH)) |
	                                 O_CLOEXEC | O_NOCTTY);

	return fd < 0 ? fail(-errno, "/dev/null in place of %s", msg->was) : take_fd(&fd);
}

const struct restore_kind restore_null = {
	.open = null_open,
};
