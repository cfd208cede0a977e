/*
 * Calls of a tracer for one that it traces (parasite/tracing.h).
 *
 * A stop cannot be made as such. Who is attached to by PTRACE_ATTACH stands at a SIGSTOP
 * that is on its way, and PTRACE_SETSIGINFO makes any other signal of it: what resumes it
 * decides whether it is delivered. After PTRACE_SEIZE, or where the tracer is still to be told of
 * the stop, the signal is sent in earnest, while all others are blocked.
 */
#include "parasite/tracing.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/procfs.h"

#define NT_PRSTATUS 1
#define SIGNAL(sig) (UINT64_C(1) << ((sig)-1))
#define KERNEL_SIGS sizeof(uint64_t)

#define STOPPED (WSTOPPED | WEXITED | WNOWAIT | __WALL)

/* Memory of the tracer, for what its calls read and write. */
struct room {
	struct iovec regs_iov, local, remote;
	struct arch_regs regs;
	siginfo_t stop, signal;
	uint64_t sigmask, sigchld;
	struct timespec none;
	struct rseq_conf rseq;
	uint64_t byte;
};

#define AT(room, field) ((room) + offsetof(struct room, field))

uint64_t tracing_room(struct arena *a)
{
	return arena_alloc(a, sizeof(struct room));
}

void tracing_park(struct arch_regs *regs, uint64_t insn)
{
	arch_regs_for_syscall(regs, insn, SYS_pause, (const uint64_t[6]){});
}

bool tracing_is_parked(const struct arch_regs *regs, uint64_t insn)
{
	return arch_ip(regs) - insn <= ARCH_SYSCALL_SIZE;
}

/* What the call answers, or what became of it. */
static int64_t call(struct parasite *p, uint32_t nr, const uint64_t args[6])
{
	int64_t result = 0;
	int r = parasite_call(p, nr, args, &result);

	return r < 0 ? r : result;
}

#define CALL(p, nr, ...) call(p, nr, (const uint64_t[6]){ __VA_ARGS__ })

static int trace(struct parasite *p, int request, pid_t tid, uint64_t addr, uint64_t data)
{
	return (int)CALL(p, SYS_ptrace, (uint64_t)request, (uint64_t)tid, addr, data);
}

static int regset(struct parasite *p, uint64_t room, int request, pid_t tid)
{
	return trace(p, request, tid, NT_PRSTATUS, AT(room, regs_iov));
}

static void room_begin(struct room *r, uint64_t room)
{
	*r = (struct room){
		.regs_iov = { (void *)AT(room, regs), sizeof(r->regs) },
		.local = { (void *)AT(room, byte), 1 },
		.sigchld = SIGNAL(SIGCHLD),
	};
}

static int room_write(const struct parasite *p, uint64_t room, const struct room *r)
{
	return pwrite_full(p->mem, r, sizeof(*r), (off_t)room);
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
		r = regset(p, room, PTRACE_GETREGSET, tid);
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

/* Of the stops that ptrace(2) knows, is it one at a signal? */
static const char *judge(const struct room *r)
{
	const siginfo_t *si = &r->signal;

	/* Without PTRACE_O_TRACESYSGOOD the first of the two: no signal has that code. */
	if (si->si_signo == SIGTRAP && (si->si_code == SIGTRAP || si->si_code == (SIGTRAP | 0x80)))
		return "it stands at a system call";
	if (si->si_code >> 8 > 0)
		return "it stands at an event of ptrace(2)";
	if (si->si_signo < 1 || si->si_signo > 64)
		return "it does not stand at a signal";
	if (arch_regs_compat(&r->regs))
		return "it runs 32-bit code";
	return NULL;
}

int tracing_look(struct parasite *p, uint64_t room, uint64_t insn, struct tracing *ret,
                 const char **ret_why)
{
	struct room answers;
	int r;

	room_begin(&answers, room);
	answers.remote = (struct iovec){ (void *)insn, 1 };
	*ret_why = NULL;
	r = room_write(p, room, &answers);
	if (r == 0)
		r = ask(p, room, ret->tid, ret_why);
	if (r >= 0)
		r = pread_full(p->mem, &answers, sizeof(answers), (off_t)room);
	if (r < 0)
		return r;
	*ret_why = ret->runs ? NULL : judge(&answers);
	ret->collected = answers.stop.si_pid != ret->tid;
	ret->signal = answers.signal;
	ret->regs = answers.regs;
	ret->sigmask = answers.sigmask;
	if (!*ret_why) /* parked, it is not seen to be in one any more */
		tracee_leave_rseq(ret->tid, answers.rseq.area, &ret->regs);
	return *ret_why ? -EBUSY : 0;
}

/* Of each stop it is told by a SIGCHLD, too. */
static bool has_news(const struct parasite *p)
{
	auto_free char *status = NULL;
	uint64_t own = 0, shared = 0;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/status", p->host->tid);
	if (file_read(AT_FDCWD, path, &status) <= 0)
		return true;
	status_u64(status, "SigPnd", 16, &own);
	status_u64(status, "ShdPnd", 16, &shared);
	return (own | shared) & SIGNAL(SIGCHLD);
}

static void drop_news(struct parasite *p, uint64_t room)
{
	struct room want;

	room_begin(&want, room);
	if (room_write(p, room, &want) == 0)
		CALL(p, SYS_rt_sigtimedwait, AT(room, sigchld), 0, AT(room, none), KERNEL_SIGS);
}

/* ---- one that runs ---- */

#define EVENT_STOPPED (SIGTRAP | PTRACE_EVENT_STOP << 8)

/* Its siginfo; -ESRCH: it runs. */
static int signal_of(struct parasite *p, uint64_t room, pid_t tid, siginfo_t *ret)
{
	int r = trace(p, PTRACE_GETSIGINFO, tid, 0, AT(room, signal));

	return r < 0 ? r : pread_full(p->mem, ret, sizeof(*ret), (off_t)AT(room, signal));
}

/* A stop of our making? */
static bool is_ours(const struct tracing *t, const siginfo_t *si)
{
	return t->seized ? si->si_code == EVENT_STOPPED
	                 : si->si_signo == SIGSTOP && si->si_code == SI_TKILL;
}

/* It stops, and nobody is told. */
static int await_any(struct parasite *p, uint64_t room, const struct tracing *t, siginfo_t *ret)
{
	int64_t r = CALL(p, SYS_waitid, P_PID, (uint64_t)t->tid, AT(room, stop), STOPPED);
	siginfo_t si;

	if (r == 0)
		r = pread_full(p->mem, &si, sizeof(si), (off_t)AT(room, stop));
	if (r < 0)
		return (int)r;
	return si.si_code == CLD_TRAPPED || si.si_code == CLD_STOPPED
	               ? signal_of(p, room, t->tid, ret)
	               : -ESRCH;
}

/*
 * It has stopped at a signal of its own, and the SIGSTOP is still to come: that comes next, when the
 * other is taken away, and becomes it.
 */
static int skip_stop(struct parasite *p, uint64_t room, const struct tracing *t,
                     const siginfo_t *signal, const char **ret_why)
{
	struct room want;
	siginfo_t si;
	int r;

	if (signal->si_code >> 8 > 0)
		*ret_why = "it has just come to an event of ptrace(2)";
	if (*ret_why)
		return -EBUSY;
	r = trace(p, PTRACE_CONT, t->tid, 0, 0);
	if (r == 0)
		r = await_any(p, room, t, &si);
	if (r == 0 && !is_ours(t, &si))
		*ret_why = "it has just come to two signals at once";
	if (r < 0 || *ret_why)
		return r < 0 ? r : -EBUSY;
	room_begin(&want, room);
	want.signal = *signal;
	r = room_write(p, room, &want);
	return r < 0 ? r : trace(p, PTRACE_SETSIGINFO, t->tid, 0, AT(room, signal));
}

int tracing_halt(struct parasite *p, uint64_t room, struct tracing *t, const char **ret_why)
{
	bool news = has_news(p);
	struct room want;
	siginfo_t si;
	int r;

	room_begin(&want, room);
	r = room_write(p, room, &want);
	if (r == 0)
		r = t->seized
		            ? trace(p, PTRACE_INTERRUPT, t->tid, 0, 0)
		            : (int)CALL(p, SYS_tgkill, (uint64_t)t->pid, (uint64_t)t->tid, SIGSTOP);
	if (r == 0)
		r = await_any(p, room, t, &si);
	if (r == -ESRCH)
		*ret_why = "it has just ended, and its tracer has not been told";
	if (r < 0)
		return r;
	if (!is_ours(t, &si)) {
		t->runs = false;
		return t->seized ? 0 : skip_stop(p, room, t, &si, ret_why);
	}
	r = (int)CALL(p, SYS_wait4, (uint64_t)t->tid, 0, WNOHANG | __WALL, 0);
	if (!news)
		drop_news(p, room);
	return r < 0 ? r : 0;
}

int tracing_go_on(struct parasite *p, uint64_t room, const struct tracing *t)
{
	struct room want;
	siginfo_t si;
	int r;

	room_begin(&want, room);
	r = room_write(p, room, &want);
	if (r == 0)
		r = signal_of(p, room, t->tid, &si);
	if (r < 0 || !is_ours(t, &si))
		return r == -ESRCH ? 0 : r;
	CALL(p, SYS_wait4, (uint64_t)t->tid, 0, WNOHANG | __WALL, 0);
	return trace(p, PTRACE_CONT, t->tid, 0, 0);
}

/* ---- away ---- */

int tracing_detach(struct parasite *p, uint64_t room, uint64_t insn, const struct tracing *t)
{
	struct room want;
	int r;

	room_begin(&want, room);
	want.regs = t->regs;
	tracing_park(&want.regs, insn);
	want.sigmask = ~UINT64_C(0);
	r = room_write(p, room, &want);
	if (r == 0)
		r = trace(p, PTRACE_SETSIGMASK, t->tid, KERNEL_SIGS, AT(room, sigmask));
	if (r == 0)
		r = regset(p, room, PTRACE_SETREGSET, t->tid);
	if (r == 0)
		r = trace(p, PTRACE_DETACH, t->tid, 0, 0);
	return r;
}

/* ---- and back ---- */

/* It stops; the tracer has been told if COLLECT. */
static int await_stop(struct parasite *p, uint64_t room, pid_t tid, bool collect)
{
	int64_t r = CALL(p, SYS_waitid, P_PID, (uint64_t)tid, AT(room, stop), STOPPED);
	siginfo_t si;

	if (r == 0)
		r = pread_full(p->mem, &si, sizeof(si), (off_t)AT(room, stop));
	if (r < 0)
		return r == -ECHILD ? -ESRCH : (int)r;
	if (si.si_code != CLD_TRAPPED && si.si_code != CLD_STOPPED)
		return -ESRCH; /* its parent is told of its end */
	if (collect)
		r = CALL(p, SYS_wait4, (uint64_t)tid, 0, __WALL, 0);
	return r < 0 ? (int)r : 0;
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

/* Somebody has been here before and did not get to the end: it stands, and nobody may have been told. */
static int collect(struct parasite *p, const struct tracing *t)
{
	int64_t r = CALL(p, SYS_wait4, (uint64_t)t->tid, 0, WNOHANG | __WALL, 0);

	return r < 0 ? (int)r : 0;
}

/* It stands at its signal, which has been sent. */
static int stop_again(struct parasite *p, uint64_t room, const struct tracing *t)
{
	struct room want;
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

static int give_back(struct parasite *p, uint64_t room, const struct tracing *t)
{
	struct room want;
	int r;

	room_begin(&want, room);
	want.regs = t->regs;
	want.sigmask = t->sigmask;
	want.signal = t->signal;
	r = room_write(p, room, &want);
	if (r == 0)
		r = regset(p, room, PTRACE_SETREGSET, t->tid);
	if (r == 0)
		r = trace(p, PTRACE_SETSIGMASK, t->tid, KERNEL_SIGS, AT(room, sigmask));
	if (r == 0 && !t->runs)
		r = trace(p, PTRACE_SETSIGINFO, t->tid, 0, AT(room, signal));
	if (r == 0)
		r = trace(p, PTRACE_SETOPTIONS, t->tid, 0, t->options);
	return r;
}

int tracing_attach(struct parasite *p, uint64_t room, struct tracing *t)
{
	bool news = has_news(p);
	int r;

	if (t->halting)
		return tracing_go_on(p, room, t);
	r = give_back(p, room, t);
	if (r == -ESRCH && t->going_on)
		return 0;
	if (r == 0 && !t->attaching) /* it had not been let go */
		return t->runs ? trace(p, PTRACE_CONT, t->tid, 0, 0) : 0;
	t->attaching = true;
	r = r == -ESRCH ? attach(p, room, t) : r == 0 ? collect(p, t) : r;
	if (r == 0 && !t->runs && (t->seized || !t->collected))
		r = stop_again(p, room, t);
	if (r == 0)
		r = give_back(p, room, t);
	if (!news)
		drop_news(p, room);
	t->going_on = r == 0 && t->runs;
	return t->going_on ? trace(p, PTRACE_CONT, t->tid, 0, 0) : r;
}
