/*
 * Pending signals, restore half: all signals are blocked, so each thread can
 * queue its own for itself. To itself alone may a thread claim any sender
 * (kernel/signal.c, do_rt_sigqueueinfo()), therefore in the last phase, and
 * those of the process by its leader. Limits and credentials come later: the
 * queue is still that of crtool's user.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>

#include "lib/kernel.h"
#include "lib/log.h"
#include "proto/sigpending.pb-c.h"
#include "restore/restore.h"
#include "restore/timer.h"

static int signo(const ProtobufCBinaryData *info)
{
	int sig;

	memcpy(&sig, info->data, sizeof(sig)); /* si_signo comes first */
	return sig;
}

static int check_infos(uint32_t owner, const ProtobufCBinaryData *infos, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int sig;

		if (infos[i].len != KERNEL_SIGINFO_SIZE)
			return fail(-EBADMSG, "thread %u: pending signal of %zu bytes", owner,
			            infos[i].len);
		sig = signo(&infos[i]);
		if (sig < 1 || sig > KERNEL_NSIG || sig == SIGKILL || sig == SIGSTOP)
			return fail(-EBADMSG, "thread %u: pending signal %d", owner, sig);
	}
	return 0;
}

static int sigpending_check(struct restore *r, uint32_t owner, const ProtobufCMessage *base)
{
	const Img__Sigpending *msg = (const Img__Sigpending *)base;
	int res = check_infos(owner, msg->own, msg->n_own);

	return res < 0 ? res : check_infos(owner, msg->shared, msg->n_shared);
}

/* Unless its timer does. */
static void queue(const struct restore *r, const struct rthread *th,
                  const ProtobufCBinaryData *info, bool shared, struct script *s)
{
	siginfo_t si;
	uint64_t at;

	memcpy(&si, info->data, sizeof(si));
	if (timer_queues(r, th, &si))
		return;
	at = script_put(s, &si, sizeof(si));
	if (shared)
		script_call(s, SYS_rt_sigqueueinfo, th->task->pid, si.si_signo, at);
	else
		script_call(s, SYS_rt_tgsigqueueinfo, th->task->pid, th->tid, si.si_signo, at);
}

static int sigpending_emit(struct restore *r, struct rthread *th, const ProtobufCMessage *base,
                           struct script *s)
{
	const Img__Sigpending *msg = (const Img__Sigpending *)base;

	for (size_t i = 0; i < msg->n_own; i++)
		queue(r, th, &msg->own[i], false, s);
	for (size_t i = 0; i < msg->n_shared; i++)
		queue(r, th, &msg->shared[i], true, s);
	return 0;
}

const struct restore_aspect restore_sigpending = {
	.check = sigpending_check,
	.emit[PHASE_LAST] = sigpending_emit,
};
