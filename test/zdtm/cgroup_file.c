/* Files of a cgroup, in the directory ARGV[1]: cgroup.procs, half read, and the directory itself. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "zdtm.h"

static bool same_file(int fd, int dir, const char *name)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 && fstatat(dir, name, &b, 0) == 0 && a.st_ino == b.st_ino &&
	       a.st_dev == b.st_dev;
}

int main(int argc, char **argv)
{
	char name[4096], text[4096] = "";
	int dir, procs;

	check(argc == 2);
	snprintf(name, sizeof(name), "%s/cgroup.procs", argv[1]);
	dir = open(argv[1], O_RDONLY | O_DIRECTORY);
	procs = open(name, O_RDWR | O_CLOEXEC);
	check(dir >= 0 && procs >= 0);
	check(dprintf(procs, "%d", getpid()) > 0);
	check(pread(procs, text, sizeof(text) - 1, 0) > 0 && atoi(text) == getpid());
	check(lseek(procs, 1, SEEK_SET) == 1);

	zdtm_park();

	check(same_file(dir, AT_FDCWD, argv[1]) && same_file(procs, dir, "cgroup.procs"));
	check(lseek(procs, 0, SEEK_CUR) == 1 && lseek(procs, 0, SEEK_SET) == 0);
	memset(text, 0, sizeof(text));
	check(read(procs, text, sizeof(text) - 1) > 0 && atoi(text) == getpid());
	check(dprintf(procs, "%d", getpid()) > 0);
	return zdtm_pass();
}
