/*
 * Notifications of message queues, restore half: the process registers itself, once
 * all that is not its own is closed, which would end the registration.
 */
#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>

#include "lib/kernel.h"
#include "lib/log.h"
#include "proto/fds.pb-c.h"
#include "proto/mq_notify.pb-c.h"
#include "restore/restore.h"

#define COOKIE 32 /* NOTIFY_COOKIE_LEN */

/* What the process has open as FD is of this KIND. */
static bool is_open(const struct restore *r, uint32_t pid, uint32_t fd, uint32_t kind)
{
	const struct rtask *t = rtask_find(r, (pid_t)pid);
	uint32_t owner = t && t->shares[TABLE_FILES] ? (uint32_t)t->shares[TABLE_FILES]->pid : pid;
	const Img__Fds *fds = (const Img__Fds *)images_one(r->images, KIND_fds, owner);

	for (size_t i = 0; fds && i < fds->n_fd; i++)
		if (fds->fd[i] == fd) {
			const Img__File *file =
				(const Img__File *)images_one(r->images, KIND_file, fds->file[i]);

			return file && file->kind == kind;
		}
	return false;
}

static bool makes_sense(const struct restore *r, uint32_t pid,
                        const Img__MqNotify__Registration *reg)
{
	if (!is_open(r, pid, reg->fd, KIND_mqueue))
		return false;
	switch (reg->how) {
	case SIGEV_NONE:
		return true;
	case SIGEV_SIGNAL:
		return reg->signo <= KERNEL_NSIG;
	case SIGEV_THREAD:
		return reg->cookie.len == COOKIE && is_open(r, pid, reg->socket, KIND_sk_netlink);
	default:
		return false;
	}
}

static int mq_notify_check(struct restore *r, uint32_t owner, const ProtobufCMessage *base)
{
	const Img__MqNotify *msg = (const Img__MqNotify *)base;

	for (size_t i = 0; i < msg->n_registration; i++)
		if (!makes_sense(r, owner, msg->registration[i]))
			return fail(-EBADMSG,
			            "task %u: its registration with message queue fd %u makes no "
			            "sense",
			            owner, msg->registration[i]->fd);
	return msg->n_registration
	               ? 0
	               : fail(-EBADMSG, "task %u: no registration with any message queue", owner);
}

static int mq_notify_emit(struct restore *r, struct rthread *th, const ProtobufCMessage *base,
                          struct script *s)
{
	const Img__MqNotify *msg = (const Img__MqNotify *)base;

	for (size_t i = 0; i < msg->n_registration; i++) {
		const Img__MqNotify__Registration *reg = msg->registration[i];
		struct sigevent event = { .sigev_notify = (int)reg->how,
			                  .sigev_signo = (int)reg->signo };

		event.sigev_value.sival_ptr = (void *)reg->value;
		if (reg->how == SIGEV_THREAD) {
			event.sigev_signo = (int)reg->socket;
			event.sigev_value.sival_ptr =
				(void *)script_put(s, reg->cookie.data, reg->cookie.len);
		}
		script_call(s, SYS_mq_notify, reg->fd, script_put(s, &event, sizeof(event)));
	}
	return 0;
}

const struct restore_aspect restore_mq_notify = {
	.check = mq_notify_check,
	.emit[PHASE_PROCESS] = mq_notify_emit,
};
