/* Memory that cannot be saved: the argument says which. */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/userfaultfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "zdtm.h"

#define SIZE 8192UL

static void *map(int fd)
{
	int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
	void *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, flags, fd, 0);

	check(p != MAP_FAILED);
	return p;
}

static void secret(void)
{
	int fd = (int)syscall(SYS_memfd_secret, 0);

	if (fd < 0 && errno == ENOSYS)
		exit(77); /* before Linux 6.5 only where the kernel's command line asks for it */
	check(fd >= 0 && ftruncate(fd, SIZE) == 0);
	memset(map(fd), 'x', SIZE);
	close(fd);
}

static void uring(void)
{
	struct io_uring_params params = {};
	int fd = (int)syscall(SYS_io_uring_setup, 1, &params);

	check(fd >= 0);
	check(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, IORING_OFF_SQ_RING) != MAP_FAILED);
	close(fd);
}

static void uffd(void)
{
	int fd = (int)syscall(SYS_userfaultfd, 0);
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .range = { (unsigned long)map(-1), SIZE },
		                         .mode = UFFDIO_REGISTER_MODE_MISSING };

	check(fd >= 0 && ioctl(fd, UFFDIO_API, &api) == 0);
	check(ioctl(fd, UFFDIO_REGISTER, &range) == 0);
}

/* Only with five levels of page tables, and only for who asks. */
static void high(void)
{
	void *p = mmap((void *)(1UL << 48), SIZE, PROT_READ | PROT_WRITE,
	               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (p == MAP_FAILED)
		_exit(77);
	memset(p, 'x', SIZE);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*make)(void);
	} kinds[] = {
		{ "secret", secret }, { "uring", uring }, { "uffd", uffd }, { "high", high }
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (argc > 1 && !strcmp(argv[1], kinds[i].name))
			kinds[i].make();
	zdtm_park();
	return zdtm_pass();
}
