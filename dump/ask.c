/*
 * The parasite: what only the process itself can see. One script per thread,
 * all threads of all processes in flight at once; then the arena is unmapped
 * and nothing of it is left.
 */
#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "dump/alike.h"
#include "dump/alike_tasks.h"
#include "dump/dispatch.h"
#include "dump/dump.h"
#include "dump/guard.h"
#include "dump/peek.h"
#include "dump/snapshot.h"
#include "dump/stages.h"
#include "dump/task.h"
#include "dump/threads.h"
#include "dump/track.h"
#include "dump/writers.h"
#include "lib/cleanup.h"
#include "lib/deadline.h"
#include "lib/fd.h"
#include "lib/hands.h"
#include "lib/log.h"
#include "lib/procfs.h"

#define ARENA_TASK       (1024 * 1024) /* asked once per process */
#define ARENA_PER_THREAD (16 * 1024)   /* asked per thread, besides its stack */
#define ARENA_SPARE      8             /* threads that may have to be asked besides */
#define ARENA_WARM       (32 * 1024)   /* of what a process is asked, mostly */
#define FEW              16            /* tasks for which that is no waste of memory */

/* Once for all threads, some of which are asked before the freeze. */
static uint64_t concerns(struct task *t)
{
	uint64_t all = 0;

	for (size_t i = 0; i < dump_naspects; i++) {
		const struct dump_aspect *aspect = dump_aspects[i].aspect;

		if (!aspect->concerns || aspect->concerns(t))
			all |= UINT64_C(1) << i;
	}
	return all;
}

static int ask_thread(struct dump *d, struct thread *th)
{
	struct script *s = &th->script;
	struct ask *own;
	int r;

	r = peek_prepare(th);
	if (r < 0)
		return r;
	script_init(s, &mm_of(th->task)->arena);
	for (size_t i = 0; i < dump_naspects; i++) {
		const struct dump_aspect *aspect = dump_aspects[i].aspect;

		r = 0;
		if (d->opt->memory_only || !aspect_concerns(i, th))
			continue;
		s->room = dump_aspects[i].name;
		th->asks[i].first = s->ops.n;
		if (aspect->ask)
			r = aspect->ask(d, th, s, &th->asks[i]);
		if (r < 0)
			return r;
	}
	own = &th->asks[dump_naspects];
	s->room = "thread";
	own->at = script_alloc(s, sizeof(struct thread_answers));
	own->first = script_call(s, SYS_prctl, PR_GET_TID_ADDRESS,
	                         own->at + offsetof(struct thread_answers, tid_address));
	script_call(s, SYS_get_robust_list, 0,
	            own->at + offsetof(struct thread_answers, robust_list),
	            own->at + offsetof(struct thread_answers, robust_size));
	r = snapshot_ask(d, th, s);
	if (r == 0)
		r = writers_ask(th, s);
	script_op(s, OP_STOP, EXPECT_SUCCESS, 0, 0, (const uint64_t[6]){});
	return r;
}

/* Of the process; one that is pending for another thread alone is met as tracee.late_signal. */
static uint32_t choose_signal(const struct task *t)
{
	const char *status = t->threads.v[0].status;
	uint64_t caught = 0, pending = 0, shared = 0;

	status_u64(status, "SigCgt", 16, &caught);
	status_u64(status, "SigPnd", 16, &pending);
	status_u64(status, "ShdPnd", 16, &shared);
	pending |= t->raised;
	return parasite_signal(caught, pending | shared);
}

static void leave_of(const struct thread *th, struct arch_leave *ret)
{
	const struct task *mm = mm_of(th->task);

	arch_leave_from(ret, &th->tracee.regs, th->tracee.sigmask);
	/* Alone in the arena: it unmaps it, too. */
	if (mm->door && mm->mm_asked == 1 && !mm->writers)
		ret->door = arch_door(mm->door, DOOR_UNDO);
}

/* Written now, unless it was before the freeze. *SIGNAL is chosen when the leader, the first, has been asked. */
static int build_script(struct dump *d, struct thread *th, uint32_t *signal)
{
	struct arch_leave leave;
	int r = 0;

	leave_of(th, &leave);
	if (th->script.head) {
		script_amend(&th->script, *signal, &leave, sizeof(leave));
		return 0;
	}
	r = ask_thread(d, th);
	if (th == th->task->threads.v)
		*signal = choose_signal(th->task);
	if (r == 0)
		r = script_finish(&th->script, 0, *signal, &leave, sizeof(leave));
	return r < 0 ? fail(r, "%s: write the script of thread %d", task_name(th->task), th->tid)
	             : 0;
}

/* Who answers for it has been asked. */
static int follow(struct thread *th)
{
	const struct ask *asked = thread_asked(th)->asks;
	int r = peek_prepare(th);

	for (size_t i = 0; r == 0 && i < dump_naspects; i++)
		th->asks[i] = (struct ask){ .at = asked[i].at, .first = asked[i].first };
	return r;
}

/* ---- before the freeze ---- */

static size_t arena_size(size_t users, size_t threads)
{
	return users * ARENA_TASK + threads * (ARENA_PER_THREAD + ARENA_STACK);
}

static int arena_ready(struct task *t, uint64_t base, size_t size)
{
	int r = arena_init(&t->arena, base, size);

	return r == 0 && t->writers ? arena_add_code(&t->arena) : r;
}

/*
 * What threads are asked is the same whatever they do, so that all but the leader's script
 * is written before the freeze, for an arena where there is room now.
 */
static int prepare_task(struct dump *d, struct task *t)
{
	const struct arch_leave leave = {};
	int r = writers_choose(d, t);
	size_t threads = alike_asked(t),
	       size = arena_size(1, threads + ARENA_SPARE) + writers_arena(t);
	uint64_t base = r < 0 ? 0 : vmas_gap(t, size);

	r = base ? arena_ready(t, base, size) : r;

	t->concerned = concerns(t);
	if (base && r == 0 && d->tasks.n <= FEW)
		arena_warm(&t->arena, ARENA_WARM + threads * ARENA_PER_THREAD / 4);
	for (size_t i = 1; base && r == 0 && i < t->threads.n; i++) {
		struct thread *th = &t->threads.v[i];

		r = th->like ? peek_prepare(th) : ask_thread(d, th);
		if (r == 0 && !th->like)
			r = script_finish(&th->script, 0, 0, &leave, sizeof(leave));
	}
	return r < 0 ? fail(r, "%s: write the scripts of its threads", task_name(t)) : 0;
}

static void forget_scripts(struct task *t)
{
	array_each (th, &t->threads) {
		script_done(&th->script);
		th->script = (struct script){};
		peek_done(th);
	}
	arena_done(&t->arena);
}

/* Is there still room at that place, for all who are asked? */
static bool is_prepared(const struct task *t)
{
	return t->arena.local && t->shares[TABLE_VM] == t && t->mm_users <= 1 &&
	       !t->threads.v[0].asks &&
	       arena_size(1, t->mm_asked) + writers_arena(t) <= t->arena.size &&
	       vmas_gap(t, t->arena.size) == t->arena.base;
}

/* ---- frozen ---- */

/* Or answers another for it? */
static bool is_asked(const struct task *t)
{
	return t->state != TASK_ZOMBIE && !t->threads.v[0].like;
}

static int make_arena(struct dump *d, struct task *t)
{
	size_t size = arena_size(t->mm_users, t->mm_asked) + writers_arena(t);
	uint64_t base = is_prepared(t) ? t->arena.base : vmas_gap(t, size);
	int r = task_find_syscall(t);

	if (r == 0 && t->door)
		r = check_door_is_free(d, t);
	if (r < 0)
		return r;
	if (!base)
		return fail(-ENOTSUP, "%s: no free %zu KiB in its address space", task_name(t),
		            size / 1024);
	r = is_prepared(t) ? 0 : arena_ready(t, base, size);
	return r < 0 ? fail(r, "%s: arena", task_name(t)) : 0;
}

/* Is it asked, or answers somebody else for it? */
static int find_like(struct dump *d, struct task *t)
{
	uint64_t concerned = concerns(t);

	if (!is_prepared(t) || t->concerned != concerned)
		forget_scripts(t);
	t->concerned = concerned;
	return alike_task(d, t);
}

/* By one hand, as others do with other tasks: to T alone. */
static int read_status(struct dump *d, struct task *t)
{
	return t->answers && is_asked(t) ? status_of_leader(t) : 0;
}

/* After that of who answers for it. */
static int build_scripts(struct dump *d, struct task *t)
{
	uint32_t signal = 0;
	int r;

	if (t->threads.v[0].like)
		return follow(t->threads.v);
	r = mm_of(t) == t ? make_arena(d, t) : 0;
	if (r == 0)
		r = check_door_is_free(d, t);
	array_each (th, &t->threads)
		if (r == 0 && !th->like)
			r = check_filters(th);
	if (r == 0)
		r = check_keys(t);
	array_each (th, &t->threads)
		if (r == 0 && !th->like)
			r = build_script(d, th, &signal);
	array_each (th, &t->threads)
		if (r == 0 && th->like)
			r = follow(th);
	return r;
}

static int explain_inject(const struct task *t, int r)
{
	if (r == -ENOTSUP)
		return dispatch_fail(&t->threads.v[0]);
	if (r == -ENOMEM)
		return fail(
			r,
			"%s: map the arena into it (if its memory is limited, raise that: prlimit "
			"--pid %d --as=, --data=)",
			task_name(t), t->pid);
	return r < 0 ? fail(r, "%s: map the arena into it", task_name(t)) : 0;
}

static int inject_begin(struct dump *d, struct task *t)
{
	struct tracee *host = &t->threads.v[0].tracee;
	int r;

	if (mm_of(t) != t)
		return 0;
	r = guard_note_arena(d, t, &t->arena);
	if (r == 0)
		r = parasite_inject_begin(&t->parasite, host, &t->arena, t->mem, t->syscall_insn,
		                          t->door, script_signal(&t->threads.v[0].script));
	return explain_inject(t, r);
}

static int inject_end(struct dump *d, struct task *t)
{
	return mm_of(t) == t ? explain_inject(t, parasite_inject_end(&t->parasite)) : 0;
}

static int note_dispatch(struct dump *d, struct task *t)
{
	array_each (th, &t->threads) {
		int r = th->like ? 0 : guard_note_dispatch(d, th);

		if (r < 0)
			return fail(r, "%s: run the script of thread %d", task_name(t), th->tid);
	}
	return 0;
}

static int start(struct dump *d, struct thread *th)
{
	int r;

	if (th->like)
		return 0;
	mm_of(th->task)->parasite.shared |= writers_come(th);
	r = snapshot_arm(d, th);
	if (r == 0)
		r = parasite_start(&mm_of(th->task)->parasite, &th->tracee, &th->script);
	if (r < 0)
		return fail(r, "%s: run the script of thread %d", task_name(th->task), th->tid);
	return 0;
}

static int finish(struct dump *d, struct thread *th)
{
	struct parasite *p = &mm_of(th->task)->parasite;
	int r;

	if (th->like)
		return 0;
	r = parasite_finish(p, &th->tracee, &th->script);

	if (r == 0)
		r = snapshot_disarm(d, th);
	if (r == 0 && &th->tracee != p->host)
		r = tracee_put_back(&th->tracee);
	if (r == -ENOTSUP)
		return dispatch_fail(th);
	if (r < 0)
		return fail(r, "%s: wait for the script of thread %d", task_name(th->task),
		            th->tid);
	return 0;
}

/* All scripts of a hand are on their way before it waits for the first. */
static int run_share(void *arg, unsigned hand)
{
	struct dump *d = arg;
	int r = threads_of(d, hand, start);

	return r < 0 ? r : threads_back(d, hand, finish);
}

static int peek_share(void *arg, unsigned hand)
{
	return threads_of(arg, hand, peek_thread);
}

int ask_hands(struct dump *d)
{
	return hands_await(d->hands);
}

static int talk(struct dump *d, struct task *t)
{
	struct thread *leader = t->threads.v;

	for (size_t i = 0; i < dump_naspects; i++) {
		const struct dump_aspect *aspect = dump_aspects[i].aspect;
		int r = 0;

		if (!aspect->talk || !leader->asks[i].at)
			continue;
		r = parasite_move(&mm_of(t)->parasite, &leader->tracee);
		if (r == 0)
			r = aspect->talk(d, leader, &leader->asks[i]);
		if (r < 0)
			return log_failure()
			               ? r
			               : fail(r, "%s: %s", task_name(t), dump_aspects[i].name);
	}
	return 0;
}

/* When nobody is in the arena any more. */
static int collect(struct dump *d, struct task *t)
{
	int r = mm_of(t) == t ? parasite_collect(&t->parasite) : 0;

	return r < 0 ? fail(r, "%s: read the answers", task_name(t)) : 0;
}

static int explain_cure(const struct task *t, int r)
{
	return r < 0 ? fail(r, "%s: unmap the arena", task_name(t)) : 0;
}

static int cure_begin(struct dump *d, struct task *t)
{
	return t->writers ? 0 : explain_cure(t, parasite_cure_begin(&t->parasite));
}

static int cure_end(struct dump *d, struct task *t)
{
	int r = 0;

	if (writers_of(t, 0))
		return 0; /* they live in it */
	if (t->writers)
		return writers_end_task(d, t);
	r = explain_cure(t, parasite_cure(&t->parasite));

	if (r == 0)
		guard_forget(d, t);
	return r;
}

/* STEP over all that are asked. */
static int each(struct dump *d, int (*step)(struct dump *d, struct task *t))
{
	array_each (t, &d->tasks) {
		int r = is_asked(t) ? step(d, t) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

/* BEGIN with all before END waits for the first: from the last on, so that nobody wakes us for each of them. */
static int each_at_once(struct dump *d, int (*begin)(struct dump *d, struct task *t),
                        int (*end)(struct dump *d, struct task *t))
{
	int r = each(d, begin);

	for (size_t i = d->tasks.n; r == 0 && i-- > 0;)
		if (is_asked(&d->tasks.v[i]))
			r = end(d, &d->tasks.v[i]);
	return r;
}

static int run_scripts(struct dump *d)
{
	static int (*const after[])(struct dump * d, struct task * t) = { collect, snapshot_take,
		                                                          talk, track_ask,
		                                                          writers_take };
	int r = each_at_once(d, inject_begin, inject_end);

	if (r == 0)
		r = each(d, note_dispatch);
	if (r == 0)
		r = gather_statuses(d);
	if (r == 0)
		r = hands_all(d->hands, run_share, d);
	if (r < 0)
		return r;
	hands_give(d->hands, peek_share, d);
	r = peek_share(d, 0);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(after); i++)
		r = each(d, after[i]);
	if (r == 0)
		r = each_at_once(d, cure_begin, cure_end);
	return r < 0 ? r : each(d, check_scripts);
}

int ask_prepare(struct dump *d)
{
	return each(d, prepare_task);
}

int ask_tasks(struct dump *d)
{
	int r = each(d, find_like);

	if (r == 0)
		r = tasks_each(d, read_status);
	array_each (t, &d->tasks)
		if (r == 0 && t->state != TASK_ZOMBIE)
			r = build_scripts(d, t);
	if (r < 0)
		return r;
	deadline_arm(d->opt->timeout_ms);
	r = run_scripts(d);
	deadline_arm(0);
	return r;
}
