/* Character devices without any state, dump half: the memory devices of drivers/char/mem.c. */
#include <errno.h>
#include <fcntl.h>
#include <sys/sysmacros.h>

#include "dump/dump.h"
#include "lib/log.h"
#include "proto/chardev.pb-c.h"

#define MEM_MAJOR 1
enum { MEM_NULL = 3, MEM_ZERO = 5, MEM_FULL = 7, MEM_RANDOM = 8, MEM_URANDOM = 9 };

static bool chardev_owns(const struct file *f)
{
	if (!S_ISCHR(f->st.st_mode) || (f->flags & O_PATH) || major(f->st.st_rdev) != MEM_MAJOR)
		return false;
	switch (minor(f->st.st_rdev)) {
	case MEM_NULL:
	case MEM_ZERO:
	case MEM_FULL:
	case MEM_RANDOM:
	case MEM_URANDOM:
		return true;
	default:
		return false;
	}
}

static int chardev_check(struct dump *d, const struct file *f)
{
	struct stat st;

	if (stat(f->link, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == f->st.st_rdev)
		return 0;
	return fail(-ENOTSUP, "%s: the path leads to this device no more", file_name(f));
}

static int chardev_dump(struct dump *d, const struct file *f)
{
	Img__Chardev msg = IMG__CHARDEV__INIT;

	msg.path = f->link;
	msg.rdev = (uint32_t)f->st.st_rdev;
	return image_put(d->out, KIND_chardev, f->id, &msg.base);
}

const struct dump_kind dump_chardev = {
	.owns = chardev_owns,
	.check = chardev_check,
	.dump = chardev_dump,
};
