#include "dump/tracees_judge.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ptrace.h>

#include "dump/tracer.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/procfs.h"

#define SIGNAL(sig) (UINT64_C(1) << ((sig)-1))
#define STOPS       (SIGNAL(SIGSTOP) | SIGNAL(SIGTSTP) | SIGNAL(SIGTTIN) | SIGNAL(SIGTTOU))

int tracee_see(const struct task *t, pid_t tid, struct tracee_seen *ret)
{
	auto_free char *status = NULL;
	uint64_t own = 0, shared = 0;
	char path[48];
	size_t len = 0;
	const char *state;
	ssize_t r;

	snprintf(path, sizeof(path), "task/%d/status", tid);
	r = file_read(t->proc, path, &status);
	if (r < 0)
		return (int)r;
	*ret = (struct tracee_seen){};
	state = key_value(status, "State", &len);
	ret->state = state && len ? *state : '?';
	status_u64(status, "TracerPid", 10, &ret->tracer);
	status_u64(status, "Seccomp", 10, &ret->seccomp);
	status_u64(status, "SigPnd", 16, &own);
	status_u64(status, "ShdPnd", 16, &shared);
	ret->pending = own | shared;
	return 0;
}

bool tracee_has_ended(const struct tracee_seen *s)
{
	return s->state == 'Z' || s->state == 'X';
}

int tracee_refuse(const struct task *t, pid_t tid, pid_t tracer, const char *why)
{
	char name[64], thread[32] = "";

	name_pid((uint64_t)tracer, name, sizeof(name));
	if (tid != t->pid)
		snprintf(thread, sizeof(thread), "thread %d ", tid);
	return fail(-EBUSY,
	            "%s: %sis being traced by %s, which is in the tree, too: %s; let that detach "
	            "first",
	            task_name(t), thread, name, why);
}

const char *tracee_why_not(const struct dump *d, const struct tracee_seen *s)
{
	if (tracee_has_ended(s))
		return "it has ended, and its tracer has not been told";
	if (s->seccomp)
		return "it is confined by seccomp, and could not wait for its tracer";
	if (d->opt->leave_stopped)
		return "it could not be left stopped (-s)";
	if (d->opt->snapshot)
		return "no snapshot can be made of it (--snapshot)";
	if (d->opt->hand_over)
		return "it cannot be migrated";
	return NULL;
}

static const char *tracee_why_not_run(const struct tracer_flags *how)
{
	if (how->emulated)
		return "its tracer makes its system calls for it (PTRACE_SYSEMU)";
	if (how->calls && !how->seized)
		return "it runs from one system call to the next (PTRACE_SYSCALL), and was "
		       "attached to by PTRACE_ATTACH: only PTRACE_SEIZE lets it be stopped without "
		       "a signal";
	return NULL;
}

const char *tracee_why_not_so(const struct tracee_seen *s, const struct tracer_flags *how)
{
	if (s->state != 't')
		return tracee_why_not_run(how);
	return how->listens ? "it is stopped by job control (PTRACE_LISTEN)" : NULL;
}

/* Signals that wait for it, of which one would be taken for that which stops it again. */
static bool would_lose(const struct tracing *is, uint64_t pending)
{
	uint64_t stop = SIGNAL(is->signal.si_signo);

	if ((!is->seized || is->at != TRACING_AT_SIGNAL) &&
	    pending & (SIGNAL(SIGSTOP) | SIGNAL(SIGCONT)))
		return true;
	if (is->at != TRACING_AT_SIGNAL || (!is->seized && is->collected))
		return false;
	return pending & stop ||
	       (stop & (STOPS | SIGNAL(SIGCONT)) && pending & (STOPS | SIGNAL(SIGCONT)));
}

const char *tracee_judge(const struct tracing *is, const struct tracee_seen *s,
                         const struct tracer_flags *how)
{
	if (tracee_why_not_so(s, how))
		return tracee_why_not_so(s, how);
	if (is->runs && s->pending & (SIGNAL(SIGSTOP) | SIGNAL(SIGCONT)))
		return "a signal waits for it that would be lost";
	if (is->options & PTRACE_O_SUSPEND_SECCOMP)
		return "with PTRACE_O_SUSPEND_SECCOMP";
	return NULL;
}

const char *tracee_judge_stop(const struct tracing *is, const struct tracee_seen *s)
{
	if (would_lose(is, s->pending))
		return "a signal waits for it that would be lost";
	/* Nothing would have the kernel make it anew: that takes a signal. */
	if (is->at == TRACING_AT_EXIT && arch_is_restarted(&is->regs) &&
	    !(s->pending & ~is->sigmask))
		return "it stands at the end of a system call that is to be made anew";
	return NULL;
}
