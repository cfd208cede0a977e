/*
 * What is open with O_PATH and has no name, restore half: opened by way of /proc,
 * of the file that is made for somebody else, or of one that is closed again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/opath.pb-c.h"
#include "restore/restore.h"

static int opath_check(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__Opath *msg = (const Img__Opath *)base;
	const Img__File *of =
		msg->of ? (const Img__File *)images_one(r->images, KIND_file, msg->of) : NULL;

	if ((S_ISFIFO(msg->mode) || S_ISSOCK(msg->mode)) && file->flags & O_PATH &&
	    !(msg->mode & ~(uint32_t)(S_IFMT | 07777)) &&
	    (!msg->of || (of && !(of->flags & O_PATH))))
		return 0;
	return fail(-EBADMSG, "file %u: open with O_PATH: its type or reference is wrong",
	            file->id);
}

/* One that nobody else has. */
static int make_file(const Img__Opath *msg)
{
	int p[2];

	if (S_ISSOCK(msg->mode)) {
		p[0] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		return p[0] < 0 ? -errno : p[0];
	}
	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	close(p[1]);
	return p[0];
}

static int make_as_it_was(const Img__Opath *msg)
{
	auto_close int fd = make_file(msg);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return fd < 0 ? fd : -errno;
	if ((st.st_uid != msg->uid || st.st_gid != msg->gid) && fchown(fd, msg->uid, msg->gid) < 0)
		return -errno;
	if (st.st_mode != msg->mode && fchmod(fd, msg->mode & 07777) < 0)
		return -errno;
	return take_fd(&fd);
}

static int opath_open(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__Opath *msg = (const Img__Opath *)base;
	auto_close int made = msg->of ? -1 : make_as_it_was(msg);
	int of = msg->of ? pool_file(r, msg->of) : made, fd;
	char path[32];

	if (of < 0)
		return msg->of ? of : fail(of, "file %u: make what is open with O_PATH", file->id);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", of);
	fd = open(path, O_PATH | O_CLOEXEC);
	return fd < 0 ? fail(-errno, "file %u: open it with O_PATH", file->id) : fd;
}

const struct restore_kind restore_opath = {
	.check = opath_check,
	.open = opath_open,
};
