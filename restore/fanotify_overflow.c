/*
 * The kernel makes an overflow event when the queue of a group is full: it is filled with events of
 * files of our own, on a file system that nobody else can see, and all but the last are read. Each
 * event is of another file: those of one file would become one event.
 */
#include "restore/fanotify_overflow.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/fanotify.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/fd.h"
#include "restore/hidden_tmpfs.h"

#define EVENT_MAX 512 /* bytes: metadata, handles and a short name */
#define PIDFD     4   /* FAN_EVENT_INFO_TYPE_PIDFD */

/* How many events a queue holds before it overflows; a group takes the number over when it is made. */
static long queue_max(void)
{
	auto_free char *text = NULL;

	if (file_read(AT_FDCWD, "/proc/sys/fs/fanotify/max_queued_events", &text) <= 0)
		return -1;
	return strtol(text, NULL, 10);
}

static int make_events(int top, long n)
{
	for (long i = 0; i < n; i++) {
		int fd = openat(top, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);

		if (fd < 0)
			return -errno;
		close(fd);
	}
	return 0;
}

/* An event may have made descriptors for us. */
static void close_event(const char *event, size_t len)
{
	const struct fanotify_event_metadata *e = (const void *)event;

	if (e->fd >= 0)
		close(e->fd);
	for (size_t at = e->metadata_len; at + sizeof(struct fanotify_event_info_header) <= len;) {
		const struct fanotify_event_info_header *info = (const void *)(event + at);
		const int *pidfd = (const void *)(info + 1);

		if (info->info_type == PIDFD && *pidfd >= 0)
			close(*pidfd);
		if (!info->len)
			return;
		at += info->len;
	}
}

/* With as little room as one event needs, which all need nearly alike, no second one is read. */
static int drop_events(int fd, long n)
{
	char event[EVENT_MAX] __attribute__((aligned(8)));
	size_t room = sizeof(struct fanotify_event_metadata);

	while (n) {
		ssize_t len = read(fd, event, room);

		if (len < 0 && errno == EINVAL && room + 4 <= sizeof(event)) {
			room += 4;
			continue;
		}
		if (len < 0 && errno == EINTR)
			continue;
		if (len <= 0)
			return len < 0 ? -errno : -EIO;
		close_event(event, (size_t)len);
		n--;
	}
	return 0;
}

int fanotify_overflow(int fd)
{
	auto_close int top = hidden_tmpfs();
	long max = queue_max();
	int e;

	if (top < 0 || max <= 0)
		return top < 0 ? top : -EPROTO;
	if (fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_CLOSE_WRITE, top, ".") < 0)
		return -errno;
	e = make_events(top, max + 1);
	if (fanotify_mark(fd, FAN_MARK_FLUSH | FAN_MARK_FILESYSTEM, 0, top, ".") < 0 && e == 0)
		e = -errno;
	return e < 0 ? e : drop_events(fd, max);
}
