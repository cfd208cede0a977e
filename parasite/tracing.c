/*
 * Calls of a tracer for one that it traces (parasite/tracing.h).
 *
 * A stop cannot be made as such. Who is attached to by PTRACE_ATTACH stands at a SIGSTOP
 * that is on its way, and PTRACE_SETSIGINFO makes any other signal of it: what resumes it
 * decides whether it is delivered. After PTRACE_SEIZE, or where the tracer is still to be told of
 * the stop, the signal is sent in earnest, while all others are blocked.
 */
#include "parasite/tracer_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/procfs.h"

uint64_t tracing_room(struct arena *a)
{
	return arena_alloc(a, sizeof(struct tracer_room));
}

void tracing_park(struct arch_regs *regs, uint64_t insn)
{
	arch_regs_for_syscall(regs, insn, SYS_pause, (const uint64_t[6]){});
}

bool tracing_is_parked(const struct arch_regs *regs, uint64_t insn)
{
	return arch_ip(regs) - insn <= ARCH_SYSCALL_SIZE;
}

/* ---- what there is ---- */

/* May it attach again? process_vm_readv(2) asks for the same rights (PTRACE_MODE_ATTACH_REALCREDS). */
static int64_t may_attach(struct parasite *p, uint64_t room, pid_t tid)
{
	return CALL(p, SYS_process_vm_readv, (uint64_t)tid, AT(room, local), 1, AT(room, remote),
	            1);
}

/* All questions; their answers are in the room. */
static int ask(struct parasite *p, uint64_t room, pid_t tid, const char **ret_why)
{
	int64_t r = CALL(p, SYS_waitid, P_PID, (uint64_t)tid, AT(room, stop),
	                 WSTOPPED | WNOHANG | WNOWAIT | __WALL);

	if (r == 0)
		r = may_attach(p, room, tid);
	if (r == -EPERM)
		*ret_why = "it would not be allowed to attach to it again";
	if (r >= 0)
		r = trace_regset(p, room, PTRACE_GETREGSET, tid);
	if (r == -ESRCH) /* PTRACE_LISTEN */
		*ret_why = "it is stopped by job control";
	if (r >= 0)
		r = trace(p, PTRACE_GETSIGMASK, tid, KERNEL_SIGS, AT(room, sigmask));
	if (r >= 0) /* or this kernel has none */
		trace(p, PTRACE_GET_RSEQ_CONFIGURATION, tid, sizeof(struct rseq_conf),
		      AT(room, rseq));
	if (r < 0)
		return (int)r;
	r = trace(p, PTRACE_GETSIGINFO, tid, 0, AT(room, signal));
	if (r == -EINVAL)
		*ret_why = "it is stopped by job control";
	return (int)r;
}

/* Of the stops that ptrace(2) knows, is it one at a signal, or at a system call? */
static const char *judge(struct parasite *p, uint64_t room, const struct tracer_room *r,
                         struct tracing *ret)
{
	const siginfo_t *si = &r->signal;

	ret->at = TRACING_AT_SIGNAL;
	if (is_call_stop(si) && trace_side(p, room, ret->tid, &ret->at) < 0)
		return "it stands at a system call";
	if (!is_call_stop(si) && si->si_code >> 8 > 0)
		return "it stands at an event of ptrace(2)";
	if (si->si_signo < 1 || si->si_signo > 64)
		return "it does not stand at a signal";
	if (arch_regs_compat(&r->regs))
		return "it runs 32-bit code";
	return NULL;
}

int tracing_look(struct parasite *p, uint64_t room, struct tracing *ret, const char **ret_why)
{
	struct tracer_room answers;
	int r;

	room_begin(&answers, room);
	answers.remote = (struct iovec){ (void *)ret->insn, 1 };
	*ret_why = NULL;
	r = room_write(p, room, &answers);
	if (r == 0)
		r = ask(p, room, ret->tid, ret_why);
	if (r >= 0)
		r = room_read(p, room, &answers);
	if (r < 0)
		return r;
	*ret_why = ret->runs ? NULL : judge(p, room, &answers, ret);
	ret->collected = answers.stop.si_pid != ret->tid;
	ret->signal = answers.signal;
	ret->regs = answers.regs;
	ret->sigmask = answers.sigmask;
	if (*ret_why) /* at an event its tracer lets it go on */
		return ret->signal.si_code >> 8 > 0 ? -EAGAIN : -EBUSY;
	if (ret->runs) /* as nobody is to see that we have stopped it */
		arch_restart_interrupted(&ret->regs);
	/* Parked, it is not seen to be in one any more. */
	tracee_leave_rseq(ret->tid, answers.rseq.area, &ret->regs);
	return 0;
}

/* ---- away ---- */

int tracing_detach(struct parasite *p, uint64_t room, const struct tracing *t)
{
	struct arch_regs regs = t->regs;
	int r;

	tracing_park(&regs, t->insn);
	r = trace_state(p, room, t->tid, &regs, NO_SIGNALS);
	return r < 0 ? r : trace(p, PTRACE_DETACH, t->tid, 0, 0);
}

/* ---- and back ---- */

/* It stops; the tracer has been told if COLLECT. */
static int await_stop(struct parasite *p, uint64_t room, pid_t tid, bool collect)
{
	siginfo_t si;
	int r = trace_await(p, room, tid, &si);

	if (r == -EINVAL) /* stopped by job control */
		r = 0;
	return r == 0 && collect ? trace_collect(p, tid) : r;
}

static bool is_attached(const struct parasite *p, pid_t tid)
{
	auto_free char *status = NULL;
	uint64_t tracer = 0;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	return file_read(AT_FDCWD, path, &status) > 0 &&
	       status_u64(status, "TracerPid", 10, &tracer) && (pid_t)tracer == p->host->tid;
}

/* Stopped and collected, whatever it stands at. */
static int attach(struct parasite *p, uint64_t room, const struct tracing *t)
{
	int r = 0;

	if (!is_attached(p, t->tid))
		r = t->seized ? trace(p, PTRACE_SEIZE, t->tid, 0, t->options)
		              : trace(p, PTRACE_ATTACH, t->tid, 0, 0);
	if (r == 0 && t->seized)
		r = trace(p, PTRACE_INTERRUPT, t->tid, 0, 0);
	return r < 0 ? r : await_stop(p, room, t->tid, true);
}

/* It stands at its signal, which has been sent. */
static int stop_again(struct parasite *p, uint64_t room, const struct tracing *t)
{
	struct tracer_room want;
	int64_t r;

	room_begin(&want, room);
	want.sigmask = ~SIGNAL(t->signal.si_signo);
	r = room_write(p, room, &want);
	if (r == 0)
		r = trace(p, PTRACE_SETSIGMASK, t->tid, KERNEL_SIGS, AT(room, sigmask));
	if (r == 0)
		r = CALL(p, SYS_tgkill, (uint64_t)t->pid, (uint64_t)t->tid,
		         (uint64_t)t->signal.si_signo);
	if (r == 0)
		r = trace(p, PTRACE_CONT, t->tid, 0, 0);
	return r < 0 ? (int)r : await_stop(p, room, t->tid, t->collected);
}

/* As it was, where it stands now. */
static int give_back(struct parasite *p, uint64_t room, const struct tracing *t)
{
	struct tracer_room want;
	int r = trace_state(p, room, t->tid, &t->regs, t->sigmask);

	if (r < 0 || t->at != TRACING_AT_SIGNAL)
		return r;
	room_begin(&want, room);
	want.signal = t->signal;
	r = room_write(p, room, &want);
	return r < 0 ? r : trace(p, PTRACE_SETSIGINFO, t->tid, 0, AT(room, signal));
}

/* It had not been let go. */
static int let_be(struct parasite *p, uint64_t room, struct tracing *t)
{
	return t->runs ? tracing_run_on(p, room, t) : give_back(p, room, t);
}

/* It is a tracee again, and stands: to where it was. */
static int bring_back(struct parasite *p, uint64_t room, struct tracing *t)
{
	int r = t->entering ? 0 : trace(p, PTRACE_SETOPTIONS, t->tid, 0, t->options);

	if (r < 0 || t->runs)
		return r < 0 ? r : tracing_run_on(p, room, t);
	if (t->at != TRACING_AT_SIGNAL)
		return tracing_to_call(p, room, t);
	if (t->seized || !t->collected)
		r = stop_again(p, room, t);
	return r < 0 ? r : give_back(p, room, t);
}

/* Somebody before us may have got to any point of this. */
static int attach_again(struct parasite *p, uint64_t room, struct tracing *t)
{
	siginfo_t si;
	int r = trace_siginfo(p, room, t->tid, &si);

	if (t->going_on && !tracing_is_halted(p, room, t))
		return 0;
	if (t->entering)
		return bring_back(p, room, t);
	if (r == 0 && !t->attaching)
		return let_be(p, room, t);
	t->attaching = true;
	r = r == -ESRCH ? attach(p, room, t) : r == 0 ? trace_collect(p, t->tid) : r;
	return r < 0 ? r : bring_back(p, room, t);
}

int tracing_attach(struct parasite *p, uint64_t room, struct tracing *t)
{
	int r;

	if (t->halting)
		return tracing_go_on(p, room, t);
	if (!t->attaching && !t->entering)
		t->news = tracer_has_news(p);
	r = attach_again(p, room, t);
	if (!t->news)
		tracer_drop_news(p, room);
	return r;
}
