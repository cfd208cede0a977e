/*
 * Watches keep their numbers, paths and masks. "pending": an event waits to be read. "deleted", "many": of what
 * is deleted and open. "quiet", "unseen", "mounted", "found": nothing is heard of a dump. They work on any file system.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "zdtm.h"

static char buf[4096] __attribute__((aligned(8)));

/* The next event is EVENT on WD. */
static void next(int fd, int wd, uint32_t event)
{
	struct inotify_event *e = (struct inotify_event *)buf;

	check(read(fd, buf, sizeof(buf)) >= (ssize_t)sizeof(*e));
	check(e->wd == wd && (e->mask & event));
}

#define FOLLOWS (IN_MODIFY | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF) /* tail(1) */

/* A log that was rotated away and is still followed. */
static int deleted(void)
{
	int fd = inotify_init1(IN_NONBLOCK), log = open("log", O_RDWR | O_CREAT, 0600);

	check(log >= 0 && mkdir("d", 0700) == 0);
	check(inotify_add_watch(fd, "log", FOLLOWS) == 1);
	check(inotify_add_watch(fd, "d", IN_CREATE) == 2);
	check(unlink("log") == 0);
	check(read(fd, buf, sizeof(buf)) > 0);

	zdtm_park();

	check(read(fd, buf, sizeof(buf)) < 0 && errno == EAGAIN);
	check(write(log, "more", 4) == 4);
	next(fd, 1, IN_MODIFY);
	check(mknod("d/new", S_IFREG | 0600, 0) == 0);
	next(fd, 2, IN_CREATE);
	check(inotify_add_watch(fd, "/", IN_CREATE) == 3);
	check(close(log) == 0);
	next(fd, 1, IN_DELETE_SELF);
	return zdtm_pass();
}

/* Who watches for everything is told nothing of the dump, which reads what is deleted; nor has its place moved. */
static int quiet(int flags, bool direct)
{
	int fd = inotify_init1(IN_NONBLOCK), log;
	static char text[70000];
	struct stat st;

	check(mkdir("d", 0700) == 0);
	log = open("d/log", flags | O_CREAT, 0600);
	memset(text, 'x', sizeof(text));
	check(log >= 0 && pwrite(log, text, sizeof(text), 8192) == sizeof(text));
	check(lseek(log, 77, SEEK_SET) == 77);
	check(!direct || fcntl(log, F_SETFL, O_DIRECT) == 0);
	check(inotify_add_watch(fd, "d/log", IN_ALL_EVENTS) == 1);
	check(inotify_add_watch(fd, "d", IN_OPEN | IN_ACCESS | IN_CLOSE) == 2);
	check(unlink("d/log") == 0);
	check(read(fd, buf, sizeof(buf)) > 0);

	zdtm_park();

	check(read(fd, buf, sizeof(buf)) < 0 && errno == EAGAIN);
	check(lseek(log, 0, SEEK_CUR) == 77 && fstat(log, &st) == 0);
	check(st.st_size == sizeof(text) + 8192);
	return zdtm_pass();
}

/* The directory "own" is a mount and has the program in it: who watches them is told nothing of a dump. */
static int unseen(void)
{
	int fd = inotify_init1(IN_NONBLOCK);

	check(inotify_add_watch(fd, "own", IN_ALL_EVENTS) == 1);
	check(inotify_add_watch(fd, "own/program", IN_ALL_EVENTS) == 2);

	zdtm_park();

	check(read(fd, buf, sizeof(buf)) < 0 && errno == EAGAIN);
	check(close(open("own/program", O_RDONLY)) == 0);
	next(fd, 1, IN_OPEN);
	return zdtm_pass();
}

/* A file of a file system of which nothing else is mounted. */
static int mounted(void)
{
	int fd = inotify_init1(IN_NONBLOCK);

	check(inotify_add_watch(fd, "file", IN_ALL_EVENTS) == 1);

	zdtm_park();

	check(read(fd, buf, sizeof(buf)) < 0 && errno == EAGAIN);
	check(close(open("file", O_RDONLY)) == 0);
	next(fd, 1, IN_OPEN);
	return zdtm_pass();
}

#define MANY 60

/* Many deleted files. */
static int many(void)
{
	int fd = inotify_init1(IN_NONBLOCK), logs[MANY];
	char name[16];

	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "log%d", i);
		logs[i] = open(name, O_RDWR | O_CREAT, 0600);
		check(logs[i] >= 0 && write(logs[i], "text", 4) == 4);
		check(inotify_add_watch(fd, name, IN_MODIFY) == i + 1 && unlink(name) == 0);
	}

	zdtm_park();

	check(read(fd, buf, sizeof(buf)) < 0 && errno == EAGAIN);
	for (int i = 0; i < MANY; i++) {
		check(write(logs[i], "more", 4) == 4);
		next(fd, i + 1, IN_MODIFY);
	}
	return zdtm_pass();
}

/* All that happens in directories, which have to be found. */
static int found(void)
{
	int fd = inotify_init1(IN_NONBLOCK);

	check(mkdir("d", 0700) == 0 && mkdir("d/deep", 0700) == 0);
	check(inotify_add_watch(fd, "d", IN_ALL_EVENTS) == 1);
	check(inotify_add_watch(fd, "d/deep", IN_ALL_EVENTS) == 2);

	zdtm_park();

	check(read(fd, buf, sizeof(buf)) < 0 && errno == EAGAIN);
	check(mkdir("d/deep/new", 0700) == 0);
	next(fd, 2, IN_CREATE);
	return zdtm_pass();
}

int main(int argc, char **argv)
{
	int fd, gone, dir, file, link;

	if (argc > 1 && !strcmp(argv[1], "many"))
		return many();
	if (argc > 1 && !strcmp(argv[1], "mounted"))
		return mounted();
	if (argc > 1 && !strcmp(argv[1], "found"))
		return found();
	if (argc > 1 && !strcmp(argv[1], "unseen"))
		return unseen();
	if (argc > 1 && !strcmp(argv[1], "quiet"))
		return quiet(argc > 2 && !strcmp(argv[2], "write") ? O_WRONLY : O_RDWR,
		             argc > 2 && !strcmp(argv[2], "direct"));
	if (argc > 1 && !strcmp(argv[1], "deleted"))
		return deleted();
	fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	check(mkdir("d", 0700) == 0 && mkdir("gone", 0700) == 0);
	check(mknod("file", S_IFREG | 0600, 0) == 0);
	gone = inotify_add_watch(fd, "gone", IN_CREATE);
	dir = inotify_add_watch(fd, "d", IN_CREATE | IN_ONLYDIR);
	check(inotify_rm_watch(fd, gone) == 0);
	file = inotify_add_watch(fd, "file", IN_ATTRIB | IN_ONESHOT);
	check(symlink("gone", "link") == 0);
	link = inotify_add_watch(fd, "link", IN_ATTRIB | IN_DONT_FOLLOW);
	check(gone == 1 && dir == 2 && file == 3 && link == 4);
	next(fd, gone, IN_IGNORED);
	if (argc > 1)
		check(mknod("d/x", S_IFREG | 0600, 0) == 0);

	zdtm_park();

	if (argc > 1)
		next(fd, -1, IN_Q_OVERFLOW);
	check(fcntl(fd, F_GETFL) & O_NONBLOCK);
	check(read(fd, buf, sizeof(buf)) < 0 && errno == EAGAIN);
	check(mknod("d/new", S_IFREG | 0600, 0) == 0);
	next(fd, dir, IN_CREATE);
	check(chmod("file", 0644) == 0 && chmod("file", 0600) == 0);
	next(fd, file, IN_ATTRIB);
	check(chmod("gone", 0755) == 0 && lchown("link", geteuid(), getegid()) == 0);
	next(fd, link, IN_ATTRIB);
	check(read(fd, buf, sizeof(buf)) < 0 && errno == EAGAIN);
	check(inotify_add_watch(fd, "gone", IN_CREATE) == 5);
	return zdtm_pass();
}
