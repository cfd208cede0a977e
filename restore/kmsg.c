/* The kernel log, open for reading, restore half: read again up to where it stood. After a boot it begins anew. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/kmsg.pb-c.h"
#include "restore/restore.h"

#define MESSAGE_MAX 8192 /* CONSOLE_EXT_LOG_MAX */

/* Read until NEXT is the next; what was overwritten meanwhile is passed over. FD does not block. */
static int read_up_to(int fd, uint64_t next)
{
	for (uint64_t at = 0; at < next;) {
		char text[MESSAGE_MAX + 1];
		ssize_t n = read(fd, text, sizeof(text) - 1);
		const char *number;

		if (n < 0 && errno == EPIPE)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		text[n] = '\0';
		number = strchr(text, ',');
		if (!number)
			return -EPROTO;
		at = strtoull(number + 1, NULL, 10) + 1;
	}
	return 0;
}

/* The oldest message that there is. */
static uint64_t first_of(int fd)
{
	char text[MESSAGE_MAX + 1] = "";
	const char *number;

	if (read(fd, text, sizeof(text) - 1) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return 0;
	number = strchr(text, ',');
	return number ? strtoull(number + 1, NULL, 10) : 0;
}

static int kmsg_open(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__Kmsg *msg = (const Img__Kmsg *)base;
	auto_close int fd = -1;
	struct stat st;
	int e = 0;

	if (stat(msg->path, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 11))
		return fail(-ENOTSUP, "device %s: is not the kernel log", msg->path);
	fd = open(msg->path, (int)(file->flags & O_ACCMODE) | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return fail(-errno, "device %s", msg->path);
	if (pool_same_boot(r) && first_of(fd) < msg->next)
		e = read_up_to(fd, msg->next);
	if (e == 0 && fcntl(fd, F_SETFL, file->flags & (O_APPEND | O_NONBLOCK)) < 0)
		e = -errno;
	return e < 0 ? fail(e, "device %s: read up to message %llu", msg->path,
	                    (unsigned long long)msg->next)
	             : take_fd(&fd);
}

const struct restore_kind restore_kmsg = {
	.open = kmsg_open,
};
