/*
 * The table: duplicates share their offset, files opened twice do not; numbers,
 * gaps and FD_CLOEXEC stay. With "high": a number just below the limit; "kept": of files that bear O_CLOEXEC
 * themselves; "event": of a file that fanotify(7)
 * has opened so; "probe": it ends with 77 if there is no such thing.
 */
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "zdtm.h"

static int high_number(void)
{
	struct rlimit limit;

	check(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	limit.rlim_cur = limit.rlim_max;
	check(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	return (int)limit.rlim_cur - 1;
}

static int open_count(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* fdinfo shows O_CLOEXEC at each descriptor of such a file. */
static void duplicate(int fd)
{
	check(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
	check(dup2(fd, fd + 20) == fd + 20 && dup3(fd, fd + 40, O_CLOEXEC) == fd + 40);
}

static void check_duplicates(int fd)
{
	check(fcntl(fd, F_GETFD) == FD_CLOEXEC && fcntl(fd + 40, F_GETFD) == FD_CLOEXEC);
	check(fcntl(fd + 20, F_GETFD) == 0);
}

static int kept(void)
{
	struct mq_attr attr = { .mq_maxmsg = 1, .mq_msgsize = 8 };
	int off = 0, queue, master, slave;
	char name[32];

	snprintf(name, sizeof(name), "/crtool-fds-%d", getpid());
	queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600, &attr);
	check(queue >= 0 && mq_unlink(name) == 0);
	master = open("/dev/ptmx", O_RDWR | O_NOCTTY);
	check(master >= 0 && ioctl(master, TIOCSPTLCK, &off) == 0);
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	duplicate(queue);
	duplicate(slave);

	zdtm_park();

	check_duplicates(queue);
	check_duplicates(slave);
	return zdtm_pass();
}

static int event(bool probe)
{
	struct fanotify_event_metadata event;
	int group = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC, O_RDONLY | O_CLOEXEC), file;

	if (probe)
		return group < 0 ? 77 : 0;
	check(group >= 0);
	check(fanotify_mark(group, FAN_MARK_ADD, FAN_CLOSE_WRITE | FAN_EVENT_ON_CHILD, AT_FDCWD,
	                    ".") == 0);
	file = open("file", O_RDWR | O_CREAT, 0600);
	check(file >= 0 && close(file) == 0);
	check(read(group, &event, sizeof(event)) == sizeof(event) && event.fd >= 0);
	check(fanotify_mark(group, FAN_MARK_FLUSH, 0, AT_FDCWD, NULL) ==
	      0); /* nothing of the test's own */
	duplicate(event.fd);

	zdtm_park();

	check_duplicates(event.fd);
	return zdtm_pass();
}

int main(int argc, char **argv)
{
	int top = argc > 1 && !strcmp(argv[1], "high") ? high_number() : 900;
	int a = open("file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int b = open("file", O_RDONLY);
	int count;

	if (argc > 1 && !strcmp(argv[1], "kept"))
		return kept();
	if (argc > 1 && (!strcmp(argv[1], "event") || !strcmp(argv[1], "probe")))
		return event(!strcmp(argv[1], "probe"));
	check(a >= 0 && b >= 0);
	check(write(a, "0123456789", 10) == 10);
	check(dup2(a, top) == top);
	check(dup3(b, 77, O_CLOEXEC) == 77);
	check(lseek(a, 4, SEEK_SET) == 4);
	check(lseek(b, 7, SEEK_SET) == 7);
	count = open_count();

	zdtm_park();

	check(open_count() == count);
	check(fcntl(a, F_GETFD) == FD_CLOEXEC && fcntl(top, F_GETFD) == 0);
	check(fcntl(b, F_GETFD) == 0 && fcntl(77, F_GETFD) == FD_CLOEXEC);
	check(lseek(top, 0, SEEK_CUR) == 4 && lseek(77, 0, SEEK_CUR) == 7);
	check(lseek(a, 1, SEEK_CUR) == 5 && lseek(top, 0, SEEK_CUR) == 5);
	check(lseek(b, 1, SEEK_CUR) == 8 && lseek(77, 0, SEEK_CUR) == 8);
	return zdtm_pass();
}
