/*
 * cgroup: in whatever cgroups it was put, with a second thread that may be in others: its
 * number is in the file "thread".
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "zdtm.h"

static char before[2][4096], after[2][4096];

static void read_own(char *buf)
{
	char path[64];
	int fd;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/task/%d/cgroup", gettid());
	fd = open(path, O_RDONLY);
	check(fd >= 0);
	n = read(fd, buf, sizeof(before[0]) - 1);
	check(n >= 0 && close(fd) == 0);
}

static void *second(void *arg)
{
	int fd = open("thread", O_WRONLY | O_CREAT | O_TRUNC, 0666);

	check(fd >= 0 && dprintf(fd, "%d", gettid()) > 0 && close(fd) == 0);
	while (access("placed", F_OK) < 0)
		zdtm_nap();
	read_own(before[1]);
	while (!zdtm_released())
		zdtm_nap();
	read_own(after[1]);
	return NULL;
}

/* ARGV[1]: "moved": it will not be where it was. */
int main(int argc, char **argv)
{
	pthread_t th;

	check(pthread_create(&th, NULL, second, NULL) == 0);
	while (access("placed", F_OK) < 0)
		zdtm_nap();
	read_own(before[0]);
	zdtm_park();
	read_own(after[0]);
	check(pthread_join(th, NULL) == 0);
	for (int i = 0; i < 2 && argc == 1; i++)
		check(!strcmp(before[i], after[i]));
	return zdtm_pass();
}
