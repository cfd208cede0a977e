/*
 * Job control. A task that was stopped is stopped under our eyes, while it is
 * traced: it does not run one instruction, and its parent does not either. The
 * kernel tells the parent, as always, by a SIGCHLD, which is taken away unless
 * one was pending at the dump (two are one), and by wait(2): a parent that had
 * collected the stop calls wait4(2) once more.
 *
 * That a task was continued can be told only of one that was stopped: it stops
 * itself in its script, and its parent lets it go on.
 */
#include "restore/job.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/procfs.h"
#include "proto/sigaction.pb-c.h"
#include "proto/sigpending.pb-c.h"

#define SIGNAL(sig) (UINT64_C(1) << ((sig)-1))

/* ---- continued ---- */

static void emit_drop(struct script *s, int sig)
{
	const uint64_t set = SIGNAL(sig);
	const struct timespec none = {};

	script_ask(s, SYS_rt_sigtimedwait, script_put(s, &set, sizeof(set)), 0,
	           script_put(s, &none, sizeof(none)), sizeof(set));
}

static bool any_continued(const struct rtask *t)
{
	for (const struct rtask *c = t->children; c; c = c->sibling)
		if (c->tell_continued)
			return true;
	return false;
}

void job_emit(const struct rtask *t, struct script *s)
{
	s->room = "wait_status";
	if (t->tell_continued) {
		script_call(s, SYS_kill, t->pid, SIGSTOP);
		emit_drop(s, SIGCONT);
	}
	for (const struct rtask *c = t->children; c; c = c->sibling) {
		if (!c->tell_continued)
			continue;
		script_call(s, SYS_waitid, P_PID, c->pid, 0, WSTOPPED | __WALL, 0);
		script_call(s, SYS_kill, c->pid, SIGCONT);
	}
}

void job_emit_quiet(const struct rtask *t, struct script *s)
{
	if (any_continued(t))
		emit_drop(s, SIGCHLD);
}

/* ---- which signal ---- */

/* The signal does in T what it does by default, and reaches it. */
static bool is_default(const struct restore *r, const struct rtask *t, uint32_t sig)
{
	const Img__Sigaction *actions = (const Img__Sigaction *)aspect_record(
		r, KIND_sigaction, (uint32_t)t->shares[TABLE_SIGHAND]->pid);

	for (size_t i = 0; actions && i < actions->n_actions; i++)
		if (actions->actions[i]->signal == sig && actions->actions[i]->handler)
			return false;
	array_each (th, &t->threads)
		if (th->img && (th->img->sigmask & SIGNAL(sig)))
			return false;
	return true;
}

/* A group that nobody of its session outside of it watches over is not stopped by its terminal. */
static bool is_watched_over(const struct restore *r, const struct rtask *t)
{
	array_each (m, &r->tasks)
		if (m->pgid == t->pgid && m->role == ROLE_TASK && m->parent &&
		    m->parent->role == ROLE_TASK && m->parent->sid == m->sid &&
		    m->parent->pgid != m->pgid)
			return true;
	return false;
}

/* What stopped it, if that does it again: the parent is told which one it was. */
static int stop_signal(const struct restore *r, const struct rtask *t)
{
	uint32_t sig = t->img->stop_signal;

	if (sig != SIGTSTP && sig != SIGTTIN && sig != SIGTTOU)
		return SIGSTOP;
	return is_default(r, t, sig) && is_watched_over(r, t) ? (int)sig : SIGSTOP;
}

/* ---- stopped ---- */

/* The first that has not exited. */
static struct rthread *first_thread(struct rtask *t)
{
	array_each (th, &t->threads)
		if (th->img)
			return th;
	return NULL;
}

/* Let TH go on with signal SIG up to its next stop, which must be of signal WANT and EVENT. */
static int next_stop(struct rthread *th, int sig, int want, int event)
{
	int status, ret;

	if (ptrace(PTRACE_CONT, th->tid, NULL, (long)sig) < 0)
		return -errno;
	ret = tracee_wait(&th->tracee, &status);
	if (ret < 0)
		return ret;
	/* That of the stop which it is in already; then comes the signal. */
	if (!event && status >> 16 == PTRACE_EVENT_STOP)
		return next_stop(th, 0, want, event);
	return WSTOPSIG(status) == want && status >> 16 == event ? 0 : -EPROTO;
}

/* One thread takes the signal, and with it all others stop. */
static int stop_task(const struct restore *r, struct rtask *t)
{
	int sig = stop_signal(r, t), ret;
	struct rthread *first = first_thread(t);

	if (syscall(SYS_tgkill, t->pid, first->tid, sig) < 0)
		return -errno;
	/* Other signals, which wait for it to go on, wait. */
	ret = tracee_set_mask(&first->tracee, ~SIGNAL(sig));
	if (ret == 0)
		ret = next_stop(first, 0, sig, 0);
	if (ret == 0)
		ret = next_stop(first, sig, sig, PTRACE_EVENT_STOP);
	if (ret == 0)
		ret = tracee_set_mask(&first->tracee, first->tracee.sigmask);
	array_each (th, &t->threads)
		if (ret == 0 && th->img && th != first)
			ret = next_stop(th, 0, sig, PTRACE_EVENT_STOP);
	return ret;
}

/* ---- what its parent knows of it ---- */

static bool record_has(const struct restore *r, const struct rtask *t, int sig)
{
	const Img__Sigpending *msg = (const Img__Sigpending *)aspect_record(
		r, KIND_sigpending, (uint32_t)t->threads.v[0].tid);

	for (size_t i = 0; msg && i < msg->n_shared; i++)
		if (*(const int *)msg->shared[i].data == sig) /* si_signo comes first */
			return true;
	return false;
}

static bool is_pending(const struct rtask *t, int sig)
{
	auto_free char *status = NULL;
	uint64_t pending = 0;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/status", t->pid);
	return file_read(AT_FDCWD, path, &status) > 0 &&
	       status_u64(status, "ShdPnd", 16, &pending) && (pending & SIGNAL(sig));
}

/* It reaches one of its threads, and is taken off it by the tracer. */
static int drop_pending(struct rtask *t, int sig)
{
	struct rthread *th = first_thread(t);
	int ret = tracee_set_mask(&th->tracee, ~SIGNAL(sig));

	if (ret == 0)
		ret = next_stop(th, 0, sig, 0);
	return ret == 0 ? tracee_set_mask(&th->tracee, th->tracee.sigmask) : ret;
}

static int collect_stop(struct rtask *parent, const struct rtask *t, int64_t offset)
{
	const uint64_t args[6] = { (uint64_t)t->pid, 0, WUNTRACED | WNOHANG | __WALL };
	struct tracee *tracee = &first_thread(parent)->tracee;
	int64_t result = 0;
	int ret;

	if (offset < 0 || !parent->shares[TABLE_VM]->vdso)
		return -ENOTSUP;
	ret = tracee_syscall(tracee, parent->shares[TABLE_VM]->vdso + (uint64_t)offset, SYS_wait4,
	                     args, &result);
	if (ret == 0 && result != t->pid)
		ret = result < 0 ? (int)result : -EPROTO;
	return ret == 0 ? tracee_put_back(tracee) : ret;
}

static int tell_parent(struct restore *r, struct rtask *t, int64_t offset)
{
	struct rtask *p = t->parent;
	int ret = 0;

	if (!p)
		return 0; /* it is another one now */
	if (!record_has(r, p, SIGCHLD) && is_pending(p, SIGCHLD))
		ret = drop_pending(p, SIGCHLD);
	if (ret == 0 && !t->tell_stopped)
		ret = collect_stop(p, t, offset);
	return ret < 0 ? fail(ret, "%s: have it know that %s is stopped", rtask_name(p),
	                      rtask_name(t))
	               : 0;
}

int job_stop(struct restore *r, int64_t offset)
{
	array_each (t, &r->tasks) {
		int ret;

		if (t->role != ROLE_TASK || !t->img->stop_signal)
			continue;
		ret = stop_task(r, t);
		if (ret < 0)
			return fail(ret, "%s: stop it", rtask_name(t));
		ret = tell_parent(r, t, offset);
		if (ret < 0)
			return ret;
	}
	return 0;
}
