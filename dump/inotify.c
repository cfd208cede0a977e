/*
 * inotify, dump half. fdinfo shows each watch with the file handle of what is
 * watched; a handle is opened on any mount of its file system, which tells a
 * path, and the path must lead to the same inode.
 *
 * Events that wait to be read cannot be looked at without taking them away: they
 * are refused, as are handles that cannot be opened (/proc, overlayfs). What
 * happens between dump and restore is not seen by anybody.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include "dump/dump.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "proto/inotify.pb-c.h"

#define KERNEL_MINORBITS 20 /* the kernel writes a device number in its own way (MKDEV) */

struct handle {
	struct file_handle head;
	unsigned char bytes[MAX_HANDLE_SZ];
};

/* "inotify wd:2 ino:35d sdev:fe00000 mask:2 ignored_mask:0 fhandle-bytes:8 fhandle-type:1 f_handle:5d03000000000000" */
struct watch {
	uint32_t wd, mask, sdev;
	uint64_t ino;
	struct handle handle;
	char *path;
};

struct watches {
	ARRAY(struct watch) all;
	int mount; /* on the file system of the watch before, if mounted */
	uint32_t sdev;
	bool mounted;
};

static void watches_done(struct watches *w)
{
	array_each (watch, &w->all)
		free(watch->path);
	array_done(&w->all);
	if (w->mounted)
		close(w->mount);
	w->mounted = false;
}

static bool inotify_owns(const struct file *f)
{
	return !strcmp(f->link, "anon_inode:inotify");
}

static int watch_parse(const char *line, struct watch *ret)
{
	unsigned bytes;
	int type, at = 0;

	if (sscanf(line,
	           "inotify wd:%" SCNx32 " ino:%" SCNx64 " sdev:%" SCNx32 " mask:%" SCNx32
	           " ignored_mask:%*x fhandle-bytes:%x fhandle-type:%x f_handle:%n",
	           &ret->wd, &ret->ino, &ret->sdev, &ret->mask, &bytes, (unsigned *)&type,
	           &at) != 6 ||
	    !at || bytes > sizeof(ret->handle.bytes))
		return -EPROTO;
	ret->handle.head.handle_bytes = bytes;
	ret->handle.head.handle_type = type;
	for (unsigned i = 0; i < bytes; i++)
		if (sscanf(line + at + 2 * i, "%2hhx", &ret->handle.bytes[i]) != 1)
			return -EPROTO;
	return 0;
}

/* A descriptor on any mount of the file system SDEV; -ENOENT: there is none. */
static int mount_open(uint32_t sdev)
{
	auto_free char *text = NULL;
	ssize_t len = file_read(AT_FDCWD, "/proc/self/mountinfo", &text);
	char *line = text, *save = NULL;

	if (len < 0)
		return (int)len;
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		unsigned a, b;
		char path[4096];
		int fd;

		/* "36 35 98:0 /mnt1 /mnt2 ...", proc(5); a path with blanks has \040 and is passed over */
		if (sscanf(line, "%*d %*d %u:%u %*s %4095s", &a, &b, path) != 3 ||
		    a != sdev >> KERNEL_MINORBITS || b != (sdev & ((1u << KERNEL_MINORBITS) - 1)))
			continue;
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		if (fd >= 0)
			return fd;
	}
	return -ENOENT;
}

/* Watches come in runs of one file system. */
static int watches_mount(struct watches *all, uint32_t sdev)
{
	int fd;

	if (all->mounted && all->sdev == sdev)
		return all->mount;
	fd = mount_open(sdev);
	if (fd < 0)
		return fd;
	if (all->mounted)
		close(all->mount);
	all->mounted = true;
	all->mount = fd;
	all->sdev = sdev;
	return fd;
}

static int watch_find_path(struct watches *all, struct watch *w)
{
	int mount = watches_mount(all, w->sdev);
	auto_close int fd = -1;
	char self[32];
	struct stat st;
	int r;

	if (mount < 0)
		return mount;
	fd = open_by_handle_at(mount, &w->handle.head, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	r = link_read(AT_FDCWD, self, &w->path);
	if (r < 0)
		return r;
	return lstat(w->path, &st) == 0 && st.st_ino == w->ino ? 0 : -ENOENT;
}

static int watches_read(const struct file *f, struct watches *w)
{
	static const char key[] = "inotify wd:";

	for (const char *line = strstr(f->fdinfo, key); line; line = strstr(line + 1, key)) {
		struct watch *watch = array_add(&w->all);
		int r = watch ? watch_parse(line, watch) : -ENOMEM;

		if (r < 0)
			return fail(r, "%s: read what it watches", file_name(f));
		r = watch_find_path(w, watch);
		if (r < 0)
			return fail(-ENOTSUP,
			            "%s: watch %u is on inode %" PRIu64
			            ", which cannot be found by a path: not supported by this "
			            "version",
			            file_name(f), watch->wd, watch->ino);
	}
	return 0;
}

static int inotify_check(struct dump *d, const struct file *f)
{
	auto_(watches_done) struct watches w = {};
	auto_close int fd = file_steal(f);
	int waiting = 0;

	if (fd < 0 || ioctl(fd, FIONREAD, &waiting) < 0)
		return fail(fd < 0 ? fd : -errno, "%s: ask whether events wait", file_name(f));
	if (waiting)
		return fail(-ENOTSUP,
		            "%s: events wait to be read: not supported by this version; try again "
		            "when the program has read them",
		            file_name(f));
	return watches_read(f, &w);
}

static int watch_compare(const void *a, const void *b)
{
	const struct watch *x = a, *y = b;

	return x->wd < y->wd ? -1 : x->wd > y->wd;
}

static int inotify_put(struct dump *d, const struct file *f, struct watches *w)
{
	auto_free Img__Inotify__Watch *msgs = calloc(w->all.n + 1, sizeof(*msgs));
	auto_free Img__Inotify__Watch **list = calloc(w->all.n + 1, sizeof(*list));
	Img__Inotify msg = IMG__INOTIFY__INIT;

	if (!msgs || !list)
		return -ENOMEM;
	if (w->all.n)
		qsort(w->all.v, w->all.n, sizeof(*w->all.v), watch_compare);
	for (size_t i = 0; i < w->all.n; i++) {
		img__inotify__watch__init(&msgs[i]);
		msgs[i].wd = w->all.v[i].wd;
		msgs[i].path = w->all.v[i].path;
		msgs[i].mask = w->all.v[i].mask;
		list[i] = &msgs[i];
	}
	msg.n_watch = w->all.n;
	msg.watch = list;
	return image_put(d->out, KIND_inotify, f->id, &msg.base);
}

static int inotify_dump(struct dump *d, const struct file *f)
{
	auto_(watches_done) struct watches w = {};
	int r = watches_read(f, &w);

	return r < 0 ? r : inotify_put(d, f, &w);
}

const struct dump_kind dump_inotify = {
	.owns = inotify_owns,
	.check = inotify_check,
	.dump = inotify_dump,
};
