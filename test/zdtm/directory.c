/*
 * A directory is read on from where it was. "notify": and its changes are told (dnotify).
 * "detached": a mount of it that is attached nowhere.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "zdtm.h"

#define FILES 300

static int seen[FILES], dots;

/* Read one small buffer of entries; 0 at the end. */
static long read_some(int fd)
{
	char buf[256];
	long n = syscall(SYS_getdents64, fd, buf, sizeof(buf));

	check(n >= 0);
	for (long at = 0; at < n;) {
		struct dirent64 *de = (struct dirent64 *)(buf + at);
		int i = -1;

		at += de->d_reclen;
		if (de->d_name[0] == '.')
			dots++;
		else
			check(sscanf(de->d_name, "%d", &i) == 1 && i >= 0 && i < FILES &&
			      !seen[i]++);
	}
	return n;
}

int main(int argc, char **argv)
{
	char name[32];
	int fd, plain, flags;

	check(mkdir("d", 0700) == 0);
	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "d/%d", i);
		check(mknod(name, S_IFREG | 0600, 0) == 0);
	}
	fd = open("d", O_RDONLY | O_DIRECTORY);
	check(fd >= 0);
	if (argc > 1 && !strcmp(argv[1], "detached")) {
		check(close(fd) == 0);
		fd = (int)syscall(SYS_open_tree, AT_FDCWD, "d", 1 /* OPEN_TREE_CLONE */);
		check(fd >= 0);
		zdtm_park();
		return zdtm_pass();
	}
	if (argc > 1) /* no other file system than procfs and the like has none of it */
		check(fcntl(fd, F_NOTIFY, DN_CREATE | DN_MULTISHOT) == 0 || errno == EINVAL);
	plain = open("d", O_RDONLY);
	flags = fcntl(plain, F_GETFL);
	check(!(flags & O_DIRECTORY));
	for (int i = 0; i < 5; i++)
		check(read_some(fd) > 0);

	zdtm_park();

	check(fcntl(plain, F_GETFL) == flags);
	check(fcntl(fd, F_GETFL) & O_DIRECTORY);
	while (read_some(fd) > 0)
		continue;
	for (int i = 0; i < FILES; i++)
		check(seen[i] == 1);
	check(dots == 2);
	return zdtm_pass();
}
