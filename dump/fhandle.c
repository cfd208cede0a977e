/*
 * File handles. A handle is opened on any mount of its file system, which tells a
 * path. Some file systems give handles that only tell files apart (overlayfs): the
 * kernel knows names of what is watched (lib/watched.h), or else these are searched for, name by name.
 */
#include "dump/fhandle.h"

#include <errno.h>
#include <fts.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "dump/dump.h"
#include "dump/kernel_memory.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/watched.h"

#define KERNEL_MINORBITS 20 /* the kernel writes a device number in its own way (MKDEV) */
#define MOUNT_PATH       4096
#define LOOKS            1000000 /* names that are looked at in a search: some seconds */
#ifndef AT_HANDLE_FID
#define AT_HANDLE_FID 0x200 /* 6.6 */
#endif
#define INO32_GEN 1 /* FILEID_INO32_GEN of linux/exportfs.h */

int fhandle_parse(const char *line, struct fhandle *ret)
{
	const char *ino = strstr(line, "ino:"), *bytes = strstr(line, "fhandle-bytes:");
	unsigned size;
	int at = 0;

	if (!ino || !bytes ||
	    sscanf(ino, "ino:%" SCNx64 " sdev:%" SCNx32, &ret->ino, &ret->sdev) != 2 ||
	    sscanf(bytes, "fhandle-bytes:%x fhandle-type:%x f_handle:%n", &size,
	           (unsigned *)&ret->head.handle_type, &at) != 2 ||
	    !at || size > sizeof(ret->bytes))
		return -EPROTO;
	ret->head.handle_bytes = size;
	for (unsigned i = 0; i < size; i++)
		if (sscanf(bytes + at + 2 * i, "%2hhx", &ret->bytes[i]) != 1)
			return -EPROTO;
	return 0;
}

/* The next mount of the file system SDEV in mountinfo, of which *LINES are left. Not those that nobody can go to. */
static bool next_mount(char **lines, uint32_t sdev, char ret[static MOUNT_PATH])
{
	char *line;

	while ((line = strsep(lines, "\n"))) {
		unsigned a, b;

		/* "36 35 98:0 /mnt1 /mnt2 ...", proc(5); a path with blanks has \040 and is passed over */
		if (sscanf(line, "%*d %*d %u:%u %*s %4095s", &a, &b, ret) == 3 &&
		    a == sdev >> KERNEL_MINORBITS && b == (sdev & ((1u << KERNEL_MINORBITS) - 1)) &&
		    access(ret, F_OK) == 0)
			return true;
	}
	return false;
}

static bool is_directory(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* A directory, if any mount is one: files can be mounted, too. */
int fhandle_mount_path(uint32_t sdev, char **ret_path)
{
	auto_free char *text = NULL, *found = NULL;
	ssize_t len = file_read(AT_FDCWD, "/proc/self/mountinfo", &text);
	char path[MOUNT_PATH], *lines = text;

	if (len < 0)
		return (int)len;
	while (next_mount(&lines, sdev, path)) {
		bool directory = is_directory(path);

		if (found && !directory)
			continue;
		free(found);
		found = strdup(path);
		if (!found)
			return -ENOMEM;
		if (directory)
			break;
	}
	if (!found)
		return -ENOENT;
	*ret_path = take_ptr(found);
	return 0;
}

static int mount_find(struct fhandle_mount *m, uint32_t sdev)
{
	if (m->path && m->sdev == sdev)
		return 0;
	free(take_ptr(m->path));
	m->sdev = sdev;
	return fhandle_mount_path(sdev, &m->path);
}

static void names_done(struct fhandle_mount *m)
{
	if (m->names)
		watched_done(m->names);
	free(m->names);
	m->names = NULL;
}

void fhandle_done(struct fhandle_mount *m)
{
	names_done(m);
	free(m->path);
	m->path = NULL;
}

/*
 * A handle needs a descriptor of its file system, and one of O_PATH will not do; to open a directory is
 * told to who watches it. To go there is not, and the working directory will do, too: this
 * thread has one of its own from now on.
 */
static int open_there(const char *mount, const struct fhandle *h)
{
	auto_close int home = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct file_handle *head = (struct file_handle *)&h->head;
	int fd;

	if (home < 0 || unshare(CLONE_FS) < 0 || chdir(mount) < 0)
		return -errno;
	fd = open_by_handle_at(AT_FDCWD, head, O_PATH | O_CLOEXEC);
	if (fd < 0)
		fd = -errno;
	if (fchdir(home) < 0) {
		closep(&fd);
		return -EIO;
	}
	return fd;
}

enum same { ANOTHER, ALIKE, VERY_IT };

/* Before Linux 6.6 nobody gives the handle of a name if it cannot be opened. It is the number of the inode. */
static enum same same_number(const char *path, const struct fhandle *h)
{
	static const unsigned char no_generation[4];
	struct stat st;

	if (h->head.handle_type != INO32_GEN || h->head.handle_bytes != 8 ||
	    memcmp(h->bytes + 4, no_generation, sizeof(no_generation)) != 0)
		return ANOTHER;
	return lstat(path, &st) == 0 && st.st_ino == h->ino ? ALIKE : ANOTHER;
}

static enum same is_it(const char *path, const struct fhandle *h)
{
	struct fhandle have = { .head.handle_bytes = MAX_HANDLE_SZ };
	int mount;

	if (name_to_handle_at(AT_FDCWD, path, &have.head, &mount, AT_HANDLE_FID) < 0)
		return errno == EINVAL ? same_number(path, h) : ANOTHER;
	return have.head.handle_type == h->head.handle_type &&
	                       have.head.handle_bytes == h->head.handle_bytes &&
	                       !memcmp(have.bytes, h->bytes, h->head.handle_bytes)
	               ? VERY_IT
	               : ANOTHER;
}

/* Where files alone are mounted, it is one of them, or has no path: nothing need be opened. */
static int find_mounted(const struct fhandle *h, char **ret_path)
{
	auto_free char *text = NULL;
	ssize_t len = file_read(AT_FDCWD, "/proc/self/mountinfo", &text);
	char path[MOUNT_PATH], *lines = text;

	if (len < 0)
		return (int)len;
	while (next_mount(&lines, h->sdev, path)) {
		if (is_it(path, h) != VERY_IT)
			continue;
		*ret_path = strdup(path);
		return *ret_path ? 0 : -ENOMEM;
	}
	return -ENOENT;
}

static void fts_closep(FTS **fts)
{
	if (*fts)
		fts_close(*fts);
}

/* To look into a directory it has to be opened. */
static void tell_search(struct fhandle_mount *m)
{
	if (m->tell)
		lose("%s: what it watches is searched for: it is told that directories are opened "
		     "and read",
		     m->watcher ? file_name(m->watcher) : m->path);
	m->tell = false;
}

/* Layers of overlayfs, each a device of its own, may have the same numbers: what is alike must be one file. */
static int search(struct fhandle_mount *m, const struct fhandle *h, char **ret_path)
{
	auto_free char *top = NULL, *found = NULL;
	int r = fhandle_mount_path(h->sdev, &top);
	char *const tops[] = { top, NULL };
	auto_(fts_closep) FTS *fts = NULL;
	struct statfs fs;
	enum same same;
	dev_t dev = 0;
	FTSENT *e;
	int looks = 0;

	if (r < 0)
		return r;
	/* What is in there changes all the time. */
	if (statfs(top, &fs) < 0 || fs.f_type == PROC_SUPER_MAGIC)
		return -ENOENT;
	tell_search(m);
	fts = fts_open(tops, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, NULL);
	while (fts && looks++ < LOOKS && (e = fts_read(fts))) {
		if (e->fts_info == FTS_DP || e->fts_info == FTS_NS ||
		    e->fts_statp->st_ino != h->ino || !(same = is_it(e->fts_path, h)))
			continue;
		if (found && e->fts_statp->st_dev == dev)
			continue;
		if (found)
			return -ENOENT;
		dev = e->fts_statp->st_dev;
		found = strdup(e->fts_path);
		if (!found)
			return -ENOMEM;
		if (same == VERY_IT)
			break;
	}
	if (!found || looks > LOOKS)
		return -ENOENT;
	*ret_path = take_ptr(found);
	return 0;
}

/* What the kernel calls it. Where it does not tell that the list stays empty. */
static int names_read(struct fhandle_mount *m)
{
	const struct kmem *k = kernel_memory(m->dump);
	auto_close int fd = -1;

	m->names = calloc(1, sizeof(*m->names));
	if (!m->names)
		return -ENOMEM;
	fd = m->watcher ? file_steal(m->watcher) : -1;
	if (!k || fd < 0 || watched_read(k, fd, m->names) < 0)
		debug("names of what is watched cannot be read from the memory of the kernel");
	return 0;
}

static int find_name(struct fhandle_mount *m, const struct fhandle *h, char **ret_path)
{
	const struct watched *w, *end;
	int r = m->names ? 0 : names_read(m);

	if (r < 0)
		return r;
	end = m->names->all.v + m->names->all.n;
	for (w = watched_find(m->names, h->sdev, h->ino); w && w < end; w++) {
		auto_free char *path = NULL;

		if (w->ino != h->ino || w->sdev != h->sdev)
			break;
		if (asprintf(&path, "%s%s", strcmp(m->path, "/") ? m->path : "",
		             *w->path || strcmp(m->path, "/") ? w->path : "/") < 0)
			return -ENOMEM;
		if (!is_it(path, h))
			continue;
		*ret_path = take_ptr(path);
		return 0;
	}
	return -ENOENT;
}

int fhandle_path(struct fhandle_mount *m, const struct fhandle *h, char **ret_path)
{
	auto_free char *path = NULL;
	auto_close int fd = -1;
	char self[32];
	struct stat st;
	int r = mount_find(m, h->sdev);

	if (r < 0)
		return r;
	fd = open_there(m->path, h);
	if (fd == -ENOTDIR)
		return find_mounted(h, ret_path);
	if (fd == -ESTALE || fd == -EOPNOTSUPP) {
		r = find_name(m, h, ret_path);
		return r == -ENOENT ? search(m, h, ret_path) : r;
	}
	if (fd < 0)
		return fd;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	r = link_read(AT_FDCWD, self, &path);
	if (r < 0)
		return r;
	if (lstat(path, &st) < 0 || st.st_ino != h->ino)
		return -ENOENT;
	*ret_path = take_ptr(path);
	return 0;
}
