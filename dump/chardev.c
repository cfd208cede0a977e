/*
 * Character devices without any state, dump half: the memory devices of
 * drivers/char/mem.c, and those that have none as long as nothing was done with them.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include "dump/dump.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/chardev.pb-c.h"

static const struct {
	unsigned major, minor;
} devices[] = {
	{ 1, 3 },    /* null */
	{ 1, 5 },    /* zero */
	{ 1, 7 },    /* full */
	{ 1, 8 },    /* random */
	{ 1, 9 },    /* urandom */
	{ 1, 11 },   /* kmsg, to write: another room stands before */
	{ 10, 200 }, /* net/tun */
};

static bool chardev_owns(const struct file *f)
{
	if (!S_ISCHR(f->st.st_mode) || (f->flags & O_PATH))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++)
		if (f->st.st_rdev == makedev(devices[i].major, devices[i].minor))
			return true;
	return false;
}

/* A tun that has become an interface. */
static int tun_check(const struct file *f)
{
	auto_close int fd = file_steal(f);
	struct ifreq ifr = {};

	if (fd < 0)
		return fail(fd, "%s: pidfd_getfd", file_name(f));
	if (ioctl(fd, TUNGETIFF, &ifr) < 0)
		return 0;
	return fail(-ENOTSUP,
	            "%s: is the network interface %s: not supported by this version; "
	            "--on-unknown-fd=null or =close lets it go",
	            file_name(f), ifr.ifr_name);
}

static int chardev_check(struct dump *d, const struct file *f)
{
	struct stat st;

	if (stat(f->link, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == f->st.st_rdev)
		return st.st_rdev == makedev(10, 200) ? tun_check(f) : 0;
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
