/*
 * Marks on an inode, a mount and a file system. "pending": an event waits to be read; "names": in a
 * group that reports handles and names; "endless": in one whose queue has no end. "permission" is refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "zdtm.h"

#define REPORT_PIDFD 0x80 /* FAN_REPORT_PIDFD, 5.15 */

static void mark(int fd, unsigned flags, uint64_t mask, const char *path)
{
	check(fanotify_mark(fd, FAN_MARK_ADD | flags, mask, AT_FDCWD, path) == 0);
}

/* The next event is MASK on the file PATH. */
static void next(int fd, uint64_t mask, const char *path)
{
	char buf[4096] __attribute__((aligned(8)));
	struct fanotify_event_metadata *e = (void *)buf;
	struct stat a, b;

	check(read(fd, buf, sizeof(*e)) == sizeof(*e));
	check(e->mask == mask && fstat(e->fd, &a) == 0 && stat(path, &b) == 0);
	check(a.st_ino == b.st_ino && a.st_dev == b.st_dev);
	check((fcntl(e->fd, F_GETFL) & O_ACCMODE) == O_RDWR && close(e->fd) == 0);
}

static int change(const char *path)
{
	int fd = open(path, O_WRONLY);

	check(fd >= 0 && write(fd, "x", 1) == 1 && close(fd) == 0);
	return 0;
}

/* An overflow event stands for those that waited, and news come behind it. */
static int pending(const char *how)
{
	bool names = !strcmp(how, "names");
	unsigned flags = names ? FAN_REPORT_DFID_NAME | FAN_REPORT_FID | REPORT_PIDFD
	                 : !strcmp(how, "endless") ? FAN_UNLIMITED_QUEUE
	                                           : 0;
	int fd = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK | flags, O_RDONLY);
	char buf[4096] __attribute__((aligned(8)));
	struct fanotify_event_metadata *e = (void *)buf;

	check(fd >= 0 && mknod("file", S_IFREG | 0600, 0) == 0);
	mark(fd, 0, FAN_MODIFY, "file");
	if (names) {
		check(symlink("/", "link") == 0);
		mark(fd, FAN_MARK_DONT_FOLLOW, FAN_ATTRIB, "link");
	}
	change("file");

	zdtm_park();

	if (strcmp(how, "endless")) {
		check(read(fd, buf, sizeof(buf)) >= (ssize_t)sizeof(*e));
		check(e->mask == FAN_Q_OVERFLOW && e->fd == FAN_NOFD);
	}
	check(read(fd, buf, sizeof(buf)) < 0 && errno == EAGAIN);
	change("file");
	check(read(fd, buf, sizeof(buf)) >= (ssize_t)sizeof(*e) && e->mask == FAN_MODIFY);
	check(!names || lchown("link", geteuid(), getegid()) == 0);
	check(!names || (read(fd, buf, sizeof(buf)) > 0 && e->mask == FAN_ATTRIB));
	return zdtm_pass();
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "";
	int fd = fanotify_init(FAN_CLASS_CONTENT | FAN_NONBLOCK | FAN_CLOEXEC, O_RDWR);
	int quiet = fanotify_init(FAN_CLASS_NOTIF, O_RDONLY);
	char byte[64];

	check(fd >= 0 && quiet >= 0);
	if (*how && strcmp(how, "permission"))
		return pending(how);
	check(mknod("file", S_IFREG | 0600, 0) == 0 && mkdir("d", 0700) == 0);
	check(mknod("d/child", S_IFREG | 0600, 0) == 0 && mknod("not", S_IFREG | 0600, 0) == 0);
	mark(fd, 0, FAN_MODIFY, "file");
	mark(fd, 0, FAN_MODIFY | FAN_EVENT_ON_CHILD, "d");
	mark(fd, 0, FAN_MODIFY, "not");
	mark(fd, FAN_MARK_IGNORED_MASK | FAN_MARK_IGNORED_SURV_MODIFY, FAN_MODIFY, "not");
	mark(quiet, FAN_MARK_MOUNT, FAN_OPEN_EXEC, "/proc");
	mark(quiet, FAN_MARK_FILESYSTEM, FAN_OPEN_EXEC, "/sys");
	if (!strcmp(how, "permission"))
		mark(fd, 0, FAN_OPEN_PERM, "file");

	zdtm_park();

	if (*how)
		return zdtm_pass();
	check(read(fd, byte, sizeof(byte)) < 0 && errno == EAGAIN);
	change("not");
	change("file");
	next(fd, FAN_MODIFY, "file");
	change("d/child");
	next(fd, FAN_MODIFY, "d/child");
	change("not");
	check(read(fd, byte, sizeof(byte)) < 0 && errno == EAGAIN);
	return zdtm_pass();
}
