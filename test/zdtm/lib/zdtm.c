/* See zdtm.h. Paths are absolute, so that victims may change their directory. */
#include "zdtm.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static char parked[PATH_MAX + 16], release[PATH_MAX + 16], result[PATH_MAX + 16];

__attribute__((constructor)) static void zdtm_init(void)
{
	char dir[PATH_MAX];

	check(getcwd(dir, sizeof(dir)));
	snprintf(parked, sizeof(parked), "%s/parked", dir);
	snprintf(release, sizeof(release), "%s/release", dir);
	snprintf(result, sizeof(result), "%s/result", dir);
}

void zdtm_fail(const char *file, int line, const char *cond)
{
	dprintf(STDERR_FILENO, "%s:%d: check(%s) failed, errno %d (%s)\n", file, line, cond, errno,
	        strerror(errno));
	_exit(1);
}

/* Of several copies each says the same: what one has said is there while others say it, so nothing is cut off. */
static void file_make(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);

	check(fd >= 0);
	check(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	check(close(fd) == 0);
}

void zdtm_nap(void)
{
	struct timespec nap = { .tv_nsec = 2000000 };

	check(nanosleep(&nap, NULL) == 0);
}

void zdtm_parked(void)
{
	file_make(parked, "");
}

bool zdtm_released(void)
{
	return access(release, F_OK) == 0;
}

void zdtm_park(void)
{
	zdtm_parked();
	while (!zdtm_released())
		zdtm_nap();
}

int zdtm_pass(void)
{
	file_make(result, "pass");
	return 0;
}
