/* Count, semaphore mode and flags survive, a count of 64 bits, too. */
#include <fcntl.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "zdtm.h"

int main(void)
{
	uint64_t v = 3, big = UINT64_MAX - 1;
	int fd = eventfd(0, EFD_SEMAPHORE), other = eventfd(0, EFD_NONBLOCK);

	check(fd >= 0 && other >= 0);
	check(write(fd, &v, sizeof(v)) == sizeof(v));
	check(write(other, &big, sizeof(big)) == sizeof(big));

	zdtm_park();

	check(fcntl(fd, F_GETFL) == O_RDWR);
	check(fcntl(other, F_GETFL) == (O_RDWR | O_NONBLOCK));
	for (int i = 0; i < 3; i++) {
		check(read(fd, &v, sizeof(v)) == sizeof(v));
		check(v == 1); /* a semaphore hands out one at a time */
	}
	check(read(other, &v, sizeof(v)) == sizeof(v) && v == big);
	check(read(other, &v, sizeof(v)) < 0);
	return zdtm_pass();
}
