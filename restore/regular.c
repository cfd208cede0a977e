/*
 * Files with a name, restore half: opened by path, and compared with what they
 * were (file_policy.c).
 *
 * O_TMPFILE of a file that was given a name later cannot be had again by
 * opening that name: the flag is left out. It has no meaning after open(2).
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/elf.h"
#include "lib/log.h"
#include "lib/marks.h"
#include "proto/regular.pb-c.h"
#include "restore/file_policy.h"
#include "restore/inode.h"
#include "restore/inode_kept.h"
#include "restore/restore.h"
#include "restore/sk_unix.h"

#define CREATION (O_CREAT | O_EXCL | O_TRUNC | O_NOCTTY | O_ASYNC)

static int regular_check(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__Regular *msg = (const Img__Regular *)base;

	if (msg->path[0] != '/')
		return fail(-EBADMSG, "file %u: path '%s' is not absolute", file->id, msg->path);
	if (!S_ISREG(msg->mode) && !(file->flags & O_PATH))
		return fail(-EBADMSG, "file %u: %s is not a regular file", file->id, msg->path);
	if (msg->build_id.len > ELF_BUILD_ID_MAX || (msg->inode && msg->content))
		return fail(-EBADMSG, "file %u: %s: is not what a dump would write", file->id,
		            msg->path);
	if (msg->content && S_ISREG(msg->mode))
		return inode_kept_check(r, msg->content, msg->path);
	return msg->inode ? inode_check(r, msg->inode, msg->mode, msg->path) : 0;
}

/* KEPT: the checkpoint has its content. */
static int missing(const char *path, bool kept)
{
	return fail(-ENOTSUP, "file %s: is gone since the dump; put it back%s", path,
	            kept ? ", or --file-policy=rollback does" : "");
}

/* If it is gone: with FILES_ROLLBACK it comes back. */
static int find(struct restore *r, const Img__Regular *msg, struct stat *ret)
{
	int at = S_ISLNK(msg->mode) ? AT_SYMLINK_NOFOLLOW : 0, e;
	const Img__Inode *kept;

	if (fstatat(AT_FDCWD, msg->path, ret, at) == 0)
		return 0;
	if (errno != ENOENT && errno != ENOTDIR)
		return fail(-errno, "file %s", msg->path);
	if (r->opt->file_policy == FILES_ROLLBACK) {
		e = inode_put_back(r, msg->path);
		if (e <= 0)
			return e < 0 ? e : missing(msg->path, false);
		return stat(msg->path, ret) < 0 ? fail(-errno, "file %s", msg->path) : 0;
	}
	e = inode_kept_at(r, msg->path, &kept);
	return e < 0 ? e : missing(msg->path, kept);
}

/* One that lives on under another name must be what it was. */
static int open_inode(struct restore *r, const Img__File *file, const Img__Regular *msg)
{
	int number = inode_get(r, msg->inode);
	struct stat st;
	int e;

	if (number < 0)
		return number;
	if (fstat(number, &st) < 0)
		return fail(-errno, "file %s: fstat", msg->path);
	e = st.st_nlink ? file_compare(r, file, msg, &st) : 0;
	return e < 0 ? e : inode_open(r, msg->inode, (int)file->flags);
}

static int open_failed(const char *path, int flags)
{
	int e = -errno;
	const char *why = e == -EPERM ? marks_forbid(AT_FDCWD, path, flags) : NULL;

	return why ? fail(e, "file %s: %s it", path, why) : fail(e, "file %s", path);
}

static int open_path(struct restore *r, const Img__File *file, const Img__Regular *msg)
{
	int flags = (int)file->flags & ~CREATION, fd;
	struct stat st;
	int e;

	if ((flags & O_TMPFILE) == O_TMPFILE)
		flags &= ~O_TMPFILE;
	/* Before the open(2): that of a fifo or a device in its place might wait or do harm. */
	e = find(r, msg, &st);
	if (e == 0)
		e = file_compare(r, file, msg, &st);
	if (e < 0)
		return e;
	fd = open(msg->path, flags | O_CLOEXEC);
	return fd < 0 ? open_failed(msg->path, flags) : fd;
}

static int regular_open(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__Regular *msg = (const Img__Regular *)base;
	auto_close int fd = msg->inode ? open_inode(r, file, msg) : open_path(r, file, msg);

	if (fd < 0)
		return fd;
	if (file->pos && !(file->flags & O_PATH) && lseek(fd, (off_t)file->pos, SEEK_SET) < 0)
		return fail(-errno, "file %s: seek to %" PRIu64, msg->path, file->pos);
	return take_fd(&fd);
}

/* One of a cgroup, which is made when the processes exist; the file of a socket of the tree, which is bound by then? */
static bool regular_late(const struct restore *r, const ProtobufCMessage *base)
{
	const Img__Regular *msg = (const Img__Regular *)base;

	return !msg->inode && ((msg->kernel && access(msg->path, F_OK) < 0) ||
	                       (S_ISSOCK(msg->mode) && unix_makes_file(r, msg->path)));
}

const struct restore_kind restore_regular = {
	.check = regular_check,
	.late = regular_late,
	.open = regular_open,
	.done = inode_kept_done,
};
