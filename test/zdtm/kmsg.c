/* The kernel log: read to its end, in its midst, from its start, and only written to. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "zdtm.h"

static int reader(void)
{
	int fd = open("/dev/kmsg", O_RDWR | O_NONBLOCK);

	check(fd >= 0);
	return fd;
}

/* The number of the next message; -1: there is none. */
static long next(int fd)
{
	char text[8193] = "";
	ssize_t n;

	do
		n = read(fd, text, sizeof(text) - 1);
	while (n < 0 && errno == EPIPE);
	check(n > 0 || errno == EAGAIN);
	return n > 0 ? atol(strchr(text, ',') + 1) : -1;
}

static void say(int fd)
{
	check(write(fd, "<7>crtool test: kmsg", 20) == 20);
}

int main(void)
{
	int end = reader(), amid = reader(), start = reader(), out = open("/dev/kmsg", O_WRONLY);
	long last = -1, at, first, n;

	say(out);
	say(out);
	first = next(start);
	check(lseek(start, 0, SEEK_SET) == 0);
	while ((n = next(end)) >= 0)
		last = n;
	at = next(amid);

	zdtm_park();

	check(first <= at && next(amid) == at + 1 && next(start) == first);
	say(out);
	check(next(end) > last);
	return zdtm_pass();
}
