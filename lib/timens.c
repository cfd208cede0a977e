/* See timens.h. */
#include "lib/timens.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/fd.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

#define SECOND 1000000000

/* "monotonic           -5 200000000" */
static int64_t offset_of(const char *text, const char *clock)
{
	const char *line = strstr(text, clock);
	int64_t sec = 0, nsec = 0;

	if (!line || sscanf(line + strlen(clock), "%" SCNd64 " %" SCNd64, &sec, &nsec) != 2)
		return 0;
	return sec * SECOND + nsec;
}

int timens_read(int proc, struct timens *ret)
{
	auto_free char *text = NULL;
	int r = (int)file_read(
		proc, proc == AT_FDCWD ? "/proc/self/timens_offsets" : "timens_offsets", &text);

	*ret = (struct timens){};
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	ret->monotonic = offset_of(text, "monotonic");
	ret->boottime = offset_of(text, "boottime");
	return 0;
}

/* The nanoseconds are never negative. */
static int64_t seconds(int64_t ns)
{
	return ns / SECOND - (ns % SECOND < 0);
}

int timens_unshare(const struct timens *offsets)
{
	char text[128];

	if (unshare(CLONE_NEWTIME) < 0)
		return -errno;
	snprintf(text, sizeof(text),
	         "monotonic %" PRId64 " %" PRId64 "\nboottime %" PRId64 " %" PRId64 "\n",
	         seconds(offsets->monotonic),
	         offsets->monotonic - seconds(offsets->monotonic) * SECOND,
	         seconds(offsets->boottime),
	         offsets->boottime - seconds(offsets->boottime) * SECOND);
	return file_write(AT_FDCWD, "/proc/self/timens_offsets", text);
}
