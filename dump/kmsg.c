/*
 * The kernel log, open for reading, dump half. Where it stands the memory of the kernel tells. Where that is not
 * to be had, one message is read, which tells its number, and then the messages from the first one on up to that
 * again: should crtool be killed just then, it stands elsewhere. Who has read all of it stands behind the last one.
 * (Open only for writing it has no state: chardev.c.)
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/sysmacros.h>

#include "dump/dump.h"
#include "dump/kernel_memory.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/kmsg.pb-c.h"

#define MESSAGE_MAX 8192 /* CONSOLE_EXT_LOG_MAX */

static bool kmsg_owns(const struct file *f)
{
	return S_ISCHR(f->st.st_mode) && f->st.st_rdev == makedev(1, 11) && !(f->flags & O_PATH) &&
	       (f->flags & O_ACCMODE) != O_WRONLY;
}

static int kmsg_check(struct dump *d, const struct file *f)
{
	struct stat st;

	if (stat(f->link, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == f->st.st_rdev)
		return 0;
	return fail(-ENOTSUP, "%s: the path leads to this device no more", file_name(f));
}

/* "6,339,5140900,-;text": the number of the message that is read; -EAGAIN: there is none. */
static int64_t message_read(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char text[MESSAGE_MAX + 1];
	ssize_t n;

	do {
		if (poll(&p, 1, 0) <= 0 || !(p.revents & POLLIN))
			return -EAGAIN;
		n = read(fd, text, sizeof(text) - 1);
	} while (n < 0 && errno == EPIPE); /* overwritten: the next one */
	if (n < 0)
		return -errno;
	text[n] = '\0';
	n = strchr(text, ',') ? strchr(text, ',') + 1 - text : 0;
	return n ? strtoll(text + n, NULL, 10) : -EPROTO;
}

/* From the first message on, so that NEXT is the next; the number of the one that is. */
static int64_t read_up_to(int fd, int64_t next)
{
	int64_t last = -1;

	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	while (last + 1 < next) {
		int64_t n = message_read(fd);

		if (n == -EAGAIN)
			break;
		if (n < 0)
			return n;
		last = n;
	}
	return last + 1;
}

/* The oldest message that there is. */
static int64_t first_of(const struct file *f)
{
	auto_close int fd = open(f->link, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	return fd < 0 ? -errno : message_read(fd);
}

static int64_t end_of(const struct file *f)
{
	auto_close int fd = open(f->link, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	return fd < 0 ? -errno : read_up_to(fd, INT64_MAX);
}

/* The number from which it reads on. -errno: the kernel does not tell. */
static int64_t next_told(struct dump *d, const struct file *f)
{
	struct kmem_reader r = { .k = kernel_memory(d) };
	auto_close int fd = r.k ? file_steal(f) : -EOPNOTSUPP;
	uint64_t next;

	if (fd < 0)
		return fd;
	next = kmem_get(&r, "devkmsg_user", "seq", kmem_private(&r, fd));
	return r.error ? r.error : (int64_t)next;
}

static int64_t next_read(const struct file *f)
{
	auto_close int fd = file_steal(f);
	int64_t next = fd < 0 ? fd : message_read(fd), first, r;

	if (next == -EAGAIN)
		return end_of(f);
	first = next < 0 ? next : first_of(f);
	if (first < 0)
		return first;
	r = first == next ? lseek(fd, 0, SEEK_SET) : read_up_to(fd, next);
	return r < 0 ? r : next;
}

static int kmsg_dump(struct dump *d, const struct file *f)
{
	Img__Kmsg msg = IMG__KMSG__INIT;
	int64_t next = next_told(d, f);

	if (next < 0)
		next = next_read(f);
	if (next < 0)
		return fail((int)next, "%s: where it reads", file_name(f));
	msg.path = f->link;
	msg.next = (uint64_t)next;
	return image_put(d->out, KIND_kmsg, f->id, &msg.base);
}

const struct dump_kind dump_kmsg = {
	.owns = kmsg_owns,
	.check = kmsg_check,
	.dump = kmsg_dump,
};
