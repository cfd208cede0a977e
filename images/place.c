/*
 * The directory of a checkpoint that is being written: empty, and locked with
 * flock(2), which ends with the writer even if that is killed; its files without a
 * manifest are then removed by the next.
 */
#define _GNU_SOURCE
#include "images/place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "images/format.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"

/* The caller gave a descriptor: /proc knows its name. */
int place_fail(int dirfd, int r, const char *file, const char *what)
{
	char link[32];
	auto_free char *dir = NULL;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", dirfd);
	if (link_read(AT_FDCWD, link, &dir) < 0)
		dir = NULL;
	return fail(r, "checkpoint %s: %s: %s", dir ? dir : "directory", file, what);
}

/* What a writer leaves behind that was killed. */
static bool is_leftover(const char *name)
{
	unsigned n;
	int len = 0;

	return !strcmp(name, STATE_FILE) || !strcmp(name, MANIFEST_TMP) ||
	       !strcmp(name, SIGNATURE_FILE) || !strcmp(name, SIGNATURE_TMP) ||
	       (sscanf(name, PAGES_FILE "%n", &n, &len) == 1 && len && !name[len]);
}

/*
 * One writer for a directory; where there are no locks, nothing is taken for a
 * leftover.
 */
static int place_lock(int dirfd, int *ret_lock, bool *ret_locked)
{
	*ret_lock = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*ret_locked = flock(*ret_lock, LOCK_EX | LOCK_NB) == 0;
	if (!*ret_locked && errno == EWOULDBLOCK)
		return place_fail(dirfd, -EBUSY, STATE_FILE,
		                  "another crtool writes into the directory");
	return 0;
}

static int remove_leftovers(int dirfd, DIR *dir)
{
	struct dirent *entry;

	rewinddir(dir);
	while ((entry = readdir(dir)))
		if (is_leftover(entry->d_name) && unlinkat(dirfd, entry->d_name, 0) < 0)
			return place_fail(dirfd, -errno, entry->d_name, "remove what was left");
	return 0;
}

int place_hold(int dirfd, int *ret_lock)
{
	bool locked;

	return place_lock(dirfd, ret_lock, &locked);
}

int place_take(int dirfd, int *ret_lock)
{
	auto_close int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	bool locked, leftovers = false;
	int r;

	if (!dir)
		return place_fail(dirfd, -errno, ".", "open");
	fd = -1; /* dir owns it */
	r = place_lock(dirfd, ret_lock, &locked);
	if (r < 0)
		return r;
	if (!faccessat(dirfd, MANIFEST_FILE, F_OK, AT_SYMLINK_NOFOLLOW))
		return place_fail(dirfd, -EEXIST, MANIFEST_FILE,
		                  "the directory holds a checkpoint already, give another one");
	while ((entry = readdir(dir))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (!locked || !is_leftover(entry->d_name))
			return place_fail(dirfd, -ENOTEMPTY, entry->d_name,
			                  "the directory is in use, give an empty one");
		leftovers = true;
	}
	return leftovers ? remove_leftovers(dirfd, dir) : 0;
}
