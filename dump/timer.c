/*
 * POSIX timers, dump half. /proc/PID/timers shows what they are; what is left
 * and the overrun of the last signal are asked inside. Time stands still for
 * them, as for all timers.
 *
 * Not seen by anybody: which thread a timer on CLOCK_THREAD_CPUTIME_ID counts
 * (the list says -2 for all of them). The expirations that a pending signal
 * stands for, which the kernel counts at its delivery, are in its memory.
 */
#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>

#include "dump/dump.h"
#include "dump/timer_expired.h"
#include "dump/together.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/kernel.h"
#include "lib/log.h"
#include "lib/procstate.h"
#include "proto/timer.pb-c.h"

/* The answers in the arena; timer I has ops 2I (timer_gettime) and 2I+1 (timer_getoverrun). */
struct answers {
	uint64_t n;
	struct answer {
		struct timer_text text;
		struct itimerspec time;
	} timers[];
};

struct timers {
	ARRAY(struct timer_text) list;
};

static void timers_done(struct timers *t)
{
	array_done(&t->list);
}

static int by_id(const void *a, const void *b)
{
	const struct timer_text *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static int timers_read(const struct task *t, struct timers *ret)
{
	auto_free char *text = NULL;
	const char *at;
	struct timer_text one;
	ssize_t r = file_read(t->proc, "timers", &text);

	if (r < 0)
		return r == -ENOENT ? 0 : (int)r; /* a kernel without POSIX timers */
	for (at = text; (r = timer_parse(&at, &one)) > 0;) {
		struct timer_text *p = array_add(&ret->list);

		if (!p)
			return -ENOMEM;
		*p = one;
	}
	if (ret->list.n)
		qsort(ret->list.v, ret->list.n, sizeof(*ret->list.v), by_id);
	return (int)r;
}

static int timer_ask(struct dump *d, struct thread *th, struct script *s, struct ask *ret)
{
	auto_(timers_done) struct timers timers = {};
	struct answers *local;
	int r = together_no_timers(th->task) ? 0 : timers_read(th->task, &timers);

	if (r < 0)
		return fail(r, "%s: read /proc/%d/timers", task_name(th->task), th->task->pid);
	if (!timers.list.n)
		return 0;
	ret->at = script_alloc(s, sizeof(*local) + timers.list.n * sizeof(local->timers[0]));
	local = script_at(s, ret->at);
	if (!local)
		return fail(-ENOSPC, "%s: too many POSIX timers (%zu)", task_name(th->task),
		            timers.list.n);
	ret->first = s->ops.n;
	local->n = timers.list.n;
	for (size_t i = 0; i < timers.list.n; i++) {
		const struct timer_text *t = &timers.list.v[i];

		local->timers[i].text = *t;
		script_call(s, SYS_timer_gettime, t->id,
		            ret->at + offsetof(struct answers, timers[i].time));
		script_call(s, SYS_timer_getoverrun, t->id);
	}
	return 0;
}

static uint64_t nanoseconds(const struct timespec *ts)
{
	return (uint64_t)ts->tv_sec * 1000000000 + (uint64_t)ts->tv_nsec;
}

/* A timer and the thread that must make it again; 0: the leader. */
struct made {
	uint32_t maker;
	Img__Timer__One one;
};

static int by_maker(const void *a, const void *b)
{
	const struct made *x = a, *y = b;

	if (x->maker != y->maker)
		return x->maker < y->maker ? -1 : 1;
	return x->one.id < y->one.id ? -1 : x->one.id > y->one.id;
}

/*
 * Who is told of a CPU clock of "the thread" is taken for that thread: who else
 * would want to know?
 */
static int take_maker(const struct task *t, const struct timer_text *text, uint32_t *ret)
{
	*ret = 0;
	if (text->clock != TIMER_THREAD_CLOCK || (t->threads.n == 1 && !t->headless))
		return 0;
	if (!(text->notify & SIGEV_THREAD_ID))
		return fail(-ENOTSUP,
		            "%s: POSIX timer %d counts the CPU time of a thread, and the kernel "
		            "does not tell of which one",
		            task_name(t), text->id);
	*ret = text->target == t->pid ? 0 : (uint32_t)text->target;
	return 0;
}

static int take_one(const struct task *t, const struct answer *a, int64_t overrun, struct made *ret)
{
	Img__Timer__One *one = &ret->one;

	img__timer__one__init(one);
	one->id = (uint32_t)a->text.id;
	one->clock = a->text.clock;
	one->signal = (uint32_t)a->text.signal;
	one->value = a->text.value;
	one->notify = (uint32_t)a->text.notify;
	one->target = a->text.notify & SIGEV_THREAD_ID ? (uint32_t)a->text.target : 0;
	one->left = nanoseconds(&a->time.it_value);
	one->interval = nanoseconds(&a->time.it_interval);
	one->overrun = overrun > 0 ? (uint32_t)overrun : 0;
	if (overrun > 0)
		lose("%s: POSIX timer %d: timer_getoverrun() will answer 0 instead of %d until "
		     "its next signal",
		     task_name(t), a->text.id, (int)overrun);
	return take_maker(t, &a->text, &ret->maker);
}

/* One record per maker; the leader has one in any case, for it ends the choice of ids. */
static int put_timers(struct dump *d, const struct task *t, struct made *made, size_t n)
{
	auto_free Img__Timer__One **list = calloc(n + 1, sizeof(*list));
	uint32_t maker = 0;
	size_t done = 0;

	if (!list)
		return -ENOMEM;
	qsort(made, n, sizeof(*made), by_maker);
	for (size_t i = 0; i < n; i++)
		list[i] = &made[i].one;
	do {
		Img__Timer msg = IMG__TIMER__INIT;
		int r;

		msg.timers = list + done;
		while (done < n && made[done].maker == maker)
			done++, msg.n_timers++;
		r = image_put(d->out, KIND_timer, maker ? maker : (uint32_t)t->pid, &msg.base);
		if (r < 0)
			return r;
		maker = done < n ? made[done].maker : 0;
	} while (done < n);
	return 0;
}

/* Its signal, one of WAITING, may stand for more than one expiration. */
static bool may_have_expired(const Img__Timer__One *one, uint64_t waiting)
{
	return one->interval && (one->notify & ~SIGEV_THREAD_ID) == SIGEV_SIGNAL &&
	       one->signal >= 1 && one->signal <= KERNEL_NSIG &&
	       waiting & signal_bit((int)one->signal);
}

static void lose_expired(const struct task *t, const Img__Timer__One *one)
{
	lose("%s: POSIX timer %u: how often it has expired while its signal waits, which only the "
	     "memory of the kernel tells",
	     task_name(t), one->id);
}

/* MADE is by id. */
static int take_expired(struct dump *d, const struct task *t, struct made *made, size_t n)
{
	auto_free struct expired *list = calloc(n + 1, sizeof(*list));
	uint64_t waiting = timer_signals_waiting(t);
	size_t asked = 0;
	int r;

	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		list[i].id = made[i].one.id;
		asked += may_have_expired(&made[i].one, waiting);
	}
	r = asked ? timer_expired(d, t, list, n) : 0;
	if (r == -ENOMEM)
		return r;
	for (size_t i = 0; asked && i < n; i++) {
		if (!may_have_expired(&made[i].one, waiting))
			continue;
		made[i].one.expired = r < 0 ? 0 : list[i].times;
		if (r < 0)
			lose_expired(t, &made[i].one);
	}
	return 0;
}

static bool timer_special(struct dump *d, struct task *t)
{
	return !together_no_timers(t);
}

static int timer_take(struct dump *d, struct thread *th, const struct script *s,
                      const struct ask *ask)
{
	const struct answers *answers = script_at(s, ask->at);
	auto_free struct made *made = NULL;
	int r;

	if (!answers)
		return 0;
	/* It was in the target's memory for a while: believe it only as far as it is ours. */
	if (answers->n > s->ops.n ||
	    !script_at(s, ask->at + sizeof(*answers) + answers->n * sizeof(answers->timers[0]) - 1))
		return fail(-EPROTO, "%s: answers about its timers changed", task_name(th->task));
	made = calloc(answers->n + 1, sizeof(*made));
	if (!made)
		return -ENOMEM;
	for (size_t i = 0; i < answers->n; i++) {
		int64_t overrun = script_result(s, ask->first + 2 * i + 1);

		r = take_one(th->task, &answers->timers[i], overrun, &made[i]);
		if (r < 0)
			return r;
	}
	r = take_expired(d, th->task, made, answers->n);
	return r < 0 ? r : put_timers(d, th->task, made, answers->n);
}

const struct dump_aspect dump_timer = {
	.scope = SCOPE_PROCESS,
	.ask = timer_ask,
	.alike = true,
	.special = timer_special,
	.take = timer_take,
};
