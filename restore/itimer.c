/*
 * Interval timers, restore half: armed as late as possible, with what was left.
 *
 * A periodic ITIMER_REAL whose SIGALRM is pending does not run until the
 * signal is taken (kernel/signal.c, dequeue_signal()) and then shows nothing
 * left: it is armed for its whole interval.
 *
 * With --time passes one that has expired meanwhile fires at once; however often it
 * would have, SIGALRM is not counted. CPU time does not pass for who does not run.
 */
#include <errno.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "lib/log.h"
#include "proto/itimer.pb-c.h"
#include "restore/passed.h"
#include "restore/restore.h"

static int itimer_check(struct restore *r, uint32_t owner, const ProtobufCMessage *base)
{
	const Img__Itimer *msg = (const Img__Itimer *)base;

	for (size_t i = 0; i < msg->n_timers; i++)
		if (msg->timers[i]->which > ITIMER_PROF)
			return fail(-EBADMSG, "task %u: interval timer %u", owner,
			            msg->timers[i]->which);
	return 0;
}

static struct timeval time_of(uint64_t us)
{
	return (struct timeval){ (time_t)(us / 1000000), (suseconds_t)(us % 1000000) };
}

/* In us; never 0, which disarms. */
static uint64_t value_of(const struct restore *r, const Img__Itimer__Timer *t)
{
	uint64_t left = t->value;

	if (!left)
		return t->interval;
	if (t->which == ITIMER_REAL && timer_catch_up(time_passed(r) / 1000, 0, &left))
		return 1;
	return left;
}

static int itimer_emit(struct restore *r, struct rthread *th, const ProtobufCMessage *base,
                       struct script *s)
{
	const Img__Itimer *msg = (const Img__Itimer *)base;

	for (size_t i = 0; i < msg->n_timers; i++) {
		const Img__Itimer__Timer *t = msg->timers[i];
		const struct itimerval value = {
			.it_value = time_of(value_of(r, t)),
			.it_interval = time_of(t->interval),
		};

		script_call(s, SYS_setitimer, t->which, script_put(s, &value, sizeof(value)), 0);
	}
	return 0;
}

const struct restore_aspect restore_itimer = {
	.check = itimer_check,
	.emit[PHASE_LAST] = itimer_emit,
};
