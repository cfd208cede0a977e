/*
 * Every thread of the tree stopped, none missed: all are seized and asked to
 * stop before the first is waited for; what they forked or cloned meanwhile is
 * looked for until nothing new appears while all known ones stand. Once those that
 * look saw stand, stat tells whether that are all of them: a list of threads
 * costs three times a stop, and is read only where the numbers differ.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "dump/dump.h"
#include "dump/ended.h"
#include "dump/guard.h"
#include "dump/restart.h"
#include "dump/stages.h"
#include "dump/task.h"
#include "dump/threads.h"
#include "dump/tracees.h"
#include "dump/tracer.h"
#include "lib/cleanup.h"
#include "lib/deadline.h"
#include "lib/fd.h"
#include "lib/hands.h"
#include "lib/log.h"
#include "lib/procfs.h"

static int explain_seize(struct dump *d, struct task *t, pid_t tid, int r)
{
	int busy = r == -EPERM ? tracer_check(d, t, tid) : 0;

	if (busy < 0)
		return busy;
	if (r == -EPERM)
		return fail(r, "%s: may not be traced (its user, or CAP_SYS_PTRACE, is needed)",
		            task_name(t));
	return fail(r, "%s: seize thread %d", task_name(t), tid);
}

/* A zombie cannot be seized, nor can a leader that has exited while other threads live. */
static bool is_zombie(const struct task *t, pid_t tid)
{
	struct task now = *t;

	return task_refresh(&now) < 0 || now.state == TASK_ZOMBIE ||
	       (now.headless && tid == t->pid);
}

/* Its tracer has to let it go; the guard, which needs nothing of it, lets it stand. */
static int leave_to_tracer(const struct dump *d, struct thread *th)
{
	th->tracee = (struct tracee){};
	th->debugged = !d->undoing;
	if (d->undoing)
		th->task->state = TASK_ZOMBIE;
	return 0;
}

/*
 * Who was inside of a clone for a tracer that has died meanwhile, and is seized by us, makes a tracee of ours: the
 * kernel has asked for the options at the beginning, and asks who the tracer is at the end (kernel_clone()).
 */
static int seize_new(struct thread *th)
{
	int r = tracee_seize(&th->tracee, th->tid, 0);

	if (r != -EPERM || !tracer_is_own(th->tid))
		return r;
	th->tracee = (struct tracee){ .tid = th->tid, .seized = true };
	return 0;
}

/* One that goes away meanwhile is forgotten. */
static int seize_thread(struct dump *d, struct thread *th, bool stop)
{
	struct task *t = th->task;
	int r = 0;

	if (t->state == TASK_ZOMBIE || th->debugged)
		return 0;
	if (!th->tracee.tid)
		r = seize_new(th);
	if (r == 0 && stop && !th->tracee.asked)
		r = tracee_interrupt(&th->tracee);
	if (r == -EPERM && !is_zombie(t, th->tid) && tracees_know(d, th))
		return leave_to_tracer(d, th);
	if (r < 0 && r != -ESRCH && (r != -EPERM || !is_zombie(t, th->tid)))
		return explain_seize(d, t, th->tid, r);
	th->exited = r < 0;
	return 0;
}

/* To be seized stops nobody, so that those who are known are before the first stands still. */
static int seize(struct dump *d, struct thread *th)
{
	return seize_thread(d, th, false);
}

static int seize_and_ask(struct dump *d, struct thread *th)
{
	return seize_thread(d, th, true);
}

/* Threads that are not known yet; LIST: also of a task that has some. Their number. */
static int find_threads(struct task *t, bool list)
{
	int found = 0;

	if (t->state != TASK_ZOMBIE && (list || !t->threads.n))
		found = task_find_threads(t);
	if (found < 0 && found != -ESRCH && found != -ENOENT)
		return fail(found, "%s: list its threads", task_name(t));
	if (found >= 0)
		return found;
	array_each (th, &t->threads) /* it is gone: settle_tree() finds out */
		th->exited |= !th->tracee.tid;
	return 0;
}

static int explain_timeout(const struct task *t, pid_t tid)
{
	auto_free char *wchan = NULL;
	char path[48];

	snprintf(path, sizeof(path), "task/%d/wchan", tid);
	file_read(t->proc, path, &wchan);
	return fail(-ETIMEDOUT,
	            "%s: thread %d did not stop in time, it waits in the kernel (%s); "
	            "--timeout gives it longer",
	            task_name(t), tid, wchan && *wchan ? wchan : "?");
}

/* A leader that has exited while other threads live is not reported before they are gone. */
static bool is_dead_leader(struct task *t, const struct thread *th)
{
	return th->tid == t->pid && t->threads.n > 1 && task_refresh(t) == 0 && t->headless;
}

/* Its task may be that of other threads, too, which others wait for. */
static int wait_thread(struct dump *d, struct thread *th)
{
	struct task *t = th->task;
	int r = 0;

	if (th->tracee.stopped || t->state == TASK_ZOMBIE || th->debugged)
		return 0;
	r = is_dead_leader(t, th) ? -ESRCH : tracee_wait_stop(&th->tracee);
	if (r == 0)
		r = restart_identify(t, th);
	th->ran = r > 0;
	if (r == -ESRCH)
		th->exited = true;
	else if (r == -ETIMEDOUT)
		return explain_timeout(t, th->tid);
	else if (r < 0)
		return fail(r, "%s: stop thread %d", task_name(t), th->tid);
	return 0;
}

/* All are asked before the first is waited for: that is who stops last, mostly. */
static int stop_share(void *arg, unsigned hand)
{
	struct dump *d = arg;
	int r = threads_of(d, hand, seize_and_ask);

	return r < 0 ? r : threads_back(d, hand, wait_thread);
}

/* It stood still, and has been reaped: by ended_take(), or as another thread has taken its place. */
static bool is_gone(const struct thread *th)
{
	siginfo_t info;

	return waitid(P_PID, (id_t)th->tid, &info,
	              WEXITED | WSTOPPED | WNOHANG | WNOWAIT | __WALL) < 0 &&
	       errno == ECHILD;
}

/* Whoever has called exec has the number of the leader now, and other registers. */
static int stop_leader_anew(struct thread *leader)
{
	struct tracee *tracee = &leader->tracee;
	int r = tracee_take(tracee);

	if (r == 0)
		return tracee_put_back(tracee);
	if (r == -ESRCH)
		*tracee = (struct tracee){ .tid = tracee->tid,
			                   .seized = tracee->seized,
			                   .suspend_seccomp = tracee->suspend_seccomp };
	return r == -ESRCH ? 0 : r;
}

/*
 * Where a thread has ended there may have been an exec, which ends all but one, whether they stood still or not.
 * Those are forgotten, so that who bears their number now is found. How many.
 */
static int settle_ended(struct task *t)
{
	size_t kept = 0, had = t->threads.n;
	bool ended = false;

	array_each (th, &t->threads)
		ended |= th->exited && th->tracee.tid;
	if (!ended)
		return 0;
	array_each (th, &t->threads) {
		th->exited |= th->tracee.stopped && is_gone(th);
		if (th->exited && (th->tid != t->pid || !is_zombie(t, th->tid))) {
			ended_reap(&th->tracee);
			thread_done(th);
		} else
			t->threads.v[kept++] = *th;
	}
	t->threads.n = kept;
	if (kept && t->threads.v[0].tracee.stopped) {
		int r = stop_leader_anew(t->threads.v);

		if (r < 0)
			return fail(r, "%s: stop it again", task_name(t));
	}
	return (int)(had - kept);
}

/* A group-stop that was there before is of the task. The number of threads that have run meanwhile. */
static int settle_stops(struct task *t)
{
	int ran = 0;

	array_each (th, &t->threads) {
		ran += th->ran;
		th->ran = false;
		if (!th->tracee.stop_signal)
			continue;
		t->state = TASK_STOPPED;
		t->stop_signal = th->tracee.stop_signal;
	}
	return ran;
}

/*
 * Nobody of it stands, and it has not ended: whoever lives is not known yet, and may just be about to exec once
 * more, so that the leader seems to have exited before.
 */
static bool is_elsewhere(const struct task *t)
{
	struct task now = *t;

	if (t->state == TASK_ZOMBIE)
		return false;
	array_each (th, &t->threads)
		if (!th->exited)
			return false;
	return task_refresh(&now) == 0 && now.state != TASK_ZOMBIE;
}

/* One that had exited may be another by now, whom to seize. */
static int look_anew(struct task *t)
{
	if (!is_elsewhere(t))
		return 0;
	if (deadline_passed())
		return fail(-ETIMEDOUT, "%s: did not stop in time; --timeout gives it longer",
		            task_name(t));
	array_each (th, &t->threads) {
		ended_reap(&th->tracee); /* nobody knows it any more */
		thread_done(th);
	}
	t->threads.n = 0;
	return 1;
}

/* Children of all tasks that were not known. */
static int find_children(struct dump *d)
{
	int new = 0, r;

	if (tasks_many_threads(d)) {
		r = tasks_find_newborn(d);
		return r < 0 ? fail(r, "look for new children") : r;
	}
	for (size_t i = 0; i < d->tasks.n; i++) {
		r = task_find_children(d, i);
		if (r < 0)
			return r;
		new += r;
	}
	return new;
}

/* One round over the tree. The number of tasks and threads that were new, or -errno. */
static int freeze_round(struct dump *d, struct ended *ended, bool list)
{
	int new = 0, r;

	for (size_t i = 0; i < d->tasks.n; i++) {
		r = find_threads(&d->tasks.v[i], list);
		if (r < 0)
			return r;
		new += r;
	}
	ended->steady = true;
	r = hands_all(d->hands, stop_share, d);
	ended->steady = false;
	if (r == 0)
		r = tracees_detach(d);
	if (r < 0)
		return r;
	new += r;
	array_each (t, &d->tasks) {
		r = settle_ended(t);
		if (r == 0)
			r = look_anew(t);
		if (r < 0)
			return r;
		new += r;
	}
	array_each (t, &d->tasks)
		new += settle_stops(t);
	r = find_children(d);
	return r < 0 ? r : new + r;
}

/* Threads that exited before they stopped are none of ours. */
static void drop_exited(struct task *t)
{
	size_t kept = 0;

	array_each (th, &t->threads) {
		if (th->exited)
			thread_done(th);
		else
			t->threads.v[kept++] = *th;
	}
	t->threads.n = kept;
}

/* -EAGAIN: there may be others. */
static int count_threads(struct dump *d, struct task *t)
{
	size_t stopped = 0;

	array_each (th, &t->threads)
		stopped += th->tracee.stopped;
	if (task_refresh(t) < 0)
		return -EAGAIN;
	return t->state == TASK_ZOMBIE || t->stat.field[STAT_NUM_THREADS] == stopped ? 0 : -EAGAIN;
}

/*
 * All known threads stand: are there others? One that has ended and is not reaped
 * yet counts as one, until a list tells. What stat says is there for settle_tree().
 */
static bool knows_all_threads(struct dump *d)
{
	return tasks_each(d, count_threads) == 0;
}

/* A task that was on its way out is a zombie by now, or gone; -ESRCH: forget it. */
static int settle_task(struct dump *d, struct task *t, bool fresh)
{
	int r = fresh ? 0 : task_refresh(t);

	if (r < 0)
		return r;
	drop_exited(t);
	if (t->state == TASK_ZOMBIE) {
		t->threads.n = 0;
		return 0;
	}
	if (!t->threads.n || (t->threads.v[0].tid == t->pid) == t->headless)
		return passing(
			d, fail(-ETIMEDOUT,
		                "%s: its main thread exited while it was being frozen; try again",
		                task_name(t)));
	return task_behead(t);
}

/* Who has lost his parent meanwhile has another one, in the tree or outside. */
static int settle_parent(struct dump *d, struct task *t)
{
	const struct task *parent = task_find(d, t->ppid);

	if (t == d->tasks.v)
		return 0;
	if (!parent)
		return passing(d, fail(-ETIMEDOUT,
		                       "%s: left the tree while it was being frozen; try again",
		                       task_name(t)));
	t->parent_at = (size_t)(parent - d->tasks.v);
	return 0;
}

/* FRESH: what stat says has been read since everybody stands. */
static int settle_tree(struct dump *d, bool fresh)
{
	size_t kept = 0;
	int r = 0;

	for (size_t i = 0; i < d->tasks.n; i++) {
		r = settle_task(d, &d->tasks.v[i], fresh);
		if (r == -ESRCH && i > 0) {
			task_done(&d->tasks.v[i]);
			r = 0;
			continue;
		}
		if (r < 0)
			return fail(r, "%s", task_name(&d->tasks.v[i]));
		d->tasks.v[kept++] = d->tasks.v[i];
	}
	d->tasks.n = kept;
	r = tasks_index(d);
	for (size_t i = 0; r >= 0 && i < d->tasks.n; i++)
		r = settle_parent(d, &d->tasks.v[i]);
	if (r < 0)
		return r;
	tasks_relink(d);
	if (d->tasks.v[0].state == TASK_ZOMBIE)
		return fail(-ESRCH, "%s: ended while it was being frozen", task_name(d->tasks.v));
	return 0;
}

int freeze_tree(struct dump *d)
{
	struct ended ended = { .d = d, .steady = true };
	bool all = false, fresh = false;
	int r = guard_await(&d->guard);

	if (r < 0)
		return fail(r, "the guard that protects the target is gone");
	deadline_arm(d->opt->timeout_ms);
	deadline_watch(ended_take, &ended);
	d->frozen = true;
	r = threads_each(d, seize);
	ended.steady = false;
	d->frozen_cpu = cpu_ns();
	d->frozen_at = clock_ns();
	if (r == 0)
		r = freeze_round(d, &ended, false);
	if (r == 0)
		all = knows_all_threads(d);
	fresh = all;
	while (r > 0 || (r == 0 && !all)) {
		r = freeze_round(d, &ended, true);
		all = r == 0;
	}
	deadline_arm(0);
	if (r == 0)
		r = tracees_check(d);
	return r < 0 ? r : settle_tree(d, fresh);
}
