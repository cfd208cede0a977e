/*
 * Debuggers of the tree (dump/tracees.h). What its tracer does to a tracee is done by the tracer's own
 * thread, the only one that may, when it stands still.
 *
 * A tracer may itself be traced: it lets its tracees go when its own tracer has let it go,
 * and everything is undone in the opposite order.
 */
#include "dump/tracees.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "dump/guard.h"
#include "dump/restart.h"
#include "dump/stages.h"
#include "dump/task.h"
#include "dump/tracer.h"
#include "dump/tracees_judge.h"
#include "lib/deadline.h"
#include "lib/log.h"

#define LEAVE_MS 10000
#define ATTEMPTS 3

static struct thread *find_thread(const struct dump *d, pid_t tid)
{
	struct task *t = task_find(d, tid);

	if (t && t->threads.n && t->threads.v[0].tid == tid)
		return t->threads.v;
	array_each (any, &d->tasks)
		array_each (th, &any->threads)
			if (th->tid == tid)
				return th;
	return NULL;
}

int tracees_look(struct dump *d, struct task *t, pid_t tid, pid_t tracer)
{
	struct thread *by = find_thread(d, tracer);
	struct tracer_flags how;
	struct tracee_seen s;
	const char *why;
	int r = tracee_see(t, tid, &s);

	if (r < 0)
		return fail(r, "%s: read the status of thread %d", task_name(t), tid);
	if (by)
		by->traces = true;
	d->passing = tracee_has_ended(&s);
	if (tracee_why_not(d, &s))
		return tracee_refuse(t, tid, tracer, tracee_why_not(d, &s));
	r = tracer_flags(d, tid, &how);
	if (r < 0 && r != -ESRCH)
		return tracee_refuse(t, tid, tracer,
		                     "this kernel does not tell with which options, or not crtool "
		                     "(CAP_BPF, CAP_PERFMON)");
	why = r < 0 ? NULL : tracee_why_not_so(&s, &how);
	return why ? tracee_refuse(t, tid, tracer, why) : 0;
}

bool tracees_know(const struct dump *d, const struct thread *th)
{
	struct tracee_seen s;

	return tracee_see(th->task, th->tid, &s) == 0 && s.tracer &&
	       find_thread(d, (pid_t)s.tracer);
}

/* ---- calls of a tracer ---- */

/* An arena in the tracer TH, for as long as it is at work. */
struct visit {
	struct arena arena;
	struct parasite parasite;
	uint64_t room;
};

/* Its memory, and a system call instruction in it. */
static int find_places(struct task *t)
{
	int r = task_open_mem(t);

	if (r == 0)
		r = vmas_read(t);
	return r < 0 ? r : task_find_syscall(t);
}

static int visit_begin(struct dump *d, struct thread *th, struct visit *ret)
{
	struct task *t = th->task;
	uint64_t base;
	int r = find_places(t);

	*ret = (struct visit){};
	base = r == 0 ? vmas_gap(t, TRACING_ARENA) : 0;
	if (r == 0)
		r = base ? arena_init(&ret->arena, base, TRACING_ARENA) : -ENOMEM;
	if (r < 0)
		return r;
	ret->room = tracing_room(&ret->arena);
	r = guard_note_arena(d, t, &ret->arena);
	return r < 0 ? r
	             : parasite_inject(&ret->parasite, &th->tracee, &ret->arena, t->mem,
	                               t->syscall_insn, t->door, 0);
}

static int visit_end(struct dump *d, struct thread *th, struct visit *v)
{
	struct tracee *host = v->parasite.host;
	int r;

	/* In a call that took too long: it is interrupted. */
	if (host && host->seized && host->running) {
		deadline_arm(LEAVE_MS);
		tracee_halt(host);
	}
	r = parasite_cure(&v->parasite);
	if (r == 0)
		guard_forget(d, th->task);
	arena_done(&v->arena);
	return r;
}

/* One that is traced itself is parked already. */
static int park(struct dump *d, struct thread *th)
{
	struct tracee *tracee = &th->tracee;
	struct parked p = { .pid = th->task->pid,
		            .tid = th->tid,
		            .regs = tracee->regs,
		            .sigmask = tracee->sigmask };
	int r;

	if (th->traced || th->parked)
		return 0;
	r = find_places(th->task);
	p.insn = th->task->syscall_insn;
	if (r == 0)
		r = guard_note_parked(d, &p, &th->parked);
	if (r < 0)
		return r;
	tracing_park(&tracee->regs, p.insn);
	tracee->sigmask = ~UINT64_C(0);
	tracee->changed = true;
	return tracee_put_back(tracee);
}

/* If it is: once it had its own registers back, it may be anywhere. */
static int unpark(struct dump *d, struct parked *p)
{
	struct thread *th = find_thread(d, p->tid);
	int r = 0;

	if (th && th->tracee.stopped && tracing_is_parked(&th->tracee.regs, p->insn)) {
		th->tracee.regs = p->regs;
		th->tracee.sigmask = p->sigmask;
		th->tracee.changed = true;
		r = tracee_put_back(&th->tracee);
	}
	p->tid = 0;
	return r;
}

/* ---- away ---- */

/* Should crtool be killed, it goes on. */
static int halt(struct dump *d, struct thread *th, struct visit *v, struct traced *tr,
                const char **ret_why)
{
	int r;

	tr->is.halting = true;
	r = guard_note_traced(d, tr, &th->traced);
	if (r < 0)
		return r;
	r = tracing_halt(&v->parasite, v->room, &th->traced->is, ret_why);
	*tr = *th->traced;
	tr->is.halting = false; /* in what is noted not before its registers are */
	return r;
}

/*
 * Is it in a call that the kernel has continued once already? WCHAN: where it waited before it was made to stand. Why
 * not, if its tracer lets it go on with that, or NULL.
 */
static const char *identify(const struct dump *d, struct thread *th, const struct tracing *is,
                            const char *wchan)
{
	if (!arch_in_restart(&is->regs) ||
	    (is->at != TRACING_AT_ENTRY && !arch_is_restarted(&is->regs)))
		return NULL;
	th->restarted = arch_restarted_call(&is->regs, wchan);
	if (th->restarted)
		return NULL;
	if (!d->again && (is->runs || !is->collected))
		return "it is about to go on with a system call that was interrupted";
	restart_lose(th->task, th, wchan);
	return NULL;
}

static int look_closer(struct dump *d, struct thread *th, struct visit *v,
                       const struct tracee_seen *s, struct traced *tr, const char **ret_why)
{
	char wchan[RESTART_WCHAN] = "it stands";
	struct tracer_flags how;
	struct tracee_seen now;
	int r = tracer_flags(d, th->tid, &how);

	if (r == 0)
		r = tracee_see(th->task, th->tid, &now);
	if (r < 0)
		return r;
	/* No stop of its tracer's making is taken for one of ours. */
	if (how.about_to_stop || (s->state != 't' && strchr("tTZX", now.state)))
		*ret_why = "it has just come to a stop of its tracer's";
	if (*ret_why)
		return -EAGAIN;
	tr->is.options = how.options;
	tr->is.seized = how.seized;
	tr->is.runs = s->state != 't';
	tr->is.calls = tr->is.runs && how.calls;
	*ret_why = tracee_judge(&tr->is, s, &how);
	if (*ret_why)
		return -EBUSY;
	if (tr->is.runs)
		r = restart_where(th->task, th->tid, wchan);
	if (r == 0 && tr->is.runs)
		r = halt(d, th, v, tr, ret_why);
	if (r == 0)
		r = tracing_look(&v->parasite, v->room, &tr->is, ret_why);
	if (r < 0)
		return r;
	*ret_why = tr->is.runs ? NULL : tracee_judge_stop(&tr->is, s);
	if (!*ret_why)
		*ret_why = identify(d, th, &tr->is, wchan);
	return *ret_why ? -EAGAIN : 0;
}

/* In the memory of the guard. */
static int note(struct dump *d, struct thread *th, const struct traced *tr)
{
	if (!th->traced)
		return guard_note_traced(d, tr, &th->traced);
	*th->traced = *tr;
	return 0;
}

/* It is not let go: who was made to stop goes on. */
static void let_be(struct thread *th, struct visit *v)
{
	if (!th->traced)
		return;
	tracing_go_on(&v->parasite, v->room, &th->traced->is);
	th->traced->tracer_pid = 0;
	th->traced = NULL;
}

/* By the tracer BY, which stands still. */
static int detach(struct dump *d, struct thread *th, struct thread *by, const struct tracee_seen *s)
{
	struct traced tr = { .is = { .pid = th->task->pid, .tid = th->tid },
		             .tracer = by->tid,
		             .tracer_pid = by->task->pid };
	const char *why = NULL;
	struct visit v = {};
	int r = find_places(th->task), end;

	if (r < 0)
		return r;
	tr.is.insn = th->task->syscall_insn;
	r = park(d, by);
	if (r == 0)
		r = visit_begin(d, by, &v);
	if (r == 0)
		r = look_closer(d, th, &v, s, &tr, &why);
	if (r < 0)
		let_be(th, &v);
	if (r == 0)
		r = note(d, th, &tr);
	if (r == 0)
		r = tracing_detach(&v.parasite, v.room, &tr.is);
	end = visit_end(d, by, &v);
	/* It ended meanwhile, or was so busy with events that no stop of ours came to an end. */
	d->passing = r == -EAGAIN || r == -ESRCH || r == -ETIMEDOUT;
	if (why)
		return tracee_refuse(th->task, th->tid, by->tid, why);
	r = r < 0 ? r : end;
	return r < 0 ? fail(r, "%s: have %s let thread %d go", task_name(th->task),
	                    task_name(by->task), th->tid)
	             : 0;
}

/* 1: it is free now; 0: its tracer does not stand yet, as it is traced itself. */
static int try_detach(struct dump *d, struct thread *th)
{
	struct thread *by;
	struct tracee_seen s, theirs;
	int r = tracee_see(th->task, th->tid, &s);

	th->hand = 0; /* this one; nobody has seized it */
	if (r == 0 && !s.tracer) {
		th->debugged = false;
		return 1; /* it was let go meanwhile */
	}
	by = r == 0 ? find_thread(d, (pid_t)s.tracer) : NULL;
	if (!by)
		return tracer_check(d, th->task, th->tid);
	if (!by->tracee.stopped)
		return 0;
	d->passing = tracee_has_ended(&s);
	if (tracee_why_not(d, &s))
		return tracee_refuse(th->task, th->tid, by->tid, tracee_why_not(d, &s));
	if (by->hand)
		return tracee_refuse(th->task, th->tid, by->tid, "by one of many threads");
	r = tracee_see(by->task, by->tid, &theirs);
	if (r < 0)
		return r;
	if (theirs.seccomp || by->tracee.dispatch.mode)
		return tracee_refuse(th->task, th->tid, by->tid,
		                     "which is confined by seccomp, or catches its own calls");
	r = detach(d, th, by, &s);
	if (r < 0)
		return r;
	th->debugged = false;
	return 1;
}

int tracees_detach(struct dump *d)
{
	int freed = 0, left = 0;

	array_each (t, &d->tasks)
		array_each (th, &t->threads) {
			int r = th->debugged ? try_detach(d, th) : 0;

			if (r < 0)
				return r;
			freed += r;
			left += th->debugged;
		}
	return left && !freed ? fail(-EBUSY, "%s: tracers of the tree trace each other",
	                             task_name(d->tasks.v))
	                      : freed;
}

int tracees_check(struct dump *d)
{
	array_each (t, &d->tasks)
		array_each (th, &t->threads)
			if (th->traced && th->tracee.stop_signal)
				return tracee_refuse(t, th->tid, th->traced->tracer,
				                     "it is stopped by job control");
	return 0;
}

/* ---- and back ---- */

static bool has_ended(const struct thread *th)
{
	struct tracee_seen s;
	int r = th ? tracee_see(th->task, th->tid, &s) : -ESRCH;

	return r == -ESRCH || r == -ENOENT || (r == 0 && tracee_has_ended(&s));
}

static void set_free(struct thread *th, const struct traced *tr)
{
	struct tracee *tracee = &th->tracee;

	tracee->regs = tr->is.regs;
	tracee->sigmask = tr->is.sigmask;
	tracee->changed = tracee->stopped;
	tracee_release(tracee);
}

/* -EAGAIN, -EBUSY, -ETIMEDOUT: not this time. */
static int attach(struct dump *d, struct traced *tr)
{
	struct thread *th = find_thread(d, tr->is.tid), *by = find_thread(d, tr->tracer);
	struct visit v;
	int r, end;

	if (has_ended(by)) { /* as the kernel would have it */
		if (th && tr->is.options & PTRACE_O_EXITKILL)
			syscall(SYS_tgkill, tr->is.pid, tr->is.tid, SIGKILL);
		if (th)
			set_free(th, tr);
		return 0;
	}
	if (!by->tracee.stopped)
		return -EBUSY;
	r = th ? tracee_release(&th->tracee) : 0;
	if (r < 0 && r != -ESRCH)
		return r;
	r = visit_begin(d, by, &v);
	if (r == 0)
		r = tracing_attach(&v.parasite, v.room, &tr->is);
	end = visit_end(d, by, &v);
	if (r == -ESRCH && !has_ended(th) && !has_ended(by))
		return -EAGAIN; /* there are more reasons for that */
	return r < 0 && r != -ESRCH ? r : end;
}

static bool may_try_again(int r)
{
	return r == -EAGAIN || r == -EBUSY || r == -ETIMEDOUT;
}

/* LAST: whatever becomes of it, nobody will try again. */
static int attach_one(struct dump *g, struct traced *tr, bool last)
{
	int r = 0;

	for (int i = 0; tr->tracer_pid && (i == 0 || (r == -EAGAIN && i < ATTEMPTS)); i++) {
		r = attach(g, tr);
		if (!may_try_again(r))
			tr->tracer_pid = 0;
	}
	if (tr->tracer_pid && last) {
		struct thread *th = find_thread(g, tr->is.tid);

		if (th)
			set_free(th, tr);
		tr->tracer_pid = 0;
	}
	return r < 0 ? fail(r, "task %d: have its tracer %d attach to it again", tr->is.tid,
	                    tr->tracer)
	             : 0;
}

/* It must not go on before it has what it traces. */
static bool is_awaited(struct dump *d, pid_t tracer)
{
	uint32_t n;
	struct traced *v = guard_traced(d, &n);

	while (n-- > 0)
		if (v[n].tracer_pid && v[n].tracer == tracer)
			return true;
	return false;
}

/* Of what D has noted; G has the tree. */
static int attach_all(struct dump *g, struct dump *d, bool last)
{
	uint32_t n;
	struct traced *v = guard_traced(d, &n);
	struct parked *parked;
	int first = 0;

	while (n-- > 0) {
		int r = attach_one(g, &v[n], last);

		first = first < 0 ? first : r;
	}
	parked = guard_parked(d, &n);
	while (n-- > 0) {
		int r = parked[n].tid && !is_awaited(d, parked[n].tid) ? unpark(g, &parked[n]) : 0;

		if (r < 0 && first == 0)
			first = fail(r, "task %d: let it go on", parked[n].pid);
	}
	return first;
}

int tracees_attach(struct dump *d)
{
	return attach_all(d, d, false);
}

void tracees_forget(struct dump *d)
{
	uint32_t n;
	struct traced *v = guard_traced(d, &n);
	struct parked *parked;

	while (n-- > 0)
		v[n].tracer_pid = 0;
	parked = guard_parked(d, &n);
	while (n-- > 0)
		parked[n].tid = 0;
}

bool tracees_undo(struct dump *g, struct dump *d, bool last)
{
	uint32_t n;
	struct traced *v = guard_traced(d, &n);

	attach_all(g, d, last);
	while (n-- > 0)
		if (v[n].tracer_pid)
			return false;
	return true;
}
