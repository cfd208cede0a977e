/*
 * Kinds of file that are refused by name, one of each that this kernel has: "FD WORD" of each go to
 * the file "list". "null" or "close": what became of them. "/dev/NAME" alone: a console, which
 * becomes a terminal.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "zdtm.h"

#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447
#endif

static int fds[16], n;
static FILE *list;

/* WORD is what the refusal says. */
static void add(long fd, const char *word)
{
	if (fd < 0)
		return;
	fds[n++] = (int)fd;
	fprintf(list, "%ld %s\n", fd, word);
}

static long landlock(void)
{
	struct landlock_ruleset_attr attr = { .handled_access_fs = LANDLOCK_ACCESS_FS_EXECUTE };

	return syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
}

static long perf(void)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_SOFTWARE,
		                        .size = sizeof(attr),
		                        .config = PERF_COUNT_SW_CPU_CLOCK };

	return syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}

static void check_gone(const char *how)
{
	struct stat st;

	for (int i = 0; i < n; i++)
		if (!strcmp(how, "null"))
			check(fstat(fds[i], &st) == 0 && st.st_rdev == makedev(1, 3));
		else
			check(fcntl(fds[i], F_GETFD) < 0 && errno == EBADF);
}

static int console(const char *path)
{
	int fd = open(path, O_RDWR | O_NOCTTY);

	if (fd < 0)
		return 77;
	zdtm_park();
	check(isatty(fd) && write(fd, "still here\n", 11) == 11);
	return zdtm_pass();
}

int main(int argc, char **argv)
{
	if (argc > 1 && argv[1][0] == '/')
		return console(argv[1]);
	list = fopen("list", "w");
	check(list);
	add(syscall(SYS_userfaultfd, O_CLOEXEC), "anon_inode:[userfaultfd] (anonymous inode)");
	add(syscall(SYS_memfd_secret, 0), "/secretmem (deleted) (secret memory, memfd_secret)");
	add(landlock(), "anon_inode:[landlock-ruleset] (anonymous inode)");
	add(perf(), "anon_inode:[perf_event] (anonymous inode)");
	add(open("/dev/fuse", O_RDWR), "/dev/fuse (character device 10:229)");
	add(open("/dev/kvm", O_RDWR), "/dev/kvm (character device 10:232)");
	add(open("/dev/loop0", O_RDONLY), "/dev/loop0 (block device 7:0)");
	fclose(list);

	zdtm_park();

	if (argc > 1)
		check_gone(argv[1]);
	return zdtm_pass();
}
