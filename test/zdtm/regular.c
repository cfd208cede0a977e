/* Regular files keep their offset and their flags; with an argument: one with that flag, or to read only. */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "zdtm.h"

static const struct {
	const char *name;
	int flag;
} flags[] = {
	{ "append", O_APPEND },     { "direct", O_DIRECT },   { "sync", O_SYNC },
	{ "dsync", O_DSYNC },       { "noatime", O_NOATIME }, { "nonblock", O_NONBLOCK },
	{ "nofollow", O_NOFOLLOW }, { "path", O_PATH },
};

static int flag_of(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof(flags) / sizeof(flags[0]); i++)
		if (!strcmp(argv[1], flags[i].name))
			return flags[i].flag;
	check(argc == 1 || !strcmp(argv[1], "readonly"));
	return 0;
}

int main(int argc, char **argv)
{
	int flag = flag_of(argc, argv), made = open("file", O_WRONLY | O_CREAT | O_TRUNC, 0600);
	bool readonly = argc > 1 && !strcmp(argv[1], "readonly");
	int fd = open("file", (readonly ? O_RDONLY : O_RDWR) | flag), was;
	struct stat a, b;
	char c;

	check(made >= 0 && fd >= 0);
	check(write(made, "0123456789", 10) == 10 && close(made) == 0);
	check(flag == O_PATH || lseek(fd, 3, SEEK_SET) == 3);
	was = fcntl(fd, F_GETFL);
	check((was & flag) == flag);

	zdtm_park();

	check(fcntl(fd, F_GETFL) == was);
	check(stat("file", &a) == 0 && fstat(fd, &b) == 0);
	check(a.st_ino == b.st_ino && a.st_size == 10);
	if (flag == O_PATH || flag == O_DIRECT)
		return zdtm_pass();
	check(read(fd, &c, 1) == 1 && c == '3');
	if (readonly)
		return zdtm_pass();
	check(write(fd, "x", 1) == 1);
	check(fstat(fd, &b) == 0 && b.st_size == (flag == O_APPEND ? 11 : 10));
	return zdtm_pass();
}
