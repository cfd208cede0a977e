#define _GNU_SOURCE
#include "migrate/place.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"

#define PREFIX "crtool-receive-"
#define RANDOM "XXXXXX"

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
	return remove(path);
}

void place_remove(const char *path)
{
	nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* Nobody has it but us, it is still there, and there is nothing in it but rounds? */
static bool is_left(int fd)
{
	auto_dir DIR *dir = NULL;
	struct stat st;
	bool rounds = true;
	int own;

	if (fstat(fd, &st) < 0 || st.st_uid != geteuid() || !st.st_nlink || st.st_mode & 077 ||
	    flock(fd, LOCK_EX | LOCK_NB) < 0)
		return false;
	own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	dir = own < 0 ? NULL : fdopendir(own);
	for (const struct dirent *e; dir && (e = readdir(dir));)
		rounds = rounds && (*e->d_name == '.' || isdigit((unsigned char)*e->d_name));
	return dir && rounds;
}

static bool is_name(const char *name)
{
	size_t prefix = strlen(PREFIX);

	return !strncmp(name, PREFIX, prefix) && strlen(name) == prefix + strlen(RANDOM);
}

/* What receivers have left that were killed. */
static void sweep(const char *path)
{
	auto_dir DIR *dir = opendir(path);

	for (const struct dirent *e; dir && (e = readdir(dir));) {
		auto_free char *left = NULL;
		auto_close int fd = -1;

		if (!is_name(e->d_name))
			continue;
		fd = openat(dirfd(dir), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 || !is_left(fd) || asprintf(&left, "%s/%s", path, e->d_name) < 0)
			continue;
		info("receive: %s: its receiver was killed; removed", left);
		place_remove(left);
	}
}

/* Made and locked: 0; -EAGAIN: somebody has swept it away in between. */
static int make(char *path, int *ret_lock)
{
	auto_close int fd = -1;
	struct stat st;

	if (!mkdtemp(path))
		return -errno;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -EAGAIN : -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &st) < 0 || !st.st_nlink)
		return -EAGAIN;
	*ret_lock = take_fd(&fd);
	return 0;
}

int place_new(const char *dir, char **ret_path, int *ret_lock)
{
	int r;

	sweep(dir);
	do {
		char *path;

		if (asprintf(&path, "%s/" PREFIX RANDOM, dir) < 0)
			return -ENOMEM;
		r = make(path, ret_lock);
		if (r == 0)
			*ret_path = path;
		else
			free(path);
	} while (r == -EAGAIN);
	return r < 0 ? fail(r, "receive: a directory for the images in %s (-D)", dir) : 0;
}
