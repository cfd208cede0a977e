#include "dump/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dump/guard.h"
#include "dump/memory_map.h"
#include "dump/task.h"
#include "dump/tracer.h"
#include "dump/writers.h"
#include "lib/child.h"
#include "lib/cleanup.h"
#include "lib/deadline.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/procfs.h"

#define REAP_MS 1000 /* for one thread to stand still for a moment */
#define END_MS  100  /* for a copy that has no memory any more to be a zombie */

/* ---- the fork ---- */

/* One copy for each address space, made by whoever stands for it. */
static bool makes_copy(const struct dump *d, const struct thread *th)
{
	struct task *t = th->task;

	return d->opt->snapshot && mm_of(t) == t && th == t->threads.v;
}

/* Does it make a process that we are to trace? */
static bool reports(const struct dump *d, const struct thread *th)
{
	return makes_copy(d, th) || writers_come(th);
}

int copy_emit_end(struct script *own)
{
	int r = script_head(own);

	if (r < 0)
		return r;
	script_ask(own, SYS_prctl, PR_SET_NAME, script_string(own, SNAPSHOT_COMM));
	script_ask(own, SYS_exit_group, 0);
	return script_finish(own, 0, 0, NULL, 0);
}

int snapshot_ask(struct dump *d, struct thread *th, struct script *s)
{
	auto_(script_done) struct script own = {};
	struct clone_args args = { .flags = CLONE_FILES, .stack_size = ARENA_STACK };
	int r;

	if (!makes_copy(d, th))
		return 0;
	script_init(&own, s->arena);
	own.room = s->room;
	r = copy_emit_end(&own);
	if (r < 0)
		return fail(r, "%s: script of its copy", task_name(th->task));
	args.stack = own.stack - ARENA_STACK;
	th->task->copy.op = script_op(
		s, OP_CLONE, EXPECT_ANY, 0, SYS_clone3,
		(const uint64_t[6]){ script_put(s, &args, sizeof(args)), sizeof(args), own.head });
	return 0;
}

int snapshot_arm(struct dump *d, struct thread *th)
{
	int r = makes_copy(d, th) ? guard_note_copy(d, th->task, 0) : 0;

	th->task->copy.armed |= makes_copy(d, th);
	if (r == 0)
		r = writers_arm(d, th);
	return r < 0 || !reports(d, th) ? r : tracee_set_options(&th->tracee, PTRACE_O_TRACECLONE);
}

int snapshot_disarm(const struct dump *d, struct thread *th)
{
	return reports(d, th) ? tracee_set_options(&th->tracee, 0) : 0;
}

static int say_died(const struct task *t, pid_t pid, bool exited, int status)
{
	return fail(
		-ECANCELED,
		"%s: the copy of its memory, process %d, %s %d before it was read; if memory is "
		"short, a dump without --snapshot needs none",
		task_name(t), pid, exited ? "exited with" : "died of signal", status);
}

/* Its memory, as it is read from outside. */
static int open_copy(struct task *t)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d", t->copy.tracee.tid);
	t->copy.proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (t->copy.proc < 0)
		return -errno;
	t->copy.mem = openat(t->copy.proc, "mem", O_RDONLY | O_CLOEXEC);
	return t->copy.mem < 0 ? -errno : 0;
}

int snapshot_take(struct dump *d, struct task *t)
{
	int64_t pid;
	int status = 0x7f, r; /* none: as if stopped */

	if (t->state == TASK_ZOMBIE || !makes_copy(d, t->threads.v))
		return 0;
	pid = script_result(&t->threads.v->script, t->copy.op);
	if (pid < 0) {
		warn("%s: its memory is copied while it stands still, since it cannot be forked: "
		     "%s",
		     task_name(t), strerror((int)-pid));
		return 0;
	}
	t->copy.tracee = (struct tracee){ .tid = (pid_t)pid, .seized = true };
	r = guard_note_copy(d, t, (pid_t)pid);
	if (r == 0)
		r = tracee_wait(&t->copy.tracee, &status);
	if (r == -ESRCH && !WIFSTOPPED(status))
		return say_died(t, (pid_t)pid, WIFEXITED(status),
		                WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
	if (r == 0)
		r = open_copy(t);
	return r < 0 ? fail(r, "%s: look into its copy, process %d", task_name(t), (int)pid) : 0;
}

/* ---- what is in it ---- */

bool snapshot_holds(const struct task *t, const struct vma *v)
{
	return t->copy.tracee.tid && !(v->flags & (VMF(dc) | VMF(wf) | VMF(dp) | VMF(ht)));
}

/* What became of the copy PID, or si_pid 0. One that was killed is without memory before it is a zombie. */
static siginfo_t end_of_copy(pid_t pid)
{
	siginfo_t info = {};

	for (int i = 0; i < END_MS && !info.si_pid; i++) {
		if (i)
			usleep(1000);
		if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0)
			break;
	}
	return info;
}

int snapshot_fail(const struct task *t, int r)
{
	pid_t pid = t->copy.tracee.tid;
	siginfo_t info = end_of_copy(pid);

	if (!info.si_pid)
		return fail(r, "%s: read the copy of its memory, process %d", task_name(t), pid);
	return say_died(t, pid, info.si_code == CLD_EXITED, info.si_status);
}

/* ---- the end of it ---- */

/* HOST is a thread of T and stands still. */
static int reap_in(struct task *t, struct tracee *host, pid_t pid)
{
	struct arena none = {};
	struct parasite p = {};
	int64_t result = 0;
	int cured, r = vmas_read(t); /* not what it was at the dump: it may have called exec */

	if (r == 0)
		r = task_open_mem(t);
	if (r == 0)
		r = task_find_syscall(t);
	if (r < 0)
		return r;
	parasite_visit(&p, host, &none, t->mem, t->syscall_insn, t->door);
	r = parasite_call(&p, SYS_wait4, (const uint64_t[6]){ (uint64_t)pid, 0, WNOHANG | __WALL },
	                  &result);
	cured = parasite_cure(&p);
	if (r == 0)
		r = result < 0 ? (int)result : result ? cured : -EAGAIN;
	return r;
}

/* -ESRCH: this thread has ended. */
static int reap_by(struct task *t, pid_t tid, pid_t pid)
{
	struct tracee host = {};
	int r = tracee_seize(&host, tid, 0), released;

	if (r == 0)
		r = tracee_interrupt(&host);
	if (r == 0)
		r = tracee_wait_stop(&host);
	if (r == 0)
		r = reap_in(t, &host, pid);
	released = tracee_release(&host);
	return r < 0 ? r : released;
}

int copy_reap(pid_t owner, pid_t pid)
{
	struct dump look = { .dirfd = -1 };
	int r = task_add(&look, owner, SIZE_MAX);

	if (r == 0)
		r = task_find_threads(look.tasks.v);
	if (r > 0)
		r = -ESRCH;
	deadline_arm(REAP_MS);
	for (size_t i = 0; r == -ESRCH && look.tasks.n && i < look.tasks.v->threads.n; i++)
		r = reap_by(look.tasks.v, look.tasks.v->threads.v[i].tid, pid);
	deadline_arm(0);
	tasks_done(&look);
	return r;
}

pid_t snapshot_find(const struct dump *d, const struct task *t)
{
	auto_free char *list = NULL;
	char path[48];

	snprintf(path, sizeof(path), "task/%d/children", t->pid);
	if (file_read(t->proc, path, &list) < 0)
		return 0;
	for (char *at = list, *end; *at; at = end) {
		pid_t pid = (pid_t)strtol(at, &end, 10);

		if (end == at)
			break;
		if (!task_find(d, pid) && tracer_is_own(pid))
			return pid;
	}
	return 0;
}

static void end_copy(struct dump *d, struct task *t)
{
	pid_t pid = t->copy.tracee.tid ? t->copy.tracee.tid
	            : t->copy.armed    ? snapshot_find(d, t)
	                               : 0;
	int r;

	t->copy.armed = false;
	if (!pid)
		return;
	t->copy.tracee.tid = 0;
	child_end(pid);
	r = copy_reap(t->pid, pid);
	/* Once its parent is gone it is init that reaps; else the guard tries again when we are gone. */
	if (r == 0 || task_has_ended(t))
		guard_forget_copy(d, t);
	else
		debug("%s: process %d, the copy of its memory, is left to the guard: %s",
		      task_name(t), pid, strerror(-r));
}

void snapshot_done(struct dump *d)
{
	array_each (t, &d->tasks)
		end_copy(d, t);
}
