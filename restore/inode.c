/*
 * All of them are made at the first request, those below a deleted directory
 * after it, and only then the directories are removed. Then each is filled, and
 * gets its owner, mode and attributes: nobody can see it any more.
 *
 * What is kept is an O_PATH descriptor: it does not stand in the way of
 * running the file (ETXTBSY), and can be opened again in any way.
 */
#define _GNU_SOURCE
#include "restore/inode.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/marks.h"
#include "restore/content.h"
#include "restore/inode_fill.h"
#include "restore/inode_make.h"

#define CREATION  (O_CREAT | O_EXCL | O_TRUNC | O_NOCTTY | O_ASYNC | O_NOFOLLOW)
#define XATTR_MAX 65536

struct inode_slot {
	const Img__Inode *msg;
	int fd;   /* of ours, until it is filled */
	int born; /* as O_TMPFILE made it */
	int number;
};

struct inodes {
	size_t n;
	bool made;
	struct inode_slot *v;     /* by index of the record */
	struct inode_slot **path; /* by path */
};

const Img__Inode *inode_record(const struct restore *r, uint32_t id)
{
	return (const Img__Inode *)images_one(r->images, KIND_inode, id);
}

/* ---- check ---- */

static bool type_known(uint32_t mode)
{
	return S_ISREG(mode) || S_ISDIR(mode) || S_ISLNK(mode) || S_ISFIFO(mode) ||
	       S_ISSOCK(mode) || S_ISCHR(mode) || S_ISBLK(mode);
}

static bool path_sound(const char *path)
{
	const char *last = strrchr(path, '/');

	return *path == '/' && last[1] && strcmp(last, "/.") && strcmp(last, "/..") &&
	       strlen(path) < PATH_MAX - 16;
}

static bool birth_sound(const Img__Inode *msg)
{
	uint32_t access = msg->born & O_ACCMODE;

	if (msg->kept || msg->handle.len || !S_ISREG(msg->mode))
		return !msg->linkable && !msg->born;
	return !msg->born ||
	       ((msg->born & O_TMPFILE) == O_TMPFILE && (access == O_RDWR || access == O_WRONLY));
}

static bool sound(const Img__Inode *msg)
{
	const struct marks marks = { .flags = msg->flags, .rw_hint = msg->rw_hint };

	if (!marks_sound(&marks) || !birth_sound(msg))
		return false;
	if (!path_sound(msg->path) || !type_known(msg->mode) ||
	    msg->mode & ~(uint32_t)(S_IFMT | 07777))
		return false;
	if (msg->kept && (!S_ISREG(msg->mode) || msg->handle.len))
		return false;
	if (msg->size > INT64_MAX - 4096 || msg->n_xattr != msg->n_xattr_value)
		return false;
	for (size_t i = 0; i < msg->n_xattr; i++)
		if (!*msg->xattr[i] || strlen(msg->xattr[i]) > 255 ||
		    msg->xattr_value[i].len > XATTR_MAX)
			return false;
	if (msg->handle.len)
		return msg->handle.len <= MAX_HANDLE_SZ && !msg->n_content;
	if (!S_ISREG(msg->mode) && (msg->size || msg->n_content))
		return false;
	return S_ISLNK(msg->mode) ? *msg->target && strlen(msg->target) < PATH_MAX : !*msg->target;
}

/* KEPT: it has its name, and must not be made again. */
static int record_check(struct restore *r, uint32_t id, uint32_t mode, bool kept, const char *who)
{
	const Img__Inode *msg = inode_record(r, id);
	char what[64];

	if (!msg)
		return fail(-EBADMSG, "%s: there is no inode %u", who, id);
	if (!sound(msg))
		return fail(-EBADMSG, "inode %u: is not what a dump would write", id);
	if ((msg->mode & S_IFMT) != (mode & S_IFMT) || msg->kept != kept)
		return fail(-EBADMSG, "%s: inode %u is of another type", who, id);
	snprintf(what, sizeof(what), "inode %u", id);
	return content_check(r, msg->content, msg->n_content, (msg->size + 4095) & ~UINT64_C(4095),
	                     what);
}

int inode_check(struct restore *r, uint32_t id, uint32_t mode, const char *who)
{
	return record_check(r, id, mode, false, who);
}

int inode_kept_check(struct restore *r, uint32_t id, const char *who)
{
	return record_check(r, id, S_IFREG, true, who);
}

/* ---- by handle ---- */

/* A directory on the mount where it was. */
static int open_mount(const struct restore *r, const Img__Inode *msg)
{
	char dir[PATH_MAX];

	snprintf(dir, sizeof(dir), "%s", msg->path);
	for (char *slash; (slash = strrchr(dir, '/'));) {
		auto_close int fd = -1;
		struct stat st;

		slash[slash == dir] = '\0';
		fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0 && (!pool_same_boot(r) || !msg->dev ||
		                (fstat(fd, &st) == 0 && st.st_dev == msg->dev)))
			return take_fd(&fd);
		if (slash == dir)
			break;
		*slash = '\0';
	}
	return -ENOENT;
}

static int open_handle(const struct restore *r, const Img__Inode *msg)
{
	struct {
		struct file_handle head;
		unsigned char bytes[MAX_HANDLE_SZ];
	} handle;
	auto_close int mount = open_mount(r, msg);
	auto_close int fd = -1;
	struct stat st;

	handle.head.handle_bytes = (unsigned)msg->handle.len;
	handle.head.handle_type = msg->handle_type;
	memcpy(handle.head.f_handle, msg->handle.data, msg->handle.len);
	fd = mount < 0 ? mount : open_by_handle_at(mount, &handle.head, O_PATH | O_CLOEXEC);
	if (fd >= 0 && fstat(fd, &st) == 0 && (!msg->ino || st.st_ino == msg->ino) &&
	    (st.st_mode & S_IFMT) == (msg->mode & S_IFMT))
		return take_fd(&fd);
	if (fd < 0 && errno == EPERM)
		return fail(-EPERM,
		            "file %s: had lost this name before the dump; to find it by its "
		            "handle takes CAP_DAC_READ_SEARCH",
		            msg->path);
	return fail(
		-ENOTSUP,
		"file %s: had lost this name before the dump, and under its other names it is gone "
		"since",
		msg->path);
}

/* From our descriptor to the one in the pool. */
static int keep(struct restore *r, struct inode_slot *slot)
{
	auto_close int fd = take_fd(&slot->fd);
	int path_fd;
	char path[32];

	if (!S_ISREG(slot->msg->mode) || slot->msg->handle.len) {
		slot->number = pool_add(r, take_fd(&fd));
		return slot->number < 0 ? slot->number : 0;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	path_fd = open(path, O_PATH | O_CLOEXEC);
	if (path_fd < 0)
		return inode_fail(slot->msg, "open it again");
	slot->number = pool_add(r, path_fd);
	return slot->number < 0 ? slot->number : 0;
}

static int path_compare(const void *a, const void *b)
{
	const struct inode_slot *const *x = a, *const *y = b;

	return strcmp((*x)->msg->path, (*y)->msg->path);
}

/* Whatever it is made as, it is filled through a description that is read and written. */
static int make_one(struct scaffold *scaffold, struct inode_slot *slot)
{
	char path[32];

	slot->fd = inode_make(scaffold, slot->msg);
	if (slot->fd < 0 || !inode_is_nameless(slot->msg))
		return slot->fd;
	slot->born = take_fd(&slot->fd);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", slot->born);
	slot->fd = open(path, O_RDWR | O_CLOEXEC);
	return slot->fd < 0 ? inode_fail(slot->msg, "open it again") : 0;
}

static int make_each(struct restore *r)
{
	struct scaffold scaffold = { .r = r, .noted = -1 };
	int e = 0, removed;

	for (size_t i = 0; e >= 0 && i < r->inodes->n; i++) {
		struct inode_slot *slot = r->inodes->path[i];

		if (slot->msg->kept)
			continue;
		e = slot->msg->handle.len ? slot->fd = open_handle(r, slot->msg)
		                          : make_one(&scaffold, slot);
	}
	removed = scaffold_remove(&scaffold, e < 0);
	return e < 0 ? e : removed;
}

static int make_all(struct restore *r)
{
	int e = make_each(r);

	for (size_t i = 0; e == 0 && i < r->inodes->n; i++) {
		struct inode_slot *slot = &r->inodes->v[i];

		if (slot->msg->kept)
			continue;
		if (!slot->msg->handle.len) {
			e = inode_fill(r, slot->msg, slot->fd);
			if (e == 0)
				e = inode_settle(slot->msg, slot->fd);
		}
		if (e == 0)
			e = keep(r, slot);
	}
	return e;
}

static int slots_list(struct restore *r)
{
	size_t n;
	const struct record *rec = images_kind(r->images, KIND_inode, &n);
	struct inodes *all = r->inodes = calloc(1, sizeof(*all));

	if (!all)
		return -ENOMEM;
	all->v = calloc(n + 1, sizeof(*all->v));
	all->path = calloc(n + 1, sizeof(struct inode_slot *));
	if (!all->v || !all->path)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const Img__Inode *msg = (const Img__Inode *)rec[i].msg;
		int e = record_check(r, msg->id, msg->mode, msg->kept, msg->path);

		if (e < 0)
			return e;
		all->v[i] = (struct inode_slot){ msg, -1, -1, -1 };
		all->path[i] = &all->v[i];
		all->n++;
	}
	qsort(all->path, n, sizeof(struct inode_slot *), path_compare);
	return 0;
}

static struct inode_slot *slot_of(struct restore *r, uint32_t id)
{
	size_t n;
	const struct record *all = images_kind(r->images, KIND_inode, &n);
	const struct record *own = images_find(r->images, KIND_inode, id, &n);

	return n ? &r->inodes->v[own - all] : NULL;
}

/* The first of them by path that is not before PATH. */
static size_t slots_from(const struct inodes *all, const char *path)
{
	size_t low = 0, high = all->n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (strcmp(all->path[mid]->msg->path, path) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

int inode_kept_at(struct restore *r, const char *path, const Img__Inode **ret)
{
	int e = r->inodes ? 0 : slots_list(r);

	*ret = NULL;
	for (size_t i = e < 0 ? 0 : slots_from(r->inodes, path);
	     e == 0 && i < r->inodes->n && !strcmp(r->inodes->path[i]->msg->path, path); i++)
		if (r->inodes->path[i]->msg->kept)
			*ret = r->inodes->path[i]->msg;
	return e;
}

int inode_get(struct restore *r, uint32_t id)
{
	struct inode_slot *slot;
	int e = r->inodes ? 0 : slots_list(r);

	if (e == 0 && !r->inodes->made)
		e = make_all(r);
	if (e < 0)
		return e;
	r->inodes->made = true;
	slot = slot_of(r, id);
	return slot && slot->number >= 0 ? slot->number
	                                 : fail(-EBADMSG, "there is no inode %u", id);
}

/* The very description that O_TMPFILE made, once: opened again it loses that flag. */
static int take_born(struct restore *r, uint32_t id, int flags)
{
	struct inode_slot *slot = slot_of(r, id);

	if (!slot || slot->born < 0 ||
	    (fcntl(slot->born, F_GETFL) ^ flags) & (O_TMPFILE | O_ACCMODE | O_SYNC | O_DSYNC))
		return -1;
	if (fcntl(slot->born, F_SETFL, flags & (O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME)) < 0)
		return -1;
	return take_fd(&slot->born);
}

/* PATH leads there. */
static int open_failed(const char *name, const char *path, int flags)
{
	int e = -errno;
	const char *why = e == -EPERM ? marks_forbid(AT_FDCWD, path, flags) : NULL;

	return why ? fail(e, "file %s: open it again: %s what it is now", name, why)
	           : fail(e, "file %s: open it again", name);
}

/* The file FD, consumed, once more with FLAGS, as no link in /proc leads there; where that cannot be, FD. */
static int open_by_own_handle(int fd, int flags)
{
	struct {
		struct file_handle head;
		unsigned char bytes[MAX_HANDLE_SZ];
	} handle = { .head.handle_bytes = MAX_HANDLE_SZ };
	int mount, again;

	if (fd < 0 || name_to_handle_at(fd, "", &handle.head, &mount, AT_EMPTY_PATH) < 0)
		return fd;
	again = open_by_handle_at(fd, &handle.head, flags);
	if (again >= 0)
		close(fd);
	return again >= 0 ? again : fd;
}

/*
 * O_NOFOLLOW, as shm_open(3) gives, would stop at the link in /proc: one with O_PATH is shared with the pool,
 * which makes no difference; where others cannot be had by handle the flag is left out; it has no meaning after
 * open(2).
 */
int inode_open(struct restore *r, uint32_t id, int flags)
{
	int number = inode_get(r, id), fd;
	char path[32];

	if (number < 0)
		return number;
	fd = take_born(r, id, flags);
	if (fd >= 0)
		return fd;
	if ((flags & O_TMPFILE) == O_TMPFILE)
		flags &= ~O_TMPFILE;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", number);
	if (flags & O_PATH && flags & O_NOFOLLOW && !S_ISREG(inode_record(r, id)->mode))
		fd = fcntl(number, F_DUPFD_CLOEXEC, 0);
	else
		fd = open(path, (flags & ~CREATION) | O_CLOEXEC);
	if (flags & O_NOFOLLOW && !(flags & O_PATH))
		fd = open_by_own_handle(fd, (flags & ~CREATION) | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? open_failed(inode_record(r, id)->path, path, flags) : fd;
}

int inode_times(struct restore *r)
{
	for (size_t i = 0; r->inodes && i < r->inodes->n; i++) {
		const Img__Inode *msg = r->inodes->v[i].msg;
		const struct timespec times[] = { inode_time(msg->atime), inode_time(msg->mtime) };
		char path[32];

		if (msg->kept || msg->handle.len || S_ISLNK(msg->mode))
			continue;
		snprintf(path, sizeof(path), "/proc/self/fd/%d", r->inodes->v[i].number);
		if (utimensat(AT_FDCWD, path, times, 0) < 0)
			return inode_fail(msg, "set its times");
	}
	return 0;
}

void inode_done(struct restore *r)
{
	if (!r->inodes)
		return;
	for (size_t i = 0; i < r->inodes->n; i++) {
		closep(&r->inodes->v[i].fd);
		closep(&r->inodes->v[i].born);
	}
	free(r->inodes->v);
	free(r->inodes->path);
	free(r->inodes);
	r->inodes = NULL;
}
