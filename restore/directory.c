/* Directories, restore half: opened by path, read on from where the dump found it. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/directory.pb-c.h"
#include "restore/inode.h"
#include "restore/restore.h"

static int compare(const struct restore *r, const Img__Directory *msg, int fd)
{
	struct stat st;

	if (msg->kernel || r->opt->file_policy == FILES_ANY || !pool_same_boot(r) || !msg->ino)
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

/* Flags as they were: one opened without O_DIRECTORY has none. What is no directory now may not even be opened. */
static int open_path(const char *path, int flags)
{
	struct stat st;
	int fd;

	if (stat(path, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	fd = open(path, (flags & ~O_ASYNC) | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int open_there(struct restore *r, const Img__File *file, const Img__Directory *msg)
{
	auto_close int fd = open_path(msg->path, (int)file->flags);
	int e;

	if (fd == -ENOENT || fd == -ENOTDIR)
		return fail(-ENOTSUP, "directory %s: is gone since the dump; put it back",
		            msg->path);
	if (fd < 0)
		return fail(fd, "directory %s", msg->path);
	e = compare(r, msg, fd);
	return e < 0 ? e : take_fd(&fd);
}

static int directory_open(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__Directory *msg = (const Img__Directory *)base;
	auto_close int fd =
		msg->inode ? inode_open(r, msg->inode, (int)file->flags) : open_there(r, file, msg);

	if (fd < 0)
		return fd;
	if (!file->pos || lseek(fd, (off_t)file->pos, SEEK_SET) >= 0)
		return take_fd(&fd);
	/* A place of it as it was when it had entries, for some file systems; now nothing can be read there. */
	if (!msg->inode || errno != EINVAL)
		return fail(-errno, "directory %s: seek to %" PRIu64, msg->path, file->pos);
	lose("directory %s: where it was read up to, as it is deleted", msg->path);
	return take_fd(&fd);
}

static int directory_check(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__Directory *msg = (const Img__Directory *)base;

	if (msg->path[0] != '/')
		return fail(-EBADMSG, "file %u: path '%s' is not absolute", file->id, msg->path);
	return msg->inode ? inode_check(r, msg->inode, S_IFDIR, msg->path) : 0;
}

/* One of a cgroup, which is made when the processes exist? */
static bool directory_late(const struct restore *r, const ProtobufCMessage *base)
{
	const Img__Directory *msg = (const Img__Directory *)base;

	return msg->kernel && access(msg->path, F_OK) < 0;
}

const struct restore_kind restore_directory = {
	.check = directory_check,
	.late = directory_late,
	.open = directory_open,
};
