/*
 * Every thread of the tree stopped, none missed: all are seized and asked to
 * stop before the first is waited for; what they forked or cloned meanwhile is
 * looked for until nothing new appears while all known ones stand.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "dump/dump.h"
#include "dump/guard.h"
#include "dump/restart.h"
#include "dump/task.h"
#include "dump/tracer.h"
#include "lib/cleanup.h"
#include "lib/deadline.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/procfs.h"

static int explain_seize(const struct dump *d, const struct task *t, pid_t tid, int r)
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
static bool is_zombie(struct task *t, pid_t tid)
{
	return task_refresh(t) < 0 || t->state == TASK_ZOMBIE || (t->headless && tid == t->pid);
}

/* One that goes away meanwhile is forgotten. */
static int seize_thread(const struct dump *d, struct task *t, struct thread *th, bool stop)
{
	int r = 0;

	if (th->exited || t->state == TASK_ZOMBIE)
		return 0;
	if (!th->tracee.tid)
		r = tracee_seize(&th->tracee, th->tid, 0);
	if (r == 0 && stop && !th->tracee.asked)
		r = tracee_interrupt(&th->tracee);
	if (r < 0 && r != -ESRCH && (r != -EPERM || !is_zombie(t, th->tid)))
		return explain_seize(d, t, th->tid, r);
	th->exited = r < 0;
	return 0;
}

/* Seize and interrupt all threads that are not yet. The number of those that are new. */
static int seize_threads(const struct dump *d, struct task *t)
{
	int found = t->state == TASK_ZOMBIE ? 0 : task_find_threads(t);

	if (found < 0 && found != -ESRCH && found != -ENOENT)
		return fail(found, "%s: list its threads", task_name(t));
	if (found < 0) { /* it is gone: settle_tree() finds out */
		array_each (th, &t->threads)
			th->exited |= !th->tracee.tid;
		return 0;
	}
	array_each (th, &t->threads) {
		int r = seize_thread(d, t, th, true);

		if (r < 0)
			return r;
	}
	return found;
}

/* To be seized stops nobody, so that those who are known are before the first stands still. */
static int seize_known(struct dump *d)
{
	array_each (t, &d->tasks)
		array_each (th, &t->threads) {
			int r = seize_thread(d, t, th, false);

			if (r < 0)
				return r;
		}
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

/* 1: it has run once more. */
static int wait_thread(struct task *t, struct thread *th)
{
	int r = is_dead_leader(t, th) ? -ESRCH : tracee_wait_stop(&th->tracee);

	if (r == 0)
		r = restart_identify(t, th);
	if (r == -ESRCH)
		th->exited = true;
	else if (r == -ETIMEDOUT)
		return explain_timeout(t, th->tid);
	else if (r < 0)
		return fail(r, "%s: stop thread %d", task_name(t), th->tid);
	if (r >= 0 && th->tracee.stop_signal) {
		t->state = TASK_STOPPED;
		t->stop_signal = th->tracee.stop_signal;
	}
	return r > 0;
}

/* The leader last: if the task is killed, its end is reported when we know that of the others. 1: one has run. */
static int wait_threads(struct task *t)
{
	int run = 0;

	for (size_t i = t->threads.n; i-- > 0;) {
		struct thread *th = &t->threads.v[i];
		int r = 0;

		if (!th->exited && !th->tracee.stopped && t->state != TASK_ZOMBIE)
			r = wait_thread(t, th);
		if (r < 0)
			return r;
		run |= r;
	}
	return run;
}

/* One round over the tree. The number of tasks and threads that were new, or -errno. */
static int freeze_round(struct dump *d)
{
	bool many = tasks_many_threads(d);
	int new = 0;

	for (size_t i = 0; i < d->tasks.n; i++) {
		int r = seize_threads(d, &d->tasks.v[i]);

		if (r < 0)
			return r;
		new += r;
	}
	for (size_t i = 0; i < d->tasks.n; i++) {
		int r = wait_threads(&d->tasks.v[i]);

		if (r < 0)
			return r;
		new += r;
		r = many ? 0 : task_find_children(d, i);
		if (r < 0)
			return r;
		new += r;
	}
	if (many) {
		int r = tasks_find_newborn(d);

		if (r < 0)
			return fail(r, "look for new children");
		new += r;
	}
	return new;
}

/* Threads that exited before they stopped are none of ours. */
static void drop_exited(struct task *t)
{
	size_t kept = 0;

	array_each (th, &t->threads) {
		if (th->exited)
			free(th->status);
		else
			t->threads.v[kept++] = *th;
	}
	t->threads.n = kept;
}

/* A task that was on its way out is a zombie by now, or gone; -ESRCH: forget it. */
static int settle_task(struct task *t)
{
	int r = task_refresh(t);

	if (r < 0)
		return r;
	drop_exited(t);
	if (t->state == TASK_ZOMBIE) {
		t->threads.n = 0;
		return 0;
	}
	if (!t->threads.n || (t->threads.v[0].tid == t->pid) == t->headless)
		return fail(-ECANCELED,
		            "%s: its main thread exited while it was being frozen; try again",
		            task_name(t));
	return task_behead(t);
}

/* Who has lost his parent meanwhile has another one, in the tree or outside. */
static int settle_parent(struct dump *d, struct task *t)
{
	const struct task *parent = task_find(d, t->ppid);

	if (t == d->tasks.v)
		return 0;
	if (!parent)
		return fail(-ECANCELED, "%s: left the tree while it was being frozen; try again",
		            task_name(t));
	t->parent_at = (size_t)(parent - d->tasks.v);
	return 0;
}

static int settle_tree(struct dump *d)
{
	size_t kept = 0;
	int r = 0;

	for (size_t i = 0; i < d->tasks.n; i++) {
		r = settle_task(&d->tasks.v[i]);
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
	int r;

	deadline_arm(d->opt->timeout_ms);
	d->frozen = true;
	r = seize_known(d);
	d->frozen_at = clock_ns();
	while (r == 0 && (r = freeze_round(d)) > 0)
		r = 0;
	deadline_arm(0);
	return r < 0 ? r : settle_tree(d);
}

static int release_task(const struct dump *d, struct task *t)
{
	int first = 0;

	/* Sent before the detach, so that it does not run a single instruction. */
	if (d->opt->leave_stopped)
		syscall(SYS_kill, t->pid, SIGSTOP);
	array_each (th, &t->threads) {
		int r = tracee_release(&th->tracee);

		if (r < 0 && r != -ESRCH && first == 0)
			first = fail(r, "%s: let thread %d run on", task_name(t), th->tid);
	}
	return first;
}

static int kill_task(const struct task *t)
{
	if (kill(t->pid, SIGKILL) < 0 && errno != ESRCH)
		return fail(-errno, "%s: kill it", task_name(t));
	return 0;
}

/* Its parent must learn of the death, so the tracer takes the news first. */
static void reap_task(struct task *t)
{
	for (size_t i = t->threads.n; i-- > 0;) {
		struct tracee *tracee = &t->threads.v[i].tracee;

		while (tracee->seized && waitpid(tracee->tid, NULL, __WALL) < 0 && errno == EINTR)
			continue;
		tracee->seized = false;
	}
}

static void unfrozen(struct dump *d)
{
	d->frozen = false;
	d->released_at = clock_ns();
}

int resume_tree(struct dump *d)
{
	int first = 0;

	if (!d->opt->leave_running)
		return 0;
	dump_kinds_release(d, false);
	array_each (t, &d->tasks) {
		int r = release_task(d, t);

		if (first == 0)
			first = r;
	}
	unfrozen(d);
	return first;
}

int end_tree(struct dump *d)
{
	int first = 0;

	if (!d->frozen)
		return 0;
	first = d->opt->leave_stopped ? 0 : dump_kinds_end(d);
	if (first < 0)
		return first;
	if (d->opt->leave_stopped)
		dump_kinds_release(d, false);
	array_each (t, &d->tasks) {
		int r = d->opt->leave_stopped ? release_task(d, t) : kill_task(t);

		if (first == 0)
			first = r;
	}
	unfrozen(d); /* what is left is dying */
	array_each (t, &d->tasks)
		if (!d->opt->leave_stopped)
			reap_task(t);
	dump_kinds_release(d, !d->opt->leave_stopped);
	return first;
}

/* No thread runs in the arena any more, but for the host, which unmaps it. */
static int empty_arena(struct task *t)
{
	for (size_t i = t->threads.n; i-- > 0;) {
		struct tracee *tracee = &t->threads.v[i].tracee;
		int r = 0;

		if (tracee->stopped)
			r = tracee == mm_of(t)->parasite.host ? tracee_halt(tracee)
			                                      : tracee_put_back(tracee);
		if (r < 0 && r != -ESRCH)
			return r;
	}
	return 0;
}

void unfreeze_tree(struct dump *d)
{
	if (!d->frozen)
		return;
	interrupts_forgive(d->opt->timeout_ms);
	/* All who share an address space, before the arena goes. */
	array_each (t, &d->tasks)
		if (empty_arena(t) < 0)
			warn("%s: does not leave the arena", task_name(t));
	array_each (t, &d->tasks) {
		if (parasite_cure(&t->parasite) < 0)
			warn("%s: cannot unmap the arena, %zu KiB; the guard will try again",
			     task_name(t), t->arena.size / 1024);
		else
			guard_forget(d, t);
	}
	dump_kinds_release(d, false);
	array_each (t, &d->tasks) {
		for (size_t i = t->threads.n; i-- > 0;)
			tracee_release(&t->threads.v[i].tracee);
	}
	deadline_arm(0);
	unfrozen(d);
}
