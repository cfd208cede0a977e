/* Directories, restore half: opened by path, read on from where the dump found it. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/directory.pb-c.h"
#include "restore/restore.h"

static int compare(const struct restore *r, const Img__Directory *msg, int fd)
{
	struct stat st;

	if (msg->kernel || r->opt->file_policy == FILES_ANY || !pool_same_boot(r))
		return 0;
	if (fstat(fd, &st) < 0)
		return fail(-errno, "directory %s: fstat", msg->path);
	if (st.st_dev == msg->dev && st.st_ino == msg->ino)
		return 0;
	return fail(-ENOTSUP,
	            "directory %s: was replaced by another since the dump; put it back, or "
	            "--file-policy=any accepts that",
	            msg->path);
}

static int directory_open(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__Directory *msg = (const Img__Directory *)base;
	auto_close int fd =
		open(msg->path, ((int)file->flags & ~O_ASYNC) | O_DIRECTORY | O_CLOEXEC);
	int e;

	if (fd < 0)
		return errno == ENOENT
		               ? fail(-ENOTSUP, "directory %s: is gone since the dump; put it back",
		                      msg->path)
		               : fail(-errno, "directory %s", msg->path);
	e = compare(r, msg, fd);
	if (e < 0)
		return e;
	if (file->pos && lseek(fd, (off_t)file->pos, SEEK_SET) < 0)
		return fail(-errno, "directory %s: seek to %" PRIu64, msg->path, file->pos);
	return take_fd(&fd);
}

const struct restore_kind restore_directory = {
	.open = directory_open,
};
