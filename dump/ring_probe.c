/* A registration that would fail in one way or another tells, and changes nothing. */
#include "dump/ring_probe.h"

#include <errno.h>
#include <limits.h>
#include <linux/io_uring.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/log.h"

#define BUFFER_GROUPS        65536u
#define REGISTER_PBUF_STATUS 26u /* IORING_REGISTER_PBUF_STATUS, 6.8 */

static int probe_register(int fd, unsigned opcode, void *arg, unsigned n)
{
	return syscall(SYS_io_uring_register, fd, opcode, arg, n) < 0 ? -errno : 0;
}

bool ring_probe_single(int fd)
{
	return probe_register(fd, IORING_REGISTER_EVENTFD, (void *)8, 1) == -EEXIST;
}

/* The kernel looks for another eventfd, and for who may ask, before it reads the number of one. */
const char *ring_probe_eventfd(int fd, bool known)
{
	int r = probe_register(fd, IORING_REGISTER_EVENTFD, (void *)8, 1);

	return r == -EFAULT || (r == -EBUSY && known) ? NULL
	       : r == -EBUSY                          ? "an eventfd is registered with it"
	       : r == -EACCES ? "it is restricted (IORING_REGISTER_RESTRICTIONS)"
	                      : "what is registered with it cannot be told";
}

/*
 * IORING_SETUP_IOPOLL: a time that cannot be read is only looked at where nothing is polled for; by older kernels
 * (6.1) when there are fewer completions than are waited for.
 */
bool ring_probe_iopoll(int fd)
{
	struct io_uring_getevents_arg arg = { .ts = 8 };

	return syscall(SYS_io_uring_enter, fd, 0, UINT_MAX,
	               IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg, sizeof(arg)) >= 0;
}

const char *ring_probe_enter(int fd)
{
	if (syscall(SYS_io_uring_enter, fd, 0, 0, 0, NULL, 0) >= 0)
		return NULL;
	return errno == EBADFD       ? "it is not enabled yet (IORING_SETUP_R_DISABLED)"
	       : errno == EOWNERDEAD ? "the process whose thread polls it (IORING_SETUP_SQPOLL) "
	                               "is gone"
	                             : "it cannot be entered";
}

/* Who does not know the call does not look at its argument. A group of another sort is EINVAL, too. */
const char *ring_probe_buffer_groups(struct dump *d, const struct file *f, int fd)
{
	struct {
		uint32_t group, head, resv[8];
	} status = {};

	if (probe_register(fd, REGISTER_PBUF_STATUS, (void *)8, 1) != -EFAULT) {
		if (d->frozen)
			lose("%s: groups of provided buffers, which this kernel does not tell of",
			     file_name(f));
		return NULL;
	}
	for (; status.group < BUFFER_GROUPS; status.group++)
		if (probe_register(fd, REGISTER_PBUF_STATUS, &status, 1) != -ENOENT)
			return RING_PROVIDED;
	return NULL;
}
