/* Character devices without any state, restore half: opened by path. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/chardev.pb-c.h"
#include "restore/restore.h"

static int chardev_open(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__Chardev *msg = (const Img__Chardev *)base;
	auto_close int fd = -1;
	struct stat st;

	/* What waits at the path may be any device: look before opening it. */
	if (stat(msg->path, &st) < 0)
		return errno == ENOENT
		               ? fail(-ENOTSUP, "device %s: is gone since the dump; put it back",
		                      msg->path)
		               : fail(-errno, "device %s", msg->path);
	if (!S_ISCHR(st.st_mode) || st.st_rdev != msg->rdev)
		return fail(-ENOTSUP, "device %s: is another file since the dump", msg->path);
	fd = open(msg->path, (int)file->flags | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return fail(-errno, "device %s", msg->path);
	return take_fd(&fd);
}

const struct restore_kind restore_chardev = {
	.open = chardev_open,
};
