/*
 * The kernel shows a deleted file under the name that it had last, so it is made
 * under its own name when that is free, and removed at once. Is the name taken
 * (a new version of a program or library, what is no directory any more), a directory of ours beside it
 * takes the path from the root on, and is opened as a mount of its own that is attached
 * nowhere: in that, the path is the old one. Who may not do that sees the name
 * below the directory of ours.
 *
 * Should crtool be killed between two of these calls, what is there then is taken away (leftover.h).
 */
#define _GNU_SOURCE
#include "restore/inode_make.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/marks.h"
#include "restore/leftover.h"

static int scaffold_note(struct scaffold *s, const char *path)
{
	char **slot = array_add(&s->dirs);

	if (slot)
		*slot = strdup(path);
	if (slot && *slot)
		return 0;
	if (slot)
		s->dirs.n--;
	rmdir(path);
	return -ENOMEM;
}

/* Somebody may have put something into it. */
static int dir_remove(const char *path)
{
	if (rmdir(path) == 0)
		return 0;
	if (error_passes(-errno))
		return fail(-errno, "directory %s: remove it again", path);
	warn("directory %s: %m, it stays behind", path);
	return 0;
}

int scaffold_remove(struct scaffold *s, bool failed)
{
	int r = 0;

	for (size_t i = s->dirs.n; i > 0; i--) {
		if (r == 0 && !failed)
			r = dir_remove(s->dirs.v[i - 1]);
		free(s->dirs.v[i - 1]);
	}
	array_done(&s->dirs);
	if (s->noted >= 0 && r == 0 && !failed)
		leftover_forget(s->r, s->noted);
	return r;
}

/* A directory that goes with the scaffold. */
static int dir_make(struct scaffold *s, const char *path)
{
	int place = leftover_expect(s->r, LEFT_DIR, path, 0), r;

	if (place < 0)
		return place;
	r = mkdir(path, 0700) < 0 ? -errno : scaffold_note(s, path);
	if (r < 0)
		leftover_forget(s->r, place);
	else if (s->noted < 0)
		s->noted = place;
	return r;
}

/* The directories above PATH that are missing; FROM: the first slash that may be the end of one. */
static int make_parents(struct scaffold *s, const char *path, size_t from)
{
	char dir[PATH_MAX];
	int r;

	if (snprintf(dir, sizeof(dir), "%s", path) >= (int)sizeof(dir))
		return -ENAMETOOLONG;
	for (char *slash = dir + from; (slash = strchr(slash + 1, '/'));) {
		*slash = '\0';
		r = access(dir, F_OK) == 0 ? 0 : dir_make(s, dir);
		if (r < 0 && r != -EEXIST)
			return r;
		*slash = '/';
	}
	return 0;
}

/* Make it as PATH below DIR, which no one may have; it keeps that name. A descriptor, or -errno. */
static int make_at(int dir, const char *path, const Img__Inode *msg)
{
	mode_t type = msg->mode & S_IFMT;
	int flags = O_PATH | O_NOFOLLOW | O_CLOEXEC, fd;

	if (S_ISREG(type)) {
		fd = openat(dir, path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		return fd < 0 ? -errno : fd;
	}
	if (S_ISDIR(type)   ? mkdirat(dir, path, 0700) < 0
	    : S_ISLNK(type) ? symlinkat(msg->target, dir, path) < 0
	                    : mknodat(dir, path, type | 0600, (dev_t)msg->rdev) < 0)
		return -errno;
	fd = openat(dir, path, flags);
	if (fd < 0)
		fd = -errno;
	return fd;
}

/* How much of PATH is the directory that it is in, with the slash; or, if no directory is there, the one above. */
static int dir_length(const char *path)
{
	int len = (int)(strrchr(path, '/') - path + 1);
	char dir[PATH_MAX];
	struct stat st;

	while (len > 1) {
		snprintf(dir, sizeof(dir), "%.*s", len, path);
		if (stat(dir, &st) == 0)
			break;
		for (len--; len > 1 && path[len - 1] != '/';)
			len--;
	}
	return len;
}

/* O_TMPFILE: it never had a name, and may still be given one, or not. */
static int make_nameless(const Img__Inode *msg)
{
	int flags = msg->born ? (int)msg->born & (O_ACCMODE | O_SYNC | O_DSYNC) : O_RDWR, fd;
	char dir[PATH_MAX];

	snprintf(dir, sizeof(dir), "%.*s", dir_length(msg->path), msg->path);
	fd = open(dir, flags | O_TMPFILE | (msg->linkable ? 0 : O_EXCL) | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : fd;
}

/* The same, seen at WHOLE, and without its name when it comes back; a directory goes with the scaffold. */
static int make_noted(struct scaffold *s, int dir, const char *path, const char *whole,
                      const Img__Inode *msg)
{
	bool is_dir = S_ISDIR(msg->mode);
	int place = leftover_expect(s->r, is_dir ? LEFT_DIR : LEFT_NAME, whole, 0), r;
	auto_close int fd = place < 0 ? place : make_at(dir, path, msg);

	if (place < 0)
		return place;
	if (is_dir && fd != -EEXIST && (fd >= 0 || access(whole, F_OK) == 0)) {
		r = scaffold_note(s, whole);
		s->noted = s->noted < 0 ? place : s->noted;
		return r < 0 ? r : take_fd(&fd);
	}
	if (fd >= 0 && unlink(whole) < 0)
		return -errno;
	if (fd >= 0 || fd == -EEXIST || fd == -ENOTDIR)
		leftover_forget(s->r, place);
	return take_fd(&fd);
}

/* A mount of DIR that is attached nowhere, or DIR itself where that is not allowed. */
static int detached(const char *dir)
{
	int fd = (int)syscall(SYS_open_tree, AT_FDCWD, dir, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (fd < 0)
		fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* A new one beside PATH, in OURS. */
static int dir_make_aside(struct scaffold *s, const char *path, char ours[static PATH_MAX])
{
	int len = dir_length(path), r = -EEXIST;

	for (int i = 0; r == -EEXIST && i < 100; i++) {
		uint32_t number;

		if (getrandom(&number, sizeof(number), 0) != sizeof(number))
			return -EIO;
		if (snprintf(ours, PATH_MAX, "%.*s.crtool-%08x", len, path, number) >= PATH_MAX)
			return -ENAMETOOLONG;
		r = dir_make(s, ours);
	}
	return r;
}

/* The name is taken, or that of a directory above it: in a directory of ours beside it, OURS/the/whole/path. */
static int make_aside(struct scaffold *s, const char *path, const Img__Inode *msg)
{
	auto_close int root = -1, fd = -1;
	char ours[PATH_MAX], whole[2 * PATH_MAX];
	int r;

	r = dir_make_aside(s, path, ours);
	if (r < 0)
		return r;
	snprintf(whole, sizeof(whole), "%s%s", ours, path);
	r = make_parents(s, whole, strlen(ours));
	if (r < 0)
		return r;
	root = detached(ours);
	fd = root < 0 ? root : make_noted(s, root, path + 1, whole, msg);
	return take_fd(&fd);
}

/* What cannot be removed again must not be made. */
static int check_place(const char *path)
{
	char dir[PATH_MAX];
	const char *why;

	snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(path, '/') - path + 1), path);
	why = marks_forbid_names(AT_FDCWD, dir);
	return why ? fail(-EPERM, "deleted file %s: cannot be made again, as its directory %s %s",
	                  path, why, dir)
	           : 0;
}

int inode_make(struct scaffold *s, const Img__Inode *msg)
{
	int r = check_place(msg->path), fd;

	if (r < 0)
		return r;
	r = fd = make_parents(s, msg->path, 0);
	if ((r == 0 || r == -ENOTDIR) && inode_is_nameless(msg))
		fd = make_nameless(msg);
	if (r == 0 && (!inode_is_nameless(msg) || fd == -EOPNOTSUPP))
		fd = make_noted(s, AT_FDCWD, msg->path, msg->path, msg);
	if (fd == -EEXIST || fd == -ENOTDIR)
		fd = make_aside(s, msg->path, msg);
	if (fd < 0)
		return fail(fd, "deleted file %s: make it again where it was", msg->path);
	return fd;
}
