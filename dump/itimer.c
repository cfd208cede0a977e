/*
 * Interval timers, dump half: getitimer(2) inside, nothing shows them outside.
 * Time stands still for them: what is left is kept, not when they would fire.
 */
#include <sys/syscall.h>
#include <sys/time.h>

#include "dump/dump.h"
#include "proto/itimer.pb-c.h"

#define TIMERS 3

static int itimer_ask(struct dump *d, struct thread *th, struct script *s, struct ask *ret)
{
	ret->at = script_alloc(s, TIMERS * sizeof(struct itimerval));
	ret->first = s->ops.n;
	for (uint64_t i = 0; i < TIMERS; i++)
		script_call(s, SYS_getitimer, i, ret->at + i * sizeof(struct itimerval));
	return 0;
}

static uint64_t microseconds(const struct timeval *tv)
{
	return (uint64_t)tv->tv_sec * 1000000 + (uint64_t)tv->tv_usec;
}

static int itimer_take(struct dump *d, struct thread *th, const struct script *s,
                       const struct ask *ask)
{
	const struct itimerval *answer = script_at(s, ask->at);
	Img__Itimer msg = IMG__ITIMER__INIT;
	Img__Itimer__Timer timers[TIMERS], *list[TIMERS];

	msg.timers = list;
	for (uint32_t i = 0; i < TIMERS; i++) {
		Img__Itimer__Timer *t = &timers[msg.n_timers];

		img__itimer__timer__init(t);
		t->which = i;
		t->value = microseconds(&answer[i].it_value);
		t->interval = microseconds(&answer[i].it_interval);
		if (t->value || t->interval)
			list[msg.n_timers++] = t;
	}
	if (!msg.n_timers)
		return 0;
	return image_put(d->out, KIND_itimer, (uint32_t)th->task->pid, &msg.base);
}

const struct dump_aspect dump_itimer = {
	.scope = SCOPE_PROCESS,
	.ask = itimer_ask,
	.alike = true,
	.late = true,
	.take = itimer_take,
};
