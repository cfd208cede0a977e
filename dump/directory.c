/*
 * Directories, dump half: a path (or, if it is deleted, see inode.c) and a read position, which is a cookie that
 * the file system made and understands after a restart, too. Entries may come
 * and go meanwhile, as they may between any two reads.
 */
#include <errno.h>
#include <fcntl.h>

#include "dump/dump.h"
#include "dump/inode.h"
#include "dump/kernfs.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/directory.pb-c.h"

static bool directory_owns(const struct file *f)
{
	return S_ISDIR(f->st.st_mode) && !(f->flags & O_PATH);
}

/* dnotify, the only thing that gives a directory an owner: what it waits for, nobody is told. */
static int check_notify(const struct file *f)
{
	auto_close int fd = file_steal(f);
	struct f_owner_ex owner;

	if (fd < 0 || fcntl(fd, F_GETOWN_EX, &owner) < 0)
		return fail(fd < 0 ? fd : -errno, "%s: who is notified of it", file_name(f));
	if (!owner.pid)
		return 0;
	return fail(
		-ENOTSUP,
		"%s: notifications were asked for (F_NOTIFY, dnotify), of which the kernel does "
		"not tell: not supported; --on-unknown-fd=null or =close lets it go",
		file_name(f));
}

static int directory_check(struct dump *d, const struct file *f)
{
	struct holding h = file_holding(f);
	int r = f->fd >= 0 ? check_notify(f) : 0;

	return r < 0 ? r : inode_look(d, &h);
}

static int directory_dump(struct dump *d, const struct file *f)
{
	Img__Directory msg = IMG__DIRECTORY__INIT;
	struct holding h = file_holding(f);
	auto_free char *path = NULL;
	int r = inode_put(d, &h, &path, &msg.inode);

	if (r < 0)
		return r;
	msg.path = path;
	msg.dev = f->st.st_dev;
	msg.ino = f->st.st_ino;
	msg.kernel = file_is_kernel(f);
	return image_put(d->out, KIND_directory, f->id, &msg.base);
}

const struct dump_kind dump_directory = {
	.owns = directory_owns,
	.check = directory_check,
	.dump = directory_dump,
};
