/*
 * Files with a name, dump half: regular files, and whatever is open with
 * O_PATH. Their content stays where it is; the path must still lead to them.
 *
 * What the kernel shows as the path is the way from crtool's root, with
 * " (deleted)" behind it when it leads there no more. A file may also have been
 * replaced, or bear that suffix in its name: the path is tried.
 *
 * Files of /proc and /sys are made by the kernel as they are read: they come back
 * at the same offset, with what they say then. Those of a process are of another
 * room (procfs.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "dump/dump.h"
#include "lib/log.h"
#include "proto/regular.pb-c.h"

static bool is_memfd(const struct file *f)
{
	return f->st.st_nlink == 0 && !strncmp(f->link, "/memfd:", 7);
}

static bool regular_owns(const struct file *f)
{
	if (f->flags & O_PATH)
		return f->link[0] == '/';
	return S_ISREG(f->st.st_mode) && !is_memfd(f);
}

static bool begins(const char *text, const char *with)
{
	return !strncmp(text, with, strlen(with));
}

static bool is_kernel(const struct file *f)
{
	struct stat st;

	if (begins(f->link, "/proc/"))
		return stat("/proc", &st) == 0 && st.st_dev == f->st.st_dev;
	if (begins(f->link, "/sys/"))
		return stat("/sys", &st) == 0 && st.st_dev == f->st.st_dev;
	return false;
}

static int regular_check(struct dump *d, const struct file *f)
{
	struct stat st;

	if (f->link[0] != '/')
		return fail(-ENOTSUP, "%s: is not reachable from the root directory", file_name(f));
	/* The kernel gives a path without symbolic links; O_PATH|O_NOFOLLOW may be open on one. */
	if (lstat(f->link, &st) == 0 && st.st_dev == f->st.st_dev && st.st_ino == f->st.st_ino)
		return 0;
	if (f->st.st_nlink == 0)
		return fail(-ENOTSUP,
		            "%s: not supported by this version; give it a name again, or let the "
		            "program reopen it",
		            file_name(f));
	return fail(-ENOTSUP,
	            "%s: the path leads to another file or none (renamed or replaced): not "
	            "supported by this version; put the file back in its place, or let the program "
	            "reopen it",
	            file_name(f));
}

static int regular_dump(struct dump *d, const struct file *f)
{
	Img__Regular msg = IMG__REGULAR__INIT;

	msg.path = f->link;
	msg.mode = f->st.st_mode;
	msg.size = (uint64_t)f->st.st_size;
	msg.mtime = (uint64_t)f->st.st_mtim.tv_sec * 1000000000 + (uint64_t)f->st.st_mtim.tv_nsec;
	msg.dev = f->st.st_dev;
	msg.ino = f->st.st_ino;
	msg.kernel = is_kernel(f);
	return image_put(d->out, KIND_regular, f->id, &msg.base);
}

const struct dump_kind dump_regular = {
	.owns = regular_owns,
	.check = regular_check,
	.dump = regular_dump,
};
