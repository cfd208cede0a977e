#include "lib/quiet.h"

#include <errno.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

int quiet_init(struct quiet *q)
{
	q->context = 0;
	return syscall(SYS_io_setup, 1, &q->context) < 0 ? -errno : 0;
}

ssize_t quiet_pread(struct quiet *q, int fd, void *buf, size_t size, off_t at)
{
	struct iocb request = {
		.aio_lio_opcode = IOCB_CMD_PREAD,
		.aio_fildes = (uint32_t)fd,
		.aio_buf = (uintptr_t)buf,
		.aio_nbytes = size,
		.aio_offset = at,
	};
	struct iocb *list[] = { &request };
	struct io_event event;
	long n;

	if (syscall(SYS_io_submit, q->context, 1, list) < 0)
		return -errno;
	do {
		n = syscall(SYS_io_getevents, q->context, 1, 1, &event, NULL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : (ssize_t)event.res;
}

void quiet_done(struct quiet *q)
{
	if (q->context)
		syscall(SYS_io_destroy, q->context);
	q->context = 0;
}
