#include "lib/awake.h"

#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>

int awake_hold(void)
{
	const int32_t latency = 0; /* us until an idle CPU runs */
	int fd = open("/dev/cpu_dma_latency", O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, &latency, sizeof(latency)) != sizeof(latency))
		awake_end(&fd);
	return fd;
}

void awake_end(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}
