/*
 * The table: duplicates share their offset, files opened twice do not; numbers,
 * gaps and FD_CLOEXEC stay. With "high": a number just below the limit.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
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

int main(int argc, char **argv)
{
	int top = argc > 1 && !strcmp(argv[1], "high") ? high_number() : 900;
	int a = open("file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int b = open("file", O_RDONLY);
	int count;

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
