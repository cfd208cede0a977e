/*
 * The tree runs on, is left stopped, or is killed; whatever was done to it is
 * undone before, on every way out.
 */
#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "dump/dump.h"
#include "dump/guard.h"
#include "dump/stages.h"
#include "dump/threads.h"
#include "dump/tracees.h"
#include "dump/writers.h"
#include "lib/awake.h"
#include "lib/deadline.h"
#include "lib/log.h"
#include "lib/procfs.h"

#define STRANGER_MS 1000 /* it makes some twenty system calls */

static int release_thread(struct dump *d, struct thread *th)
{
	int r = tracee_release(&th->tracee);

	if (r < 0 && r != -ESRCH)
		fail(r, "%s: let thread %d run on", task_name(th->task), th->tid);
	th->released = r;
	return 0;
}

/* All of them, whatever happens to one. */
static int release_all(struct dump *d)
{
	int first = 0;

	/* Sent before the detach, so that it does not run a single instruction. */
	array_each (t, &d->tasks)
		if (d->opt->leave_stopped)
			syscall(SYS_kill, t->pid, SIGSTOP);
	threads_each(d, release_thread);
	array_each (t, &d->tasks)
		array_each (th, &t->threads)
			if (first == 0 && th->released != -ESRCH)
				first = th->released;
	return first;
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
	awake_end(&d->awake);
	d->frozen_cpu = cpu_ns() - d->frozen_cpu;
}

/* They wait for their tracees to stop. */
static int attach_tracers(struct dump *d)
{
	int r;

	deadline_arm(d->opt->timeout_ms);
	r = tracees_attach(d);
	deadline_arm(0);
	return r;
}

int resume_tree(struct dump *d)
{
	int r;

	if (!d->opt->leave_running) {
		awake_end(&d->awake);
		return 0;
	}
	dump_kinds_release(d, false);
	r = attach_tracers(d);
	if (r < 0)
		return r; /* unfreeze_tree() does what is left */
	r = release_all(d);
	unfrozen(d);
	guard_rest(d);
	return r;
}

static void signal_running(struct dump *d, int sig)
{
	array_each (t, &d->tasks)
		if (t->state == TASK_ALIVE)
			syscall(SYS_kill, t->pid, sig);
}

void dump_keep_stopped(struct dump *d)
{
	signal_running(d, SIGSTOP);
}

/* It takes the other back, which has not been seen by anybody yet. */
void dump_may_run(struct dump *d)
{
	signal_running(d, SIGCONT);
}

int hand_over(struct dump *d)
{
	return d->opt->hand_over ? d->opt->hand_over(d->opt->hand_over_arg, d) : 0;
}

int end_tree(struct dump *d)
{
	int first = 0;

	if (!d->frozen)
		return 0;
	if (!d->opt->leave_stopped) {
		first = dump_kinds_end(d);
		if (first == 0)
			first = guard_note_end(d);
	}
	if (first < 0)
		return first;
	if (d->opt->leave_stopped) {
		dump_kinds_release(d, false);
		first = release_all(d);
	} else {
		first = kill_tree(d);
	}
	unfrozen(d); /* what is left is dying */
	array_each (t, &d->tasks)
		if (!d->opt->leave_stopped)
			reap_task(t);
	tracees_forget(d);
	dump_kinds_release(d, !d->opt->leave_stopped);
	return first;
}

/* No thread runs in the arena any more, but for the host, which unmaps it. */
static int leave_arena(struct dump *d, struct thread *th)
{
	struct tracee *tracee = &th->tracee;
	int r = 0;

	if (tracee->stopped)
		r = tracee == mm_of(th->task)->parasite.host ? tracee_halt(tracee)
		                                             : tracee_put_back(tracee);
	if (r < 0 && r != -ESRCH)
		warn("%s: thread %d does not leave the arena", task_name(th->task), th->tid);
	return 0;
}

/*
 * A thread that a script has made (landlock.c) is traced by nobody. It ends by itself, soon,
 * and until then it runs in the arena. Those of the program itself are all known.
 */
static bool has_stranger(struct task *t)
{
	struct proc_stat st;
	uint64_t known = t->headless;

	if (!mm_of(t)->parasite.host)
		return false;
	array_each (th, &t->threads)
		known += !th->exited;
	return stat_read(t->proc, "stat", &st) == 0 && st.field[STAT_NUM_THREADS] > known;
}

static bool await_strangers(struct dump *d)
{
	const struct timespec moment = { .tv_nsec = 1000000 };
	int tries = STRANGER_MS;

	array_each (t, &d->tasks)
		while (has_stranger(t)) {
			if (tries-- == 0)
				return false;
			nanosleep(&moment, NULL);
		}
	return true;
}

static int release_quietly(struct dump *d, struct thread *th)
{
	tracee_release(&th->tracee);
	return 0;
}

void unfreeze_tree(struct dump *d)
{
	bool alone;

	if (!d->frozen)
		return;
	interrupts_forgive(d->opt->timeout_ms);
	writers_kill(d);
	/* All who share an address space, before the arena goes. */
	threads_each(d, leave_arena);
	writers_kill_unknown(d);
	alone = await_strangers(d);
	array_each (t, &d->tasks) {
		if (!alone || parasite_cure(&t->parasite) < 0)
			warn("%s: cannot unmap the arena, %zu KiB; the guard will try again",
			     task_name(t), t->arena.size / 1024);
		else
			guard_forget(d, t);
	}
	dump_kinds_release(d, false);
	tracees_attach(d);
	threads_each(d, release_quietly);
	deadline_arm(0);
	unfrozen(d);
}
