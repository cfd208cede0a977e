/* A descriptor of a memfd, restore half: a description of its own for the memory that shmem.c made. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/memfd.pb-c.h"
#include "restore/restore.h"
#include "restore/shmem.h"

static int memfd_check(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__Memfd *msg = (const Img__Memfd *)base;
	const Img__Shmem *m = shmem_record(r, msg->shmem);

	if (!m || !m->memfd)
		return fail(-EBADMSG, "file %u: there is no memfd %u", file->id, msg->shmem);
	return 0;
}

static int memfd_open(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__Memfd *msg = (const Img__Memfd *)base;
	int number = shmem_get(r, msg->shmem, true);
	auto_close int fd = -1;
	char path[32];

	if (number < 0)
		return number;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", number);
	fd = open(path, ((int)file->flags & ~(O_CREAT | O_EXCL | O_TRUNC)) | O_CLOEXEC);
	if (fd < 0)
		return fail(-errno, "file %u: open memfd %u again", file->id, msg->shmem);
	if (!(file->flags & O_PATH) && lseek(fd, (off_t)file->pos, SEEK_SET) < 0)
		return fail(-errno, "file %u: set its position", file->id);
	return take_fd(&fd);
}

const struct restore_kind restore_memfd = {
	.check = memfd_check,
	.open = memfd_open,
};
