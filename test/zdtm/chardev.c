/* The memory devices: null, zero, full, random, urandom. "tun", "tap": an unattached and an attached tun. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "zdtm.h"

static int tun(bool attached)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);

	check(fd >= 0 && (!attached || ioctl(fd, TUNSETIFF, &ifr) == 0));

	zdtm_park();

	check(attached || (ioctl(fd, TUNSETIFF, &ifr) == 0 && fcntl(fd, F_GETFL) & O_NONBLOCK));
	return zdtm_pass();
}

int main(int argc, char **argv)
{
	int null = open("/dev/null", O_RDWR | O_APPEND), zero = open("/dev/zero", O_RDONLY);
	int full = open("/dev/full", O_WRONLY), random = open("/dev/random", O_RDONLY | O_NONBLOCK);
	int urandom = open("/dev/urandom", O_RDONLY), flags = fcntl(null, F_GETFL);
	char c = 1;

	if (argc > 1)
		return tun(!strcmp(argv[1], "tap"));

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
