/*
 * Whoever cleans up after programs that are gone takes a saved program for one: a
 * Java machine that starts removes the files of the others in
 * /tmp/hsperfdata_USER. So what is gone can be put back, too.
 */
#include "restore/inode_kept.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/marks.h"
#include "restore/inode.h"
#include "restore/inode_fill.h"
#include "restore/leftover.h"

/* Everything that is not in the record is zero again. */
static int write_back(struct restore *r, const Img__Inode *msg, int fd)
{
	const struct timespec times[] = { inode_time(msg->atime), inode_time(msg->mtime) };
	int e = inode_fill(r, msg, fd);

	return e == 0 && futimens(fd, times) < 0 ? inode_fail(msg, "set its times") : e;
}

static int not_open(const char *path)
{
	int e = -errno;
	const char *why = e == -EPERM ? marks_forbid(AT_FDCWD, path, O_RDWR) : NULL;

	return why ? fail(e, "file %s: roll it back: %s it", path, why)
	           : fail(e, "file %s: open it to roll it back", path);
}

int inode_roll_back(struct restore *r, uint32_t id, const char *path)
{
	auto_close int fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || ftruncate(fd, 0) < 0)
		return not_open(path);
	return write_back(r, inode_record(r, id), fd);
}

/* Noted before it is made, by a copy of its path. */
static int make(struct restore *r, const char *path)
{
	char **slot = array_add(&r->put_back);
	int place = leftover_expect(r, LEFT_NAME, path, 0), fd;

	if (!slot || place < 0)
		return slot ? place : -ENOMEM;
	*slot = strdup(path);
	fd = *slot ? open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600) : -1;
	if (fd >= 0)
		return fd;
	leftover_forget(r, place);
	r->put_back.n--;
	free(*slot);
	return fail(-errno, "file %s: is gone since the dump; put it back where it was", path);
}

int inode_put_back(struct restore *r, const char *path)
{
	const Img__Inode *msg;
	auto_close int fd = -1;
	int e = inode_kept_at(r, path, &msg);

	if (e < 0 || !msg)
		return e;
	fd = make(r, path);
	e = fd < 0 ? fd : inode_settle(msg, fd);
	if (e == 0)
		e = write_back(r, msg, fd);
	return e < 0 ? e : 1;
}

bool inode_is_back(const struct restore *r, const char *path)
{
	array_each (back, &r->put_back)
		if (!strcmp(*back, path))
			return true;
	return false;
}

void inode_kept_done(struct restore *r)
{
	array_each (path, &r->put_back) {
		if (!r->committed && unlink(*path) < 0)
			warn("file %s: was put back, and stays: %m", *path);
		free(*path);
	}
	array_done(&r->put_back);
}
