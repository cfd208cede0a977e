/* The memory devices: null, zero, full, random, urandom. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "zdtm.h"

int main(void)
{
	int null = open("/dev/null", O_RDWR | O_APPEND), zero = open("/dev/zero", O_RDONLY);
	int full = open("/dev/full", O_WRONLY), random = open("/dev/random", O_RDONLY | O_NONBLOCK);
	int urandom = open("/dev/urandom", O_RDONLY), flags = fcntl(null, F_GETFL);
	char c = 1;

	check(null >= 0 && zero >= 0 && full >= 0 && random >= 0 && urandom >= 0);

	zdtm_park();

	check(read(null, &c, 1) == 0 && write(null, &c, 1) == 1);
	check(read(zero, &c, 1) == 1 && c == 0);
	check(write(full, &c, 1) < 0 && errno == ENOSPC);
	check(read(random, &c, 1) == 1 && read(urandom, &c, 1) == 1);
	check(fcntl(null, F_GETFL) == flags && (flags & O_APPEND));
	check(fcntl(random, F_GETFL) & O_NONBLOCK);
	return zdtm_pass();
}
