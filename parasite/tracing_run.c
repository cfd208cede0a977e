/*
 * A tracee that runs is made to stand, and runs on, and its tracer is told of nothing (parasite/tracing.h).
 *
 * What stops it interrupts the call that it is in. After PTRACE_SYSCALL it then stands at the end of that, of which
 * its tracer must not hear (and at nothing else: any trap ends PTRACE_INTERRUPT, see ptrace_stop() of kernel/signal.c):
 * the call is made anew when it runs on. Its tracer must not hear either that it enters the call, having been told of
 * that before; so it comes to the entry of a call that does nothing, nobody is told, and the registers that it is given
 * there make it that other call. In the same way it is brought to where it stood.
 */
#include "parasite/tracer_calls.h"

#include <errno.h>
#include <sys/ptrace.h>

#include "lib/fd.h"

#define EVENT_STOPPED (SIGTRAP | PTRACE_EVENT_STOP << 8)
#define STOPS_MAX     16 /* on the way to a call that does nothing */

/* A stop of our making? */
static bool is_ours(const struct tracing *t, const siginfo_t *si)
{
	return t->seized ? si->si_code == EVENT_STOPPED
	                 : si->si_signo == SIGSTOP && si->si_code == SI_TKILL;
}

static int resume(struct parasite *p, const struct tracing *t)
{
	return trace(p, t->calls ? PTRACE_SYSCALL : PTRACE_CONT, t->tid, 0, 0);
}

static int regs_of(struct parasite *p, uint64_t room, pid_t tid, struct arch_regs *ret)
{
	struct tracer_room want;
	int r;

	room_begin(&want, room);
	r = room_write(p, room, &want);
	if (r == 0)
		r = trace_regset(p, room, PTRACE_GETREGSET, tid);
	return r < 0 ? r : pread_full(p->mem, ret, sizeof(*ret), (off_t)AT(room, regs));
}

/* ---- made to stand ---- */

/*
 * It has stopped at a signal of its own, and the SIGSTOP is still to come: that comes next, when the
 * other is taken away, and becomes it.
 */
static int skip_stop(struct parasite *p, uint64_t room, const struct tracing *t,
                     const siginfo_t *signal, const char **ret_why)
{
	struct tracer_room want;
	siginfo_t si;
	int r;

	if (signal->si_code >> 8 > 0)
		*ret_why = "it has just come to an event of ptrace(2)";
	if (*ret_why)
		return -EAGAIN;
	r = trace(p, PTRACE_CONT, t->tid, 0, 0);
	if (r == 0)
		r = trace_await(p, room, t->tid, &si);
	if (r == 0 && !is_ours(t, &si))
		*ret_why = "it has just come to two signals at once";
	if (r < 0 || *ret_why)
		return r < 0 ? r : -EAGAIN;
	room_begin(&want, room);
	want.signal = *signal;
	r = room_write(p, room, &want);
	return r < 0 ? r : trace(p, PTRACE_SETSIGINFO, t->tid, 0, AT(room, signal));
}

/* It stands at a system call: at the end of one that we have interrupted? */
static int look_at_call(struct parasite *p, uint64_t room, struct tracing *t)
{
	struct arch_regs regs;
	enum tracing_at side;
	int r = trace_side(p, room, t->tid, &side);

	if (r == 0)
		r = regs_of(p, room, t->tid, &regs);
	if (r < 0)
		return r;
	arch_restart_interrupted(&regs);
	t->in_call = side == TRACING_AT_EXIT && arch_is_restarted(&regs);
	return 0;
}

int tracing_halt(struct parasite *p, uint64_t room, struct tracing *t, const char **ret_why)
{
	struct tracer_room want;
	siginfo_t si;
	int r;

	t->news = tracer_has_news(p);
	room_begin(&want, room);
	r = room_write(p, room, &want);
	if (r == 0)
		r = t->seized
		            ? trace(p, PTRACE_INTERRUPT, t->tid, 0, 0)
		            : (int)CALL(p, SYS_tgkill, (uint64_t)t->pid, (uint64_t)t->tid, SIGSTOP);
	if (r == 0)
		r = trace_await(p, room, t->tid, &si);
	if (r == 0 && t->calls && is_call_stop(&si))
		r = look_at_call(p, room, t);
	if (r == -ESRCH) {
		*ret_why = "it has just ended, and its tracer has not been told";
		return -EAGAIN;
	}
	if (r < 0)
		return r;
	if (!t->in_call && !is_ours(t, &si)) {
		t->runs = t->calls = false;
		return t->seized ? 0 : skip_stop(p, room, t, &si, ret_why);
	}
	r = trace_collect(p, t->tid);
	if (!t->news)
		tracer_drop_news(p, room);
	return r;
}

bool tracing_is_halted(struct parasite *p, uint64_t room, const struct tracing *t)
{
	enum tracing_at side;
	siginfo_t si;

	if (trace_siginfo(p, room, t->tid, &si) < 0)
		return false;
	if (!is_call_stop(&si))
		return is_ours(t, &si);
	/* Of the call that does nothing; of its own. */
	return trace_side(p, room, t->tid, &side) == 0 &&
	       (t->entering ? side == TRACING_AT_ENTRY : t->in_call && side == TRACING_AT_EXIT);
}

/* ---- to a system call ---- */

/* What stands where nobody has been told of that may be on its way still. */
static int settle(struct parasite *p, uint64_t room, const struct tracing *t, siginfo_t *ret)
{
	int r = trace_siginfo(p, room, t->tid, ret);

	return r == -ESRCH ? trace_await(p, room, t->tid, ret) : r;
}

/* Is that the stop on SIDE of the call? 1, 0 or -errno. */
static int is_side(struct parasite *p, uint64_t room, const struct tracing *t, const siginfo_t *si,
                   enum tracing_at side)
{
	enum tracing_at at;
	int r = is_call_stop(si) ? trace_side(p, room, t->tid, &at) : 1;

	return r < 0 ? r : r == 0 && at == side;
}

/* From wherever it stands; a SIGSTOP that comes meanwhile, which nothing blocks, comes again. */
static int go_to_side(struct parasite *p, uint64_t room, const struct tracing *t,
                      enum tracing_at side)
{
	bool stop = false;

	for (int i = 0; i < STOPS_MAX; i++) {
		siginfo_t si;
		int r = settle(p, room, t, &si);

		if (r == 0)
			r = is_side(p, room, t, &si, side);
		if (r > 0)
			return stop ? (int)CALL(p, SYS_tgkill, (uint64_t)t->pid, (uint64_t)t->tid,
			                        SIGSTOP)
			            : 0;
		stop |= r == 0 && si.si_signo == SIGSTOP && !is_ours(t, &si);
		if (r == 0)
			r = trace_collect(p, t->tid);
		if (r == 0)
			r = trace(p, PTRACE_SYSCALL, t->tid, 0, 0);
		if (r < 0)
			return r;
	}
	return -EPROTO;
}

/* A call that does nothing, from where it is parked; nothing else happens to it on the way. */
static int to_side(struct parasite *p, uint64_t room, struct tracing *t, enum tracing_at side)
{
	struct arch_regs regs = t->regs;
	int r = 0;

	arch_regs_for_syscall(&regs, t->insn, SYS_getppid, (const uint64_t[6]){});
	if (!t->entering)
		r = trace_state(p, room, t->tid, &regs, NO_SIGNALS);
	t->entering |= r == 0;
	return r < 0 ? r : go_to_side(p, room, t, side);
}

int tracing_to_call(struct parasite *p, uint64_t room, struct tracing *t)
{
	int r = to_side(p, room, t, t->at);

	if (r == 0 && t->collected)
		r = trace_collect(p, t->tid);
	return r < 0 ? r : trace_state(p, room, t->tid, &t->regs, t->sigmask);
}

/* ---- and on ---- */

static int into_call(struct parasite *p, uint64_t room, struct tracing *t)
{
	struct arch_regs regs = t->regs;
	int r = to_side(p, room, t, TRACING_AT_ENTRY);

	if (r == 0)
		r = trace_collect(p, t->tid);
	arch_regs_at_entry(&regs);
	return r < 0 ? r : trace_state(p, room, t->tid, &regs, t->sigmask);
}

int tracing_run_on(struct parasite *p, uint64_t room, struct tracing *t)
{
	int r = t->in_call ? into_call(p, room, t)
	                   : trace_state(p, room, t->tid, &t->regs, t->sigmask);

	t->going_on = r == 0;
	return r < 0 ? r : resume(p, t);
}

/* Nobody has noted yet what it has. */
static int note_state(struct parasite *p, uint64_t room, struct tracing *t)
{
	struct tracer_room want;
	int r = regs_of(p, room, t->tid, &t->regs);

	if (r == 0)
		r = trace(p, PTRACE_GETSIGMASK, t->tid, KERNEL_SIGS, AT(room, sigmask));
	if (r >= 0)
		r = room_read(p, room, &want);
	if (r < 0)
		return r;
	t->sigmask = want.sigmask;
	arch_restart_interrupted(&t->regs);
	return 0;
}

int tracing_go_on(struct parasite *p, uint64_t room, struct tracing *t)
{
	siginfo_t si;
	int r = 0;

	if (!t->entering) {
		r = trace_siginfo(p, room, t->tid, &si);
		if (r == 0 && t->calls && is_call_stop(&si))
			r = look_at_call(p, room, t);
		if (r < 0 || (!t->in_call && !is_ours(t, &si)))
			return r == -ESRCH ? 0 : r;
		trace_collect(p, t->tid);
		r = note_state(p, room, t);
	}
	if (r == 0 && !(t->going_on && !tracing_is_halted(p, room, t)))
		r = tracing_run_on(p, room, t);
	if (!t->news)
		tracer_drop_news(p, room);
	return r == -ESRCH ? 0 : r;
}
