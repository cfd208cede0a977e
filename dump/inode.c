/*
 * What is deleted has no links left: nobody can find it but those that hold it,
 * so a copy is as good. Its path is kept, as /proc shows it, without " (deleted)".
 *
 * A file whose path is gone but which has other names must stay the same as
 * these: its handle finds it, on the same file system, as long as one name
 * remains. Where handles cannot be had (overlayfs), its other name is looked for in
 * the directory where it was. Nothing is changed in any file system.
 *
 * Where it was must be the mount that it is on: memory of the kernel has names
 * like paths, and what is on a mount that crtool does not see cannot be made again.
 */
#define _GNU_SOURCE
#include "dump/inode.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <search.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "dump/content.h"
#include "dump/stages.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/marks.h"
#include "proto/inode.pb-c.h"

#define DELETED   " (deleted)"
#define XATTR_MAX 65536

/* A node of d->inodes.tree. */
struct inode_node {
	uint64_t dev, ino;
	uint32_t id;
	bool kept; /* of a file that has its name */
};

struct holding file_holding(const struct file *f)
{
	return (struct holding){
		.task = f->task,
		.at = f->at,
		.link = f->link,
		.leads = f->leads,
		.name = file_name(f),
		.st = &f->st,
		.file = f->fd >= 0 && !(f->flags & O_PATH) ? f : NULL,
	};
}

/* ---- where it is, or was ---- */

/* The kernel gives a path without symbolic links; O_PATH|O_NOFOLLOW may be open on one. */
bool inode_leads_to(const char *path, const struct stat *st)
{
	struct stat now;

	return lstat(path, &now) == 0 && now.st_dev == st->st_dev && now.st_ino == st->st_ino;
}

/* The link without " (deleted)", in a fresh string. */
static char *former_path(const char *link)
{
	size_t len = strlen(link), tail = strlen(DELETED);

	if (len > tail && !strcmp(link + len - tail, DELETED))
		len -= tail;
	return strndup(link, len);
}

/* A path that leads to it. -ENOENT: there is none. */
static int find_path(const struct holding *h, char **ret)
{
	auto_free char *path = former_path(h->link);

	if (!path)
		return -ENOMEM;
	if (h->leads || inode_leads_to(h->link, h->st)) {
		free(path);
		path = strdup(h->link);
	} else if (!inode_leads_to(path, h->st)) {
		return -ENOENT;
	}
	*ret = take_ptr(path);
	return *ret ? 0 : -ENOMEM;
}

/* PATH or, if that is gone, the directory that is left of it: an O_PATH descriptor. */
static int open_left(const char *path)
{
	char dir[PATH_MAX];

	if (snprintf(dir, sizeof(dir), "%s", path) >= (int)sizeof(dir))
		return -ENAMETOOLONG;
	for (char *slash; (slash = strrchr(dir, '/'));) {
		int fd;

		slash[slash == dir] = '\0';
		fd = open(dir, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0 || slash == dir)
			return fd < 0 ? -errno : fd;
	}
	return -ENOENT;
}

/* One that a restore has made may be on a mount of its own (restore/inode_make.c). */
static bool same_system(int a, int b)
{
	struct statfs x, y;
	struct statx s, t;

	if (statx(a, "", AT_EMPTY_PATH, STATX_MNT_ID, &s) < 0 ||
	    statx(b, "", AT_EMPTY_PATH, STATX_MNT_ID, &t) < 0)
		return false;
	if (s.stx_mnt_id == t.stx_mnt_id)
		return true;
	if (fstatfs(a, &x) < 0 || fstatfs(b, &y) < 0 || x.f_type != y.f_type)
		return false;
	return (x.f_fsid.__val[0] || x.f_fsid.__val[1]) &&
	       !memcmp(&x.f_fsid, &y.f_fsid, sizeof(x.f_fsid));
}

/* LEFT of the directory where it was: could it be made there for a moment? */
static int check_place(const struct holding *h, int left)
{
	const char *why = h->st->st_nlink ? NULL : marks_forbid_names(left, "");
	char proc[32];
	auto_free char *dir = NULL;

	if (!why)
		return 0;
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", left);
	link_read(AT_FDCWD, proc, &dir);
	return fail(-ENOTSUP,
	            "%s: is deleted, and to make it again the directory where it was is needed, "
	            "which %s %s",
	            h->name, why, dir ? dir : "");
}

/* What another mount hides has a name: a directory above PATH that is on the file system of FD. */
static int open_above(int fd, const char *path)
{
	char dir[PATH_MAX];

	if (snprintf(dir, sizeof(dir), "%s", path) >= (int)sizeof(dir))
		return -ENAMETOOLONG;
	for (char *slash; (slash = strrchr(dir, '/')) && dir[1];) {
		auto_close int above = -1;

		slash[slash == dir] = '\0';
		above = open(dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (above >= 0 && same_system(fd, above))
			return take_fd(&above);
	}
	return -ENOENT;
}

static int same_mount(const struct holding *h, const char *path)
{
	auto_close int fd = openat(h->task->proc, h->at, O_PATH | O_CLOEXEC);
	auto_close int left = -1;

	if (fd < 0)
		return fail(-errno, "%s: open it by /proc", h->name);
	if (!strcmp(path, "/"))
		return fail(-ENOTSUP,
		            "%s: is the root of a mount that is attached nowhere, or not there "
		            "(open_tree, umount -l): not supported; let the program close it",
		            h->name);
	left = *path != '/' ? -ENOENT : h->st->st_nlink ? open_above(fd, path) : open_left(path);
	if (left >= 0 && same_system(fd, left))
		return check_place(h, left);
	return fail(
		-ENOTSUP,
		"%s: is deleted or hidden, and on a file system that crtool does not see at that "
		"path; let the program close it",
		h->name);
}

/* ---- by handle, or by another name ---- */

struct handle {
	struct file_handle head;
	unsigned char bytes[MAX_HANDLE_SZ];
};

static bool get_handle(const struct holding *h, struct handle *ret)
{
	int mount;

	ret->head.handle_bytes = MAX_HANDLE_SZ;
	return name_to_handle_at(h->task->proc, h->at, &ret->head, &mount, AT_SYMLINK_FOLLOW) == 0;
}

/* Another name in the directory where it was. */
static int find_sibling(const struct holding *h, char **ret)
{
	auto_free char *path = former_path(h->link);
	char *slash = path ? strrchr(path, '/') : NULL;
	auto_dir DIR *dir = NULL;
	struct dirent *de;

	if (!slash)
		return path ? -ENOENT : -ENOMEM;
	slash[1] = '\0';
	dir = opendir(path);
	if (!dir)
		return -ENOENT;
	while ((de = readdir(dir))) {
		struct stat st;

		if (de->d_ino != h->st->st_ino ||
		    fstatat(dirfd(dir), de->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    st.st_dev != h->st->st_dev || st.st_ino != h->st->st_ino)
			continue;
		return asprintf(ret, "%s%s", path, de->d_name) < 0 ? -ENOMEM : 0;
	}
	return -ENOENT;
}

static int refuse_hidden(const struct holding *h)
{
	return fail(-ENOTSUP,
	            "%s: the path leads to another file or none, it has other names that are not "
	            "known, and its file system gives no handle; put it back in its place",
	            h->name);
}

/* --ghost-limit: of what is deleted the content would come to the images. */
static int check_size(const struct dump *d, const struct holding *h)
{
	uint64_t size = (uint64_t)h->st->st_blocks * 512;

	if (h->st->st_nlink || !S_ISREG(h->st->st_mode) || !d->opt->ghost_limit ||
	    size <= d->opt->ghost_limit)
		return 0;
	return fail(-ENOTSUP,
	            "%s: is deleted, and its %" PRIu64 " KiB are more than --ghost-limit allows",
	            h->name, size / 1024);
}

int inode_look(struct dump *d, const struct holding *h)
{
	auto_free char *path = NULL, *former = NULL, *sibling = NULL;
	struct handle handle;
	int r = find_path(h, &path);

	if (r != -ENOENT)
		return r;
	former = former_path(h->link);
	r = former ? same_mount(h, former) : -ENOMEM;
	if (r == 0)
		r = check_size(d, h);
	if (r < 0 || !h->st->st_nlink || get_handle(h, &handle))
		return r;
	return find_sibling(h, &sibling) < 0 ? refuse_hidden(h) : 0;
}

/* ---- the record ---- */

static int inode_compare(const void *a, const void *b)
{
	const struct inode_node *x = a, *y = b;

	if (x->kept != y->kept)
		return x->kept ? 1 : -1;
	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	return x->dev < y->dev ? -1 : x->dev > y->dev;
}

static uint64_t ns(const struct timespec *ts)
{
	return (uint64_t)ts->tv_sec * 1000000000 + (uint64_t)ts->tv_nsec;
}

struct xattrs {
	char *names;
	ARRAY(char *) name;
	ARRAY(ProtobufCBinaryData) value;
};

static void xattrs_done(struct xattrs *x)
{
	array_each (v, &x->value)
		free(v->data);
	array_done(&x->name);
	array_done(&x->value);
	free(x->names);
}

static int xattr_add(struct xattrs *x, const char *path, char *name)
{
	char **slot = array_add(&x->name);
	ProtobufCBinaryData *value = array_add(&x->value);
	ssize_t n;

	if (!slot || !value)
		return -ENOMEM;
	*slot = name;
	value->data = malloc(XATTR_MAX);
	n = value->data ? getxattr(path, name, value->data, XATTR_MAX) : -1;
	if (n < 0)
		return value->data ? -errno : -ENOMEM;
	value->len = (size_t)n;
	return 0;
}

/* Those that a file system without any does not have. */
static int xattrs_read(const struct holding *h, struct xattrs *x)
{
	char path[80];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", h->task->proc, h->at);
	x->names = malloc(XATTR_MAX);
	if (!x->names)
		return -ENOMEM;
	n = listxattr(path, x->names, XATTR_MAX);
	if (n < 0)
		return errno == EOPNOTSUPP || errno == EPERM ? 0 : -errno;
	for (char *name = x->names; name < x->names + n; name += strlen(name) + 1) {
		int r = xattr_add(x, path, name);

		if (r == -ENODATA || r == -EOPNOTSUPP) /* made by the kernel as it is asked */
			x->name.n--, free(x->value.v[--x->value.n].data);
		else if (r < 0)
			return fail(r, "%s: read its attribute %s", h->name, name);
	}
	return 0;
}

static int link_target(const struct holding *h, char *buf, size_t size)
{
	auto_close int fd = openat(h->task->proc, h->at, O_PATH | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : readlinkat(fd, "", buf, size - 1);

	if (n < 0)
		return fail(-errno, "%s: read the deleted link", h->name);
	buf[n] = '\0';
	return 0;
}

/* What is kept of a file with a name is its content. */
static void put_marks(const struct holding *h, int fd, Img__Inode *msg)
{
	struct marks marks = marks_read(fd);

	if (msg->kept)
		return;
	msg->flags = marks.flags;
	msg->rw_hint = marks.rw_hint;
	if (marks.sealed)
		lose("%s: that it is immutable or append-only (chattr(1))", h->name);
}

static int put_content(struct dump *d, const struct holding *h, Img__Inode *msg)
{
	auto_(content_done) struct content content = {};
	auto_(source_done) struct source source = SOURCE_NONE;
	Img__Pages *list[] = { &content.msg };
	int r;

	if (S_ISREG(msg->mode)) {
		r = inode_open_content(d, h, &source);
		if (r < 0)
			return fail(r, "%s: open it to read its content", h->name);
		put_marks(h, source.fd, msg);
	}
	if (S_ISREG(msg->mode) && msg->size) {
		r = pages_first(d);
		if (r == 0)
			r = content_copy(d->pages, &source, msg->size, h->name, &content);
		if (r < 0)
			return r;
		msg->n_content = content.start.n ? 1 : 0;
		msg->content = list;
	}
	return image_put(d->out, KIND_inode, msg->id, &msg->base);
}

/* All of the inode that stat and xattrs tell, then its content. */
static int put_whole(struct dump *d, const struct holding *h, Img__Inode *msg)
{
	auto_(xattrs_done) struct xattrs xattrs = {};
	char target[PATH_MAX];
	int r = xattrs_read(h, &xattrs);

	if (r == 0 && S_ISLNK(h->st->st_mode)) {
		r = link_target(h, target, sizeof(target));
		msg->target = target;
	}
	if (r < 0)
		return r;
	msg->n_xattr = xattrs.name.n, msg->xattr = xattrs.name.v;
	msg->n_xattr_value = xattrs.value.n, msg->xattr_value = xattrs.value.v;
	return put_content(d, h, msg);
}

static int put_record(struct dump *d, const struct holding *h, char *path, bool kept, uint32_t id)
{
	Img__Inode msg = IMG__INODE__INIT;
	const struct stat *st = h->st;
	struct handle handle;
	int r = kept ? 0 : check_size(d, h);

	if (r < 0)
		return r;
	msg.id = id;
	msg.path = path;
	msg.mode = st->st_mode;
	msg.dev = st->st_dev, msg.ino = st->st_ino;
	msg.kept = kept;
	if (st->st_nlink && !kept) {
		if (!get_handle(h, &handle))
			return refuse_hidden(h);
		msg.handle_type = handle.head.handle_type;
		msg.handle =
			(ProtobufCBinaryData){ handle.head.handle_bytes, handle.head.f_handle };
		return image_put(d->out, KIND_inode, id, &msg.base);
	}
	msg.uid = st->st_uid, msg.gid = st->st_gid;
	msg.size = S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0;
	msg.atime = ns(&st->st_atim), msg.mtime = ns(&st->st_mtim);
	msg.rdev = S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode) ? st->st_rdev : 0;
	inode_put_birth(d, h, &msg);
	return put_whole(d, h, &msg);
}

/* The id of its record, written now if there is none. */
static int record_of(struct dump *d, const struct holding *h, char *path, bool kept,
                     uint32_t *ret_id)
{
	struct inode_node *node = malloc(sizeof(*node)), **found;
	int r;

	if (!node)
		return -ENOMEM;
	*node = (struct inode_node){ h->st->st_dev, h->st->st_ino, 0, kept };
	found = tsearch(node, &d->inodes.tree, inode_compare);
	if (!found || *found != node)
		free(node);
	if (!found)
		return -ENOMEM;
	if (!(*found)->id) {
		(*found)->id = ++d->inodes.n;
		r = put_record(d, h, path, kept, (*found)->id);
		if (r < 0)
			return r;
	}
	*ret_id = (*found)->id;
	return 0;
}

int inode_put(struct dump *d, const struct holding *h, char **ret_path, uint32_t *ret_id)
{
	auto_free char *path = NULL;
	struct handle handle;
	int r = find_path(h, &path);

	*ret_id = 0;
	if (r == -ENOENT && h->st->st_nlink && !get_handle(h, &handle))
		r = find_sibling(h, &path);
	if (r == -ENOENT) {
		path = former_path(h->link);
		r = path ? same_mount(h, path) : -ENOMEM;
		if (r == 0)
			r = record_of(d, h, path, false, ret_id);
	}
	if (r < 0)
		return r;
	*ret_path = take_ptr(path);
	return 0;
}

int inode_keep(struct dump *d, const struct holding *h, char *path, uint32_t *ret_id)
{
	return record_of(d, h, path, true, ret_id);
}

void inodes_done(struct dump *d)
{
	tdestroy(d->inodes.tree, free);
	d->inodes = (struct inodes){};
}
