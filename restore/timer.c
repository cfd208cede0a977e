/*
 * POSIX timers, restore half: created under their old ids when all threads are
 * there to be notified, armed with what was left as late as possible.
 *
 * Linux 6.15 lets a process choose the ids (PR_TIMER_CREATE_RESTORE_IDS).
 * Before, a new process counts them from 0, so that those in between are made
 * and deleted again, and all are made by the leader, one after the other.
 *
 * The signal of a timer that had fired is queued by sigpending.c. From 6.13 on
 * such a signal belongs to its timer, which would rearm itself at the delivery;
 * ours runs already. Each delivery still stands for one expiration, none is
 * lost or counted twice. Where it is known for how many expirations it stands, the timer is set to the
 * moment, now past, of the first of them instead: the kernel queues the signal and goes on to count.
 *
 * --time passes: one that would have expired meanwhile is set to the moment, now past, at which it did,
 * so that it fires at once and the kernel counts the overruns; before the boot of the machine there are no such
 * moments, so that we count and queue the signal. Only clocks of the machine go on while nobody runs.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/procstate.h"
#include "proto/timer.pb-c.h"
#include "restore/passed.h"
#include "restore/restore.h"
#include "restore/timer.h"

#ifndef PR_TIMER_CREATE_RESTORE_IDS /* 6.15 */
#define PR_TIMER_CREATE_RESTORE_IDS     77
#define PR_TIMER_CREATE_RESTORE_IDS_OFF 0
#define PR_TIMER_CREATE_RESTORE_IDS_ON  1
#define PR_TIMER_CREATE_RESTORE_IDS_GET 2
#endif

#define COUNTED_IDS \
	(1u << 22) /* ids that we are willing to count up to; a million takes a second */

static bool can_choose_ids(void)
{
	return prctl(PR_TIMER_CREATE_RESTORE_IDS, PR_TIMER_CREATE_RESTORE_IDS_GET, 0, 0, 0) >= 0;
}

static int timer_check(struct restore *r, uint32_t owner, const ProtobufCMessage *base)
{
	const Img__Timer *msg = (const Img__Timer *)base;
	const Img__Timer__One *last = NULL;

	for (size_t i = 0; i < msg->n_timers; i++) {
		const Img__Timer__One *t = msg->timers[i];

		if (t->id > INT32_MAX || (last && t->id <= last->id))
			return fail(-EBADMSG, "task %u: POSIX timer %u is out of order", owner,
			            t->id);
		last = t;
	}
	if (last && last->id > COUNTED_IDS && !can_choose_ids())
		return fail(
			-ENOTSUP,
			"task %u: POSIX timer %u: this kernel cannot create a timer of a "
			"chosen id (PR_TIMER_CREATE_RESTORE_IDS, Linux 6.15), and to count up to "
			"that one takes too long",
			owner, last->id);
	return 0;
}

static void create(const Img__Timer__One *t, int64_t clock, struct script *s)
{
	struct sigevent event = {
		.sigev_value.sival_ptr = (void *)t->value,
		.sigev_signo = (int)t->signal,
		.sigev_notify = (int)t->notify,
	};
	const int id = (int)t->id;

	event._sigev_un._tid = (int)t->target;
	script_call(s, SYS_timer_create, clock, script_put(s, &event, sizeof(event)),
	            script_put(s, &id, sizeof(id)));
}

/* ---- ids that are chosen ---- */

static void choose_ids(struct script *s, uint64_t on)
{
	script_call(s, SYS_prctl, PR_TIMER_CREATE_RESTORE_IDS, on);
}

/* Each thread makes its own. The leader ends the choice of ids, when all other threads have made theirs. */
static void create_chosen(const struct rthread *th, const Img__Timer *msg, struct script *s)
{
	choose_ids(s, PR_TIMER_CREATE_RESTORE_IDS_ON);
	for (size_t i = 0; i < msg->n_timers; i++)
		create(msg->timers[i], msg->timers[i]->clock, s);
	if (th->tid == th->task->pid)
		choose_ids(s, PR_TIMER_CREATE_RESTORE_IDS_OFF);
}

/* ---- ids that are counted ---- */

/* A timer and the thread that it is of. */
struct counted {
	pid_t tid;
	const Img__Timer__One *one;
};

struct timers {
	struct counted *v;
	size_t n, cap;
};

static int by_id(const void *a, const void *b)
{
	const struct counted *x = a, *y = b;

	return (x->one->id > y->one->id) - (x->one->id < y->one->id);
}

/* Use up N ids. */
static void count_up(uint32_t n, struct script *s)
{
	const struct sigevent none = { .sigev_notify = SIGEV_NONE };
	uint64_t id;

	if (!n)
		return;
	id = script_alloc(s, sizeof(uint64_t));
	script_call(s, SYS_timer_create, CLOCK_MONOTONIC, script_put(s, &none, sizeof(none)), id);
	script_op(s, OP_FETCH, EXPECT_SUCCESS, 0, 0, (const uint64_t[6]){ id });
	script_call(s, SYS_timer_delete, 0);
	script_op(s, OP_REPEAT, EXPECT_SUCCESS, 0, 0, (const uint64_t[6]){ 3, n - 1 });
}

/* The CPU clock of a thread has a name for others, too (clock_getcpuclockid(3)). */
static int64_t clock_for_others(const struct counted *c)
{
	return c->one->clock == TIMER_THREAD_CLOCK ? (int32_t)(~(uint32_t)c->tid << 3 | 6)
	                                           : c->one->clock;
}

/* Those of all threads of T. */
static int find_timers(const struct restore *r, const struct rtask *t, struct timers *ret)
{
	array_each (th, &t->threads) {
		const Img__Timer *msg =
			(const Img__Timer *)images_one(r->images, KIND_timer, (uint32_t)th->tid);

		for (size_t i = 0; msg && i < msg->n_timers; i++) {
			struct counted *c = array_add(ret);

			if (!c)
				return -ENOMEM;
			*c = (struct counted){ th->tid, msg->timers[i] };
		}
	}
	if (ret->n)
		qsort(ret->v, ret->n, sizeof(*ret->v), by_id);
	return 0;
}

static void timers_done(struct timers *timers)
{
	array_done(timers);
}

static int create_counted(const struct restore *r, const struct rtask *t, struct script *s)
{
	auto_(timers_done) struct timers all = {};
	int ret = find_timers(r, t, &all);
	uint32_t next = 0;

	if (ret < 0)
		return ret;
	array_each (c, &all) {
		if (c->one->id < next)
			return fail(-EBADMSG, "task %d: POSIX timer %u is there twice", t->pid,
			            c->one->id);
		count_up(c->one->id - next, s);
		create(c->one, clock_for_others(c), s);
		next = c->one->id + 1;
	}
	return 0;
}

/* ---- */

static int timer_create_all(struct restore *r, struct rthread *th, const ProtobufCMessage *base,
                            struct script *s)
{
	if (!can_choose_ids())
		return th->tid == th->task->pid ? create_counted(r, th->task, s) : 0;
	create_chosen(th, (const Img__Timer *)base, s);
	return 0;
}

static int timer_create_own(struct restore *r, struct rthread *th, const ProtobufCMessage *base,
                            struct script *s)
{
	return th->tid == th->task->pid ? 0 : timer_create_all(r, th, base, s);
}

static struct timespec time_of(uint64_t ns)
{
	return (struct timespec){ (time_t)(ns / 1000000000), (long)(ns % 1000000000) };
}

/*
 * The moment before now that is LATE, by the clock of T as the tree has it. 0: this machine was not running then, and
 * the kernel would count from its boot on (kernel/time/namespace.c, do_timens_ktime_to_host()).
 */
static uint64_t moment(const struct restore *r, const Img__Timer__One *t, uint64_t late)
{
	int64_t since_boot, ahead = clocks_ahead(r, (clockid_t)t->clock);
	struct timespec now = {};

	clock_gettime((clockid_t)t->clock, &now);
	since_boot = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec -
	             clocks_ours(r, (clockid_t)t->clock);
	if (since_boot <= (int64_t)late)
		return 0;
	return (uint64_t)(since_boot - (int64_t)late + clocks_ours(r, (clockid_t)t->clock) + ahead);
}

/* Its signal, as if it had just expired for the last of TIMES. What timer_getoverrun(2) says is not that. */
static void queue_signal(const struct rthread *th, const Img__Timer__One *t, uint64_t times,
                         struct script *s)
{
	siginfo_t info = { .si_signo = (int)t->signal, .si_code = SI_TIMER };
	uint64_t at;

	if (t->notify != SIGEV_SIGNAL && t->notify != SIGEV_THREAD_ID)
		return;
	info.si_timerid = (int)t->id;
	info.si_overrun = times - 1 > INT32_MAX ? INT32_MAX : (int)(times - 1);
	info.si_value.sival_ptr = (void *)t->value;
	at = script_put(s, &info, sizeof(info));
	if (t->notify == SIGEV_THREAD_ID)
		script_call(s, SYS_rt_tgsigqueueinfo, th->task->pid, t->target, t->signal, at);
	else
		script_call(s, SYS_rt_sigqueueinfo, th->task->pid, t->signal, at);
}

static bool is_of_machine(const Img__Timer__One *t)
{
	return t->clock >= 0 && t->clock != CLOCK_PROCESS_CPUTIME_ID &&
	       t->clock != CLOCK_THREAD_CPUTIME_ID;
}

/* The moment of the first expiration that its signal, which waits, stands for. 0: sigpending.c queues the signal. */
static uint64_t first_expiration(const struct restore *r, const Img__Timer__One *t)
{
	uint64_t late;

	if (!t->expired || !t->left || t->left > t->interval || !is_of_machine(t) ||
	    time_passed(r) || __builtin_mul_overflow(t->expired, t->interval, &late))
		return 0;
	return moment(r, t, late - t->left);
}

static int compare_id(const void *key, const void *member)
{
	uint32_t id = *(const uint32_t *)key, other = (*(Img__Timer__One *const *)member)->id;

	return (id > other) - (id < other);
}

static const Img__Timer__One *find(const struct restore *r, pid_t maker, uint32_t id)
{
	const Img__Timer *msg =
		(const Img__Timer *)images_one(r->images, KIND_timer, (uint32_t)maker);
	Img__Timer__One **one = msg && msg->n_timers ? bsearch(&id, msg->timers, msg->n_timers,
	                                                       sizeof(*msg->timers), compare_id)
	                                             : NULL;

	return one ? *one : NULL;
}

bool timer_queues(const struct restore *r, const struct rthread *th, siginfo_t *info)
{
	const Img__Timer__One *t = NULL;

	if (info->si_code == SI_TIMER)
		t = find(r, th->task->pid, (uint32_t)info->si_timerid);
	if (info->si_code == SI_TIMER && !t)
		t = find(r, th->tid, (uint32_t)info->si_timerid);
	if (!t || (int)t->signal != info->si_signo || !t->expired)
		return false;
	info->si_overrun = t->expired > INT32_MAX ? INT32_MAX : (int)(t->expired - 1);
	return first_expiration(r, t) != 0;
}

static void arm(const struct restore *r, const struct rthread *th, const Img__Timer__One *t,
                struct script *s)
{
	uint64_t passed = time_passed(r), left = t->left, times = 0, at = first_expiration(r, t);
	struct itimerspec when = { .it_interval = time_of(t->interval) };

	if (!at && is_of_machine(t))
		times = timer_catch_up(passed, t->interval, &left);
	if (times)
		at = moment(r, t, passed - t->left);
	if (times && !at && t->interval)
		queue_signal(th, t, times, s);
	else if (times && !at)
		at = 1;
	when.it_value = time_of(at ? at : left);
	script_call(s, SYS_timer_settime, t->id, at ? TIMER_ABSTIME : 0,
	            script_put(s, &when, sizeof(when)), 0);
}

static int timer_arm_all(struct restore *r, struct rthread *th, const ProtobufCMessage *base,
                         struct script *s)
{
	const Img__Timer *msg = (const Img__Timer *)base;

	for (size_t i = 0; i < msg->n_timers; i++)
		if (msg->timers[i]->left)
			arm(r, th, msg->timers[i], s);
	return 0;
}

const struct restore_aspect restore_timer = {
	.check = timer_check,
	.emit[PHASE_THREAD] = timer_create_own,
	.emit[PHASE_PROCESS] = timer_create_all,
	.emit[PHASE_LAST] = timer_arm_all,
};
