/* eventfd, restore half. */
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/eventfd.pb-c.h"
#include "restore/restore.h"

static int eventfd_open(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__Eventfd *msg = (const Img__Eventfd *)base;
	auto_close int fd = eventfd(0, EFD_CLOEXEC | (msg->semaphore ? EFD_SEMAPHORE : 0));
	int e;

	if (fd < 0)
		return fail(-errno, "eventfd %u: create", file->id);
	/* initval is 32 bits wide, the counter 64: write it instead. */
	if (msg->count && write(fd, &msg->count, sizeof(msg->count)) < 0)
		return fail(-errno, "eventfd %u: set its count", file->id);
	e = pool_set_flags(fd, file);
	return e < 0 ? fail(e, "eventfd %u: set its flags", file->id) : take_fd(&fd);
}

const struct restore_kind restore_eventfd = {
	.open = eventfd_open,
};
