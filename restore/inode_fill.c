/* What is in a file that was made or is rolled back, its owner, mode and attributes. */
#define _GNU_SOURCE
#include "restore/inode_fill.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/marks.h"
#include "restore/content.h"

int inode_fail(const Img__Inode *msg, const char *what)
{
	return fail(-errno, "%s %s: %s", msg->kept ? "file" : "deleted file", msg->path, what);
}

static void set_xattrs(const Img__Inode *msg, const char *path)
{
	for (size_t i = 0; i < msg->n_xattr; i++)
		if (setxattr(path, msg->xattr[i], msg->xattr_value[i].data, msg->xattr_value[i].len,
		             0) < 0)
			warn("deleted file %s: attribute %s: %m, ignoring", msg->path,
			     msg->xattr[i]);
}

int inode_fill(struct restore *r, const Img__Inode *msg, int fd)
{
	const struct marks marks = { .flags = msg->flags, .rw_hint = msg->rw_hint };
	int e;

	if (!S_ISREG(msg->mode))
		return 0;
	e = marks_write(fd, &marks); /* some only while it is empty */
	if (e < 0)
		warn("deleted file %s: its attributes (chattr(1)): %s, ignoring", msg->path,
		     strerror(-e));
	if (ftruncate(fd, (off_t)msg->size) < 0)
		return inode_fail(msg, "set its size");
	e = content_fill(r, msg->content, msg->n_content, fd);
	if (e < 0)
		return fail(e, "%s %s: write its content", msg->kept ? "file" : "deleted file",
		            msg->path);
	if (ftruncate(fd, (off_t)msg->size) < 0) /* the last page was filled as a whole */
		return inode_fail(msg, "set its size");
	return 0;
}

/* Of a symbolic link only the owner can be set by descriptor. */
int inode_settle(const Img__Inode *msg, int fd)
{
	char path[32];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (fstat(fd, &st) < 0)
		return inode_fail(msg, "fstat");
	if ((st.st_uid != msg->uid || st.st_gid != msg->gid) &&
	    fchownat(fd, "", msg->uid, msg->gid, AT_EMPTY_PATH) < 0)
		/* EINVAL: the user namespace does not have them */
		return fail(errno == EINVAL ? -EPERM : -errno,
		            "%s %s: give it to user %u and group %u (needs CAP_CHOWN)",
		            msg->kept ? "file" : "deleted file", msg->path, msg->uid, msg->gid);
	if (S_ISLNK(msg->mode))
		return 0;
	if (chmod(path, msg->mode & 07777) < 0)
		return inode_fail(msg, "set its mode");
	set_xattrs(msg, path);
	return 0;
}

struct timespec inode_time(uint64_t ns)
{
	return (struct timespec){ .tv_sec = (time_t)(ns / 1000000000),
		                  .tv_nsec = (long)(ns % 1000000000) };
}
