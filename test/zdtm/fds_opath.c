/* O_PATH of what has no path: an eventfd, a POSIX message queue. "far": a file whose path is too long to be told. */
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "zdtm.h"

static int path_of(int fd)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_PATH);
}

static void far(void)
{
	char name[201];

	memset(name, 'd', 200);
	name[200] = '\0';
	for (int i = 0; i < 22; i++)
		check(mkdir(name, 0700) == 0 && chdir(name) == 0);
	check(open("file", O_RDWR | O_CREAT, 0600) >= 0);
}

int main(int argc, char **argv)
{
	struct mq_attr attr = { .mq_maxmsg = 1, .mq_msgsize = 8 };
	char name[32];
	int home = open(".", O_RDONLY), event, queue;

	check(home >= 0);
	if (argc > 1 && !strcmp(argv[1], "far")) {
		far();
		check(fchdir(home) == 0);
		zdtm_park();
		return zdtm_pass();
	}
	event = eventfd(0, 0);
	snprintf(name, sizeof(name), "/crtool-%d", getpid());
	queue = mq_open(name, O_RDWR | O_CREAT, 0600, &attr);
	check(event >= 0 && queue >= 0 && mq_unlink(name) == 0);
	check(path_of(event) >= 0 && path_of(queue) >= 0);

	zdtm_park();

	return zdtm_pass();
}
