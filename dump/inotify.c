/*
 * inotify, dump half. fdinfo shows each watch with the file handle of what is
 * watched, for which a path is found (fhandle.c), or somebody in the tree who has it open, deleted.
 *
 * Events that wait to be read cannot be looked at without taking them away: an
 * overflow event will stand for them, after which programs look for themselves.
 * What happens between dump and restore is not seen by anybody.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include "dump/dump.h"
#include "dump/fhandle.h"
#include "dump/inode.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/inotify.pb-c.h"

struct watch {
	uint32_t wd, mask, inode;
	struct fhandle handle;
	char *path;
};

struct watches {
	ARRAY(struct watch) all;
	struct fhandle_mount mount;
};

static void watches_done(struct watches *w)
{
	array_each (watch, &w->all)
		free(watch->path);
	array_done(&w->all);
	fhandle_done(&w->mount);
}

static bool inotify_owns(const struct file *f)
{
	return !strcmp(f->link, "anon_inode:inotify");
}

/* "inotify wd:2 ino:35d sdev:fe00000 mask:2 ignored_mask:0 fhandle-bytes:8 fhandle-type:1 f_handle:5d03000000000000" */
static int watch_parse(const char *text, struct watch *ret)
{
	char line[512];

	if (!line_cut(text, line, sizeof(line)) ||
	    sscanf(line, "inotify wd:%" SCNx32 " ino:%*x sdev:%*x mask:%" SCNx32, &ret->wd,
	           &ret->mask) != 2)
		return -EPROTO;
	return fhandle_parse(line, &ret->handle);
}

/* A file that the tree has open on what H names, or NULL. The kernel writes a device number in its own way. */
static const struct file *open_file(const struct dump *d, const struct fhandle *h)
{
	array_each (f, &d->files)
		if (f->fd >= 0 && f->policy == FD_CARRY && f->st.st_ino == h->ino &&
		    ((major(f->st.st_dev) << 20) | minor(f->st.st_dev)) == h->sdev &&
		    (S_ISREG(f->st.st_mode) || S_ISDIR(f->st.st_mode)) && f->st.st_nlink == 0)
			return f;
	return NULL;
}

/* What is deleted and still watched is open somewhere, or mapped: then it is made again by who has it open. */
static int find_open(struct dump *d, struct watch *watch)
{
	const struct file *f = open_file(d, &watch->handle);
	struct holding h;

	if (!f)
		return -ENOENT;
	h = file_holding(f);
	if (d->frozen)
		return inode_put(d, &h, &watch->path, &watch->inode);
	return inode_look(d, &h);
}

static int watches_read(struct dump *d, const struct file *f, struct watches *w)
{
	static const char key[] = "inotify wd:";

	w->mount.dump = d;
	w->mount.watcher = f;
	w->mount.tell = d->frozen;
	for (const char *line = strstr(f->fdinfo, key); line; line = strstr(line + 1, key)) {
		struct watch *watch = array_add(&w->all);
		int r = watch ? watch_parse(line, watch) : -ENOMEM;

		if (r < 0)
			return fail(r, "%s: read what it watches", file_name(f));
		r = fhandle_path(&w->mount, &watch->handle, &watch->path);
		if (r == -ENOENT)
			r = find_open(d, watch);
		if (r < 0 && log_failure())
			return r;
		if (r == -EPERM)
			return fail(
				-EPERM,
				"%s: what its watch %u is on can be found only by a handle, which "
				"needs CAP_DAC_READ_SEARCH",
				file_name(f), watch->wd);
		if (r < 0)
			return fail(-ENOTSUP,
			            "%s: watch %u is on inode %" PRIu64
			            ", which cannot be found by a path: not supported by this "
			            "version",
			            file_name(f), watch->wd, watch->handle.ino);
	}
	return 0;
}

static int inotify_check(struct dump *d, const struct file *f)
{
	auto_(watches_done) struct watches w = {};

	return watches_read(d, f, &w);
}

/* Do events wait to be read? */
static int look_queue(const struct file *f, Img__Inotify *msg)
{
	auto_close int fd = file_steal(f);
	int waiting = 0;

	if (fd < 0 || ioctl(fd, FIONREAD, &waiting) < 0)
		return fail(fd < 0 ? fd : -errno, "%s: ask whether events wait", file_name(f));
	msg->overflow = waiting;
	if (waiting)
		lose("%s: %d bytes of events that wait to be read; after a restore an overflow "
		     "event "
		     "(IN_Q_OVERFLOW) stands for them",
		     file_name(f), waiting);
	return 0;
}

/* The path leads to a symbolic link itself: that is what is watched, not where it leads. */
static uint32_t mask_of(const struct watch *w)
{
	struct stat st;

	return w->mask |
	       (!w->inode && lstat(w->path, &st) == 0 && S_ISLNK(st.st_mode) ? IN_DONT_FOLLOW : 0);
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
	int r = msgs && list ? look_queue(f, &msg) : -ENOMEM;

	if (r < 0)
		return r;
	if (w->all.n)
		qsort(w->all.v, w->all.n, sizeof(*w->all.v), watch_compare);
	for (size_t i = 0; i < w->all.n; i++) {
		img__inotify__watch__init(&msgs[i]);
		msgs[i].wd = w->all.v[i].wd;
		msgs[i].path = w->all.v[i].path;
		msgs[i].mask = mask_of(&w->all.v[i]);
		msgs[i].inode = w->all.v[i].inode;
		list[i] = &msgs[i];
	}
	msg.n_watch = w->all.n;
	msg.watch = list;
	return image_put(d->out, KIND_inotify, f->id, &msg.base);
}

static int inotify_dump(struct dump *d, const struct file *f)
{
	auto_(watches_done) struct watches w = {};
	int r = watches_read(d, f, &w);

	return r < 0 ? r : inotify_put(d, f, &w);
}

const struct dump_kind dump_inotify = {
	.needs_owner = true,
	.owns = inotify_owns,
	.check = inotify_check,
	.dump = inotify_dump,
};
