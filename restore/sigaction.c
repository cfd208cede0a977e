/*
 * Signal dispositions, restore half. Every task starts with all of them at
 * their defaults (CLONE_CLEAR_SIGHAND) and all signals blocked. They are set
 * when all threads and children exist, before anything is queued: setting an
 * action that ignores a signal throws pending ones away.
 */
#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>

#include "lib/kernel.h"
#include "lib/log.h"
#include "proto/sigaction.pb-c.h"
#include "restore/restore.h"

static int sigaction_check(struct restore *r, uint32_t owner, const ProtobufCMessage *base)
{
	const Img__Sigaction *msg = (const Img__Sigaction *)base;

	for (size_t i = 0; i < msg->n_actions; i++) {
		uint32_t sig = msg->actions[i]->signal;

		if (sig < 1 || sig > KERNEL_NSIG || sig == SIGKILL || sig == SIGSTOP)
			return fail(-EBADMSG, "task %u: an action for signal %u", owner, sig);
	}
	return 0;
}

static int sigaction_emit(struct restore *r, struct rthread *th, const ProtobufCMessage *base,
                          struct script *s)
{
	const Img__Sigaction *msg = (const Img__Sigaction *)base;

	for (size_t i = 0; i < msg->n_actions; i++) {
		const Img__Sigaction__Action *a = msg->actions[i];
		const struct kernel_sigaction sa = { a->handler, a->flags, a->restorer, a->mask };

		script_call(s, SYS_rt_sigaction, a->signal, script_put(s, &sa, sizeof(sa)), 0,
		            sizeof(sa.mask));
	}
	return 0;
}

const struct restore_aspect restore_sigaction = {
	.table = TABLE_SIGHAND,
	.check = sigaction_check,
	.emit[PHASE_PROCESS] = sigaction_emit,
};
