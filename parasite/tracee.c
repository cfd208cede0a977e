/*
 * A thread as a resource: seized, stopped, put back as it was.
 *
 * PTRACE_SEIZE does not disturb the thread; PTRACE_INTERRUPT makes it trap at
 * its next return to user mode, with a system call that slept abandoned in a
 * way that the kernel can restart (ptrace(2), signal(7)). Every change is made
 * in an order in which the tracer may die between any two calls.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/deadline.h"
#include "parasite/inject.h"

#ifndef PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG
#define PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG 0x4210
#define PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG 0x4211
#endif

#define EVENT(status) ((status) >> 16)
#define TRIES         3

int tracee_seize(struct tracee *t, pid_t tid, unsigned long options)
{
	unsigned long base = PTRACE_O_TRACESYSGOOD | options;

	*t = (struct tracee){ .tid = tid, .suspend_seccomp = true };
	if (ptrace(PTRACE_SEIZE, tid, NULL, base | PTRACE_O_SUSPEND_SECCOMP) < 0) {
		/* EPERM: without CAP_SYS_ADMIN, or somebody else traces it */
		t->suspend_seccomp = false;
		if (errno != EPERM || ptrace(PTRACE_SEIZE, tid, NULL, base) < 0)
			return -errno;
	}
	t->seized = true;
	return 0;
}

int tracee_set_options(struct tracee *t, unsigned long options)
{
	options |= PTRACE_O_TRACESYSGOOD;
	if (t->suspend_seccomp)
		options |= PTRACE_O_SUSPEND_SECCOMP;
	return ptrace(PTRACE_SETOPTIONS, t->tid, NULL, options) < 0 ? -errno : 0;
}

int tracee_interrupt(struct tracee *t)
{
	if (ptrace(PTRACE_INTERRUPT, t->tid, NULL, NULL) < 0)
		return -errno;
	t->asked = true;
	return 0;
}

int tracee_wait(struct tracee *t, int *ret_status)
{
	for (;;) {
		pid_t pid = waitpid(t->tid, ret_status, __WALL);

		if (pid < 0 && errno == EINTR) {
			if (deadline_passed())
				return -ETIMEDOUT;
			continue;
		}
		if (pid < 0 && errno == ECHILD)
			t->seized =
				false; /* it ended in an exec of another thread, or we were told already */
		if (pid < 0)
			return errno == ECHILD ? -ESRCH : -errno;
		t->running = false;
		if (WIFSTOPPED(*ret_status))
			return 0;
		t->seized = false;
		return -ESRCH;
	}
}

/* Whoever waits for all (dump/ended.c) is told of stops, too, and then nobody is told again. */
static bool stands(struct tracee *t, int *ret_status)
{
	siginfo_t si;

	if (ptrace(PTRACE_GETSIGINFO, t->tid, NULL, &si) < 0)
		return false;
	*ret_status = (si.si_code >> 8 > 0 ? si.si_code : si.si_signo) << 8 | 0x7f;
	t->running = false;
	return true;
}

/*
 * The same, but the stop stays unread: once a signal-delivery-stop has been waited for, the
 * death of the tracer takes the signal away (wait_task_stopped() clears its number).
 */
static int tracee_peek(struct tracee *t, int *ret_status)
{
	for (;;) {
		siginfo_t si = {};

		if (waitid(P_PID, (id_t)t->tid, &si, WSTOPPED | WEXITED | WNOWAIT | __WALL) < 0) {
			if (errno == ECHILD)
				t->seized = false;
			if (errno != EINTR)
				return errno == ECHILD ? -ESRCH : -errno;
			if (stands(t, ret_status))
				return 0;
			if (deadline_passed())
				return -ETIMEDOUT;
			continue;
		}
		t->running = false;
		if (si.si_code != CLD_TRAPPED && si.si_code != CLD_STOPPED)
			return tracee_wait(t, ret_status); /* it has ended */
		*ret_status = si.si_status << 8 | 0x7f;
		return 0;
	}
}

static bool is_group_stop(int status)
{
	int sig = WSTOPSIG(status);

	return EVENT(status) == PTRACE_EVENT_STOP &&
	       (sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU);
}

/*
 * A thread stopped inside a restartable sequence would not be aborted any more
 * once another program counter has been seen (kernel/rseq.c clears rseq_cs):
 * send it to its abort handler, as any preemption may.
 */
bool tracee_leave_rseq(pid_t tid, uint64_t area, struct arch_regs *regs)
{
	struct {
		uint32_t version, flags;
		uint64_t start, length, abort;
	} cs;
	uint64_t at = 0;
	struct iovec local = { &at, sizeof(at) }, remote = { (void *)(area + 8), sizeof(at) };
	long nr;

	if (!area || arch_in_syscall(regs, &nr) ||
	    process_vm_readv(tid, &local, 1, &remote, 1, 0) != sizeof(at) || !at)
		return false;
	local = (struct iovec){ &cs, sizeof(cs) };
	remote = (struct iovec){ (void *)at, sizeof(cs) };
	if (process_vm_readv(tid, &local, 1, &remote, 1, 0) != sizeof(cs) ||
	    arch_ip(regs) - cs.start >= cs.length)
		return false;
	arch_set_ip(regs, cs.abort);
	return true;
}

static void leave_rseq(struct tracee *t)
{
	/* kernel/rseq.c; a kernel without it has no registrations. */
	if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, t->tid, sizeof(t->rseq), &t->rseq) < 0)
		t->rseq = (struct rseq_conf){};
	if (tracee_leave_rseq(t->tid, t->rseq.area, &t->regs))
		t->changed = true;
}

int tracee_take(struct tracee *t)
{
	int r = arch_regs_get(t->tid, &t->regs);

	if (r < 0)
		return r;
	if (ptrace(PTRACE_GETSIGMASK, t->tid, sizeof(t->sigmask), &t->sigmask) < 0)
		return -errno;
	if (ptrace(PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, t->tid, sizeof(t->dispatch),
	           &t->dispatch) < 0) {
		t->dispatch = (struct dispatch){};
		t->dispatch_hidden = true;
	}
	t->stopped = true;
	if (arch_restart_interrupted(&t->regs))
		t->changed = true;
	leave_rseq(t);
	return 0;
}

int tracee_wait_stop(struct tracee *t)
{
	for (;;) {
		int status, r = tracee_peek(t, &status);

		if (r < 0)
			return r;
		if (EVENT(status) == PTRACE_EVENT_STOP) {
			if (is_group_stop(status))
				t->stop_signal = WSTOPSIG(status);
			r = tracee_take(t);
			/* Now, not at the release: no tracer's death may show what we hide. */
			return r < 0 ? r : tracee_put_back(t);
		}
		/*
		 * A signal on its way to the program: let it through, the stop follows. It is asked for again: what
		 * came while the signal of a timer was taken (posixtimer_deliver_signal() lets the lock go for
		 * that) is forgotten at this stop, as at any (ptrace_stop()).
		 */
		if ((ptrace(PTRACE_INTERRUPT, t->tid, NULL, NULL) < 0 ||
		     ptrace(PTRACE_CONT, t->tid, NULL, EVENT(status) ? 0 : WSTOPSIG(status)) < 0) &&
		    errno != ESRCH)
			return -errno;
	}
}

int tracee_set_mask(struct tracee *t, uint64_t mask)
{
	return ptrace(PTRACE_SETSIGMASK, t->tid, sizeof(mask), &mask) < 0 ? -errno : 0;
}

int tracee_set_dispatch(struct tracee *t, const struct dispatch *dispatch)
{
	if (ptrace(PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG, t->tid, sizeof(*dispatch), dispatch) <
	    0)
		return -errno;
	return 0;
}

int tracee_has_sent(struct tracee *t, const siginfo_t *si)
{
	struct arch_regs regs;
	int r = arch_regs_get(t->tid, &regs);
	long nr;

	if (r < 0)
		return r;
	if (!arch_in_syscall(&regs, &nr) || nr != SYS_tgkill)
		return 0;
	if (si->si_code == SI_TKILL ? (uint64_t)si->si_pid != arch_syscall_arg(&regs)
	                            : si->si_code != SI_USER || si->si_pid || si->si_uid)
		t->late_signal = *si;
	return 1;
}

int tracee_halt(struct tracee *t)
{
	siginfo_t si;
	int status, r;

	if (!t->running)
		return 0;
	r = tracee_interrupt(t);
	if (r == 0)
		r = tracee_wait(t, &status);
	if (r < 0 || EVENT(status) || WSTOPSIG(status) & 0x80)
		return r;
	if (WSTOPSIG(status) == SIGSTOP)
		t->pending_stop = SIGSTOP;
	else if (ptrace(PTRACE_GETSIGINFO, t->tid, NULL, &si) == 0 && tracee_has_sent(t, &si) <= 0)
		t->late_signal = si;
	return 0;
}

/* The mask first: with the blob's registers, its own way out would set it too. */
int tracee_put_back(struct tracee *t)
{
	int r;

	if (!t->changed)
		return 0;
	r = tracee_halt(t);
	if (r < 0)
		return r;
	r = tracee_set_mask(t, t->sigmask);
	t->held = false;
	if (r == 0)
		r = arch_regs_set(t->tid, &t->regs);
	if (r == 0 && t->dispatch.mode)
		r = tracee_set_dispatch(t, &t->dispatch);
	if (r == 0)
		t->changed = false;
	return r;
}

/* Who is not let go stands until we end: if that fails for no reason (fault injection) it is done again. */
static int detach(const struct tracee *t)
{
	int r = -1;

	for (int i = 0; r < 0 && i < TRIES; i++) {
		r = (int)ptrace(PTRACE_DETACH, t->tid, NULL, (long)t->late_signal.si_signo);
		if (r < 0 && errno == ESRCH)
			r = 0;
	}
	return r;
}

int tracee_release(struct tracee *t)
{
	int r, stop = t->pending_stop;

	if (!t->seized)
		return 0;
	if (!t->stopped) {
		/* Interrupted or not, it must be in a stop to be detached. */
		if (ptrace(PTRACE_INTERRUPT, t->tid, NULL, NULL) < 0 && errno == ESRCH)
			return 0;
		r = tracee_wait_stop(t);
		if (r < 0)
			return r;
	}
	r = tracee_put_back(t);
	if (t->late_signal.si_signo)
		ptrace(PTRACE_SETSIGINFO, t->tid, NULL, &t->late_signal);
	if (detach(t) < 0 && r == 0)
		r = -errno;
	t->seized = t->stopped = false;
	if (stop)
		syscall(SYS_tkill, t->tid, stop);
	return r;
}
