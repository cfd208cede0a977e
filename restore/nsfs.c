/* Namespaces, restore half: that of the tree is crtool's own. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "lib/log.h"
#include "proto/nsfs.pb-c.h"
#include "restore/restore.h"

static int nsfs_check(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	static const char *const types[] = {
		"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts",
	};
	const Img__Nsfs *msg = (const Img__Nsfs *)base;

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (!strcmp(types[i], msg->type))
			return 0;
	return fail(-EBADMSG, "file %u: there are no %s namespaces", file->id, msg->type);
}

static int nsfs_open(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__Nsfs *msg = (const Img__Nsfs *)base;
	char path[48];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/ns/%s", msg->type);
	fd = open(path, ((int)file->flags & (O_ACCMODE | O_PATH)) | O_CLOEXEC);
	return fd < 0 ? fail(-errno, "namespace %s", path) : fd;
}

const struct restore_kind restore_nsfs = {
	.check = nsfs_check,
	.open = nsfs_open,
};
