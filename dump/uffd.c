#include "dump/uffd.h"

#include <errno.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>

#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif

int uffd_begin(int uffd)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_WP_ASYNC };

	return ioctl(uffd, UFFDIO_API, &api) < 0 ? -errno : 0;
}

int uffd_track(int uffd, uint64_t start, uint64_t size)
{
	struct uffdio_register reg = { .range = { start, size }, .mode = UFFDIO_REGISTER_MODE_WP };

	return ioctl(uffd, UFFDIO_REGISTER, &reg) < 0 ? -errno : 0;
}

int uffd_untrack(int uffd, uint64_t start, uint64_t size)
{
	struct uffdio_range range = { start, size };

	return ioctl(uffd, UFFDIO_UNREGISTER, &range) < 0 ? -errno : 0;
}

int uffd_disarm(int uffd, uint64_t start, uint64_t size)
{
	struct uffdio_writeprotect wp = { .range = { start, size } };

	return ioctl(uffd, UFFDIO_WRITEPROTECT, &wp) < 0 ? -errno : 0;
}
