/*
 * epoll, restore half. The file is created by the coordinator; what it watches
 * is added by the first process that has it, which is what a signalfd reports
 * for, and under the number of old. Where that number means another file now,
 * the watched one takes its place for the moment of the call.
 *
 * Edge-triggered rows report again what is ready: one event too many rather than
 * one lost.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/epoll.pb-c.h"
#include "proto/fds.pb-c.h"
#include "restore/restore.h"

struct busy_poll {
	uint32_t usecs;
	uint16_t budget;
	uint8_t prefer, pad;
};
/* EP_PRIVATE_BITS of fs/eventpoll.c: what stays of the events of a one-shot row. */
#define PRIVATE      ((uint32_t)(EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE))
#define EPIOCSPARAMS _IOW(0x8A, 0x01, struct busy_poll)

static int epoll_check(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__Epoll *msg = (const Img__Epoll *)base;

	for (size_t i = 0; i < msg->n_target; i++) {
		if (msg->target[i]->tfd > INT32_MAX)
			return fail(-EBADMSG, "file %u: epoll: fd %u", file->id,
			            msg->target[i]->tfd);
		if (msg->target[i]->file == file->id ||
		    !images_one(r->images, KIND_file, msg->target[i]->file))
			return fail(-EBADMSG, "file %u: epoll: watches file %u", file->id,
			            msg->target[i]->file);
	}
	return 0;
}

static int epoll_open(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__Epoll *msg = (const Img__Epoll *)base;
	auto_close int fd = epoll_create1(EPOLL_CLOEXEC);
	struct busy_poll params = {
		.usecs = msg->busy_poll_usecs,
		.budget = (uint16_t)msg->busy_poll_budget,
		.prefer = (uint8_t)msg->prefer_busy_poll,
	};
	int e = fd < 0 ? -errno : pool_set_flags(fd, file);

	if (e < 0)
		return fail(e, "epoll %u: create", file->id);
	if ((params.usecs || params.budget || params.prefer) &&
	    ioctl(fd, EPIOCSPARAMS, &params) < 0)
		return fail(-errno, "epoll %u: set its busy polling (EPIOCSPARAMS)", file->id);
	return take_fd(&fd);
}

/* Index of a number in the table, or -1. */
static ssize_t table_find(const Img__Fds *fds, uint32_t fd)
{
	size_t low = 0, high = fds ? fds->n_fd : 0;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (fds->fd[mid] < fd)
			low = mid + 1;
		else
			high = mid;
	}
	return fds && low < fds->n_fd && fds->fd[low] == fd ? (ssize_t)low : -1;
}

static bool has_fired(const Img__Epoll__Target *t)
{
	return t->events & EPOLLONESHOT && !(t->events & ~PRIVATE);
}

/*
 * A one-shot row that has fired waits for nothing, not even for errors, which no call
 * asks for: it has to fire. It is added for all that its file may be ready for, and its event is
 * fetched, as long as no other rows are there. If there is none, where the event would be
 * still stands EPOLL_CTL_MOD, and that call is made: then it may report an error or hang-up.
 */
static void fired_emit(int epoll, const Img__Epoll__Target *t, struct script *s)
{
	struct epoll_event quiet = { .events = t->events, .data.u64 = t->data }, wide = quiet;
	const struct epoll_event none = { .events = EPOLL_CTL_MOD };
	uint64_t got = script_put(s, &none, sizeof(none));

	wide.events |= EPOLLIN | EPOLLOUT | EPOLLRDHUP; /* these are no EPOLL_CTL_* but ADD */
	script_call(s, __NR_epoll_ctl, epoll, EPOLL_CTL_ADD, t->tfd,
	            script_put(s, &wide, sizeof(wide)));
	script_ask(s, __NR_epoll_wait, epoll, got, 1, 0);
	script_op(s, OP_FETCH, EXPECT_ANY, 0, 0, (const uint64_t[6]){ got, 1 });
	script_ask(s, __NR_epoll_ctl, epoll, 0, t->tfd, script_put(s, &quiet, sizeof(quiet)));
}

static void add_emit(int epoll, const Img__Epoll__Target *t, struct script *s)
{
	struct epoll_event event = { .events = t->events, .data.u64 = t->data };

	if (has_fired(t))
		fired_emit(epoll, t, s);
	else
		script_call(s, __NR_epoll_ctl, epoll, EPOLL_CTL_ADD, t->tfd,
		            script_put(s, &event, sizeof(event)));
}

/* The number means another file by now, or none. */
static int moved_emit(struct restore *r, int epoll, const Img__Fds *fds, ssize_t at,
                      const Img__Epoll__Target *t, struct script *s)
{
	int number = pool_file(r, t->file), spare = pool_spare(r);

	if (number < 0 || spare < 0)
		return number < 0 ? number : spare;
	if (number == (int)t->tfd) {
		add_emit(epoll, t, s); /* it waits there for another process */
		return 0;
	}
	if (at >= 0)
		script_call(s, __NR_dup3, t->tfd, spare, O_CLOEXEC);
	script_call(s, __NR_dup3, number, t->tfd, O_CLOEXEC);
	add_emit(epoll, t, s);
	if (at >= 0)
		script_call(s, __NR_dup3, spare, t->tfd, fds->cloexec[at] ? O_CLOEXEC : 0);
	else
		script_call(s, __NR_close, t->tfd);
	return 0;
}

static int target_emit(struct restore *r, int epoll, const Img__Fds *fds,
                       const Img__Epoll__Target *t, struct script *s)
{
	ssize_t at = table_find(fds, t->tfd);

	if (at < 0 || fds->file[at] != t->file)
		return moved_emit(r, epoll, fds, at, t, s);
	add_emit(epoll, t, s);
	return 0;
}

/* Those that have fired, or the others. */
static int targets_emit(struct restore *r, int epoll, const Img__Fds *fds, const Img__Epoll *msg,
                        bool fired, struct script *s)
{
	for (size_t i = 0; i < msg->n_target; i++) {
		int e = has_fired(msg->target[i]) == fired && !file_is_last(r, msg->target[i]->file)
		                ? target_emit(r, epoll, fds, msg->target[i], s)
		                : 0;

		if (e < 0)
			return e;
	}
	return 0;
}

static int epoll_emit(struct restore *r, struct rtask *t, int fd, const Img__File *file,
                      const ProtobufCMessage *base, struct script *s)
{
	const Img__Epoll *msg = (const Img__Epoll *)base;
	const Img__Fds *fds = (const Img__Fds *)images_one(r->images, KIND_fds, (uint32_t)t->pid);
	int epoll = pool_file(r, file->id);

	for (int fired = 1; fired >= 0; fired--) {
		int e = epoll < 0 ? epoll : targets_emit(r, epoll, fds, msg, fired, s);

		if (e < 0)
			return e;
	}
	return 0;
}

/* What is made last stands at its number by now; a one-shot row of it is armed again if it has fired. */
static int epoll_emit_last(struct restore *r, struct rtask *t, int fd, const Img__File *file,
                           const ProtobufCMessage *base, struct script *s)
{
	const Img__Epoll *msg = (const Img__Epoll *)base;

	for (size_t i = 0; i < msg->n_target; i++)
		if (file_is_last(r, msg->target[i]->file))
			add_emit(fd, msg->target[i], s);
	return 0;
}

const struct restore_kind restore_epoll = {
	.check = epoll_check,
	.open = epoll_open,
	.emit = epoll_emit,
	.emit_last = epoll_emit_last,
};
