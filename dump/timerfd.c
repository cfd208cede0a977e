/*
 * timerfd, dump half. fdinfo shows all of it, but a periodic timer that has
 * expired and was not read stands still there, with time and ticks of its first
 * expiry (fs/timerfd.c: it goes on when somebody asks): so timerfd_gettime(2) is
 * called on a stolen descriptor first, and fdinfo is read after that.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>

#include "dump/dump.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "proto/timerfd.pb-c.h"

static bool timerfd_owns(const struct file *f)
{
	return !strcmp(f->link, "anon_inode:[timerfd]");
}

static uint64_t ns(const struct timespec *t)
{
	return (uint64_t)t->tv_sec * 1000000000 + (uint64_t)t->tv_nsec;
}

static bool is_real_time(uint64_t clock)
{
	return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_ALARM;
}

static int timerfd_ask(const struct file *f, Img__Timerfd *msg)
{
	auto_close int fd = file_steal(f);
	struct itimerspec left;
	struct timespec now;

	if (fd < 0)
		return fd;
	if (timerfd_gettime(fd, &left) < 0 || clock_gettime(CLOCK_REALTIME, &now) < 0)
		return -errno;
	msg->value = ns(&left.it_value);
	msg->interval = ns(&left.it_interval);
	/* It is due in this moment, and 0 would say that it is not set. */
	if (msg->interval && !msg->value)
		msg->value = 1;
	msg->expiry = ns(&now) + msg->value;
	return 0;
}

static int timerfd_read_info(const struct file *f, Img__Timerfd *msg)
{
	auto_free char *text = NULL;
	char path[32];
	uint64_t clock, flags, ticks;
	ssize_t len;

	snprintf(path, sizeof(path), "fdinfo/%d", f->fd);
	len = file_read(f->task->proc, path, &text);
	if (len < 0)
		return (int)len;
	if (!fdinfo_u64(text, "clockid", 10, &clock) || !fdinfo_u64(text, "ticks", 10, &ticks) ||
	    !fdinfo_u64(text, "settime flags", 8, &flags))
		return -EPROTO;
	msg->clock = (uint32_t)clock;
	msg->flags = (uint32_t)flags;
	msg->ticks = ticks;
	return 0;
}

static int timerfd_dump(struct dump *d, const struct file *f)
{
	Img__Timerfd msg = IMG__TIMERFD__INIT;
	int r = timerfd_ask(f, &msg);

	if (r == 0)
		r = timerfd_read_info(f, &msg);
	if (r < 0)
		return fail(r, "%s: ask for its time", file_name(f));
	if (!(msg.flags & TFD_TIMER_ABSTIME) || !is_real_time(msg.clock) || !msg.value)
		msg.expiry = 0;
	return image_put(d->out, KIND_timerfd, f->id, &msg.base);
}

const struct dump_kind dump_timerfd = {
	.owns = timerfd_owns,
	.dump = timerfd_dump,
};
