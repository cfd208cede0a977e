/* signalfd, restore half. */
#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/signalfd.pb-c.h"
#include "restore/restore.h"

static int signalfd_open(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__Signalfd *msg = (const Img__Signalfd *)base;
	auto_close int fd =
		(int)syscall(SYS_signalfd4, -1, &msg->mask, sizeof(msg->mask), O_CLOEXEC);
	int e = fd < 0 ? -errno : pool_set_flags(fd, file);

	return e < 0 ? fail(e, "signalfd %u: create", file->id) : take_fd(&fd);
}

const struct restore_kind restore_signalfd = {
	.open = signalfd_open,
};
