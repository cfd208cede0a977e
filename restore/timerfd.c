/*
 * timerfd, restore half. The time between dump and restore does not count: what
 * remained then remains now, unless --time passes. Only an absolute time of the real-time clock is
 * a date, and stays one. Setting the time clears the ticks, so they come last.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/timerfd.pb-c.h"
#include "restore/passed.h"
#include "restore/restore.h"

#ifndef TFD_IOC_SET_TICKS
#define TFD_IOC_SET_TICKS _IOW('T', 0, uint64_t)
#endif

static struct timespec timespec_of(uint64_t ns)
{
	return (struct timespec){ (time_t)(ns / 1000000000), (long)(ns % 1000000000) };
}

static int timerfd_arm(int fd, const Img__Timerfd *msg, uint64_t passed)
{
	uint64_t left = msg->value, ticks = msg->ticks;
	struct itimerspec set = {
		.it_interval = timespec_of(msg->interval),
	};

	if (left && !msg->expiry)
		ticks += timer_catch_up(passed, msg->interval, &left);
	set.it_value = timespec_of(msg->expiry ? msg->expiry : left);
	if (left && timerfd_settime(fd, msg->expiry ? (int)msg->flags : 0, &set, NULL) < 0)
		return -errno;
	if (ticks && ioctl(fd, TFD_IOC_SET_TICKS, &ticks) < 0)
		return -errno;
	return 0;
}

static int timerfd_open(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__Timerfd *msg = (const Img__Timerfd *)base;
	auto_close int fd = timerfd_create((int)msg->clock, TFD_CLOEXEC);
	int e;

	if (fd < 0)
		return fail(-errno, "timerfd %u: create with clock %u%s", file->id, msg->clock,
		            errno == EPERM ? " (needs CAP_WAKE_ALARM)" : "");
	e = pool_set_flags(fd, file);
	if (e == 0)
		e = timerfd_arm(fd, msg, time_passed(r));
	return e < 0 ? fail(e, "timerfd %u: set its time", file->id) : take_fd(&fd);
}

const struct restore_kind restore_timerfd = {
	.open = timerfd_open,
};
