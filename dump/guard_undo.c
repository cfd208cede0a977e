/*
 * In the guard: the tree is stopped once more, and everything that is noted is undone when no thread is in the way.
 */
#include "dump/guard_undo.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "dump/sk_tcp_watch.h"
#include "dump/snapshot.h"
#include "dump/stages.h"
#include "dump/task.h"
#include "lib/cleanup.h"
#include "lib/deadline.h"
#include "lib/fd.h"

#define TRIES_NS  UINT64_C(20000000000) /* for threads that are on their way out */
#define MOMENT_NS 2000000
#define FREEZE_MS 300
#define FEW       64    /* tasks */
#define HOLD_MS   10000 /* for all that is done while it stands */

bool notes_pending(const struct notes *notes)
{
	if (notes->watch)
		return true;
	for (uint32_t i = 0; i < notes->ntraced; i++)
		if (notes->traced[i].tracer_pid)
			return true;
	for (uint32_t i = 0; i < notes->nparked; i++)
		if (notes->parked[i].tid)
			return true;
	for (uint32_t i = 0; i < notes->n; i++)
		if (notes->v[i].pid && notes->v[i].what != NOTE_END)
			return true;
	return false;
}

static struct task *task_of(struct dump *g, pid_t pid)
{
	array_each (t, &g->tasks)
		if (t->pid == pid && t->state != TASK_ZOMBIE)
			return t;
	return NULL;
}

static bool shares_memory(const struct task *t, const struct note *note)
{
	return t->pid == note->pid || syscall(SYS_kcmp, note->pid, t->pid, KCMP_VM, 0, 0) == 0;
}

/* A thread of any process that shares the memory (CLONE_VM) may be in it; of few it is asked who does. */
static bool has_left(const struct dump *g, const struct task *t, const struct note *note)
{
	struct note of_anybody = *note;

	if (g->tasks.n > FEW)
		return note_has_left(t, note) || !shares_memory(t, note);
	of_anybody.start = 0;
	return !shares_memory(t, note) || note_has_left(t, &of_anybody);
}

bool notes_have_left(struct dump *g, const struct notes *notes)
{
	for (uint32_t i = 0; i < notes->n; i++) {
		const struct note *note = &notes->v[i];

		if (!note->pid || note->what != NOTE_ARENA)
			continue;
		array_each (t, &g->tasks)
			if (t->state != TASK_ZOMBIE && !has_left(g, t, note))
				return false;
	}
	return true;
}

/* A copy that has not run yet is in the middle of its script. */
static bool is_in_arena(const struct task *copy, const struct notes *notes)
{
	for (uint32_t i = 0; copy->state != TASK_ZOMBIE && i < notes->n; i++)
		if (notes->v[i].what == NOTE_ARENA && !note_has_left(copy, &notes->v[i]))
			return true;
	return false;
}

/* The copy of T's memory: the one that was noted, or one that crtool did not know yet. */
static bool is_copy(const struct task *copy, const struct task *t, const struct note *note,
                    const struct notes *notes)
{
	return copy->ppid == t->pid && copy->exit_signal == 0 &&
	       (copy->pid == note->tid || !strcmp(copy->comm, SNAPSHOT_COMM) ||
	        is_in_arena(copy, notes));
}

/* What was left where T came by to reap it: nobody is there now, or it is tried again. */
static bool undo_door(struct task *t)
{
	static const char zeros[ARCH_DOOR_SIZE];

	if (vmas_read(t) < 0 || task_find_syscall(t) < 0)
		return true; /* nor was it possible before */
	if (!note_has_left(t, &(struct note){ .door = t->door }))
		return false;
	if (t->door)
		pwrite_full(t->mem, zeros, sizeof(zeros), (off_t)t->door);
	return true;
}

/* Once it has ended, its parent reaps it. */
static bool undo_copy(struct dump *g, struct task *t, const struct note *note,
                      const struct notes *notes)
{
	struct tracee *host = &t->threads.v[0].tracee;
	int64_t result = -1;

	if (!undo_door(t))
		return false;
	array_each (copy, &g->tasks) {
		if (!is_copy(copy, t, note, notes))
			continue;
		if (copy->state != TASK_ZOMBIE)
			return false;
		/* If it could not be stopped in time it was ours: we are told first, then its parent. */
		waitpid(copy->pid, NULL, WNOHANG | __WALL);
		if (tracee_syscall(host, t->syscall_insn, SYS_wait4,
		                   (const uint64_t[6]){ (uint64_t)copy->pid, 0, WNOHANG | __WALL },
		                   &result) == 0)
			tracee_put_back(host);
		if (result == 0)
			return false; /* not yet */
	}
	return true;
}

static bool undo_note(struct dump *g, const struct notes *notes, const struct note *note)
{
	struct task *t = note->pid ? task_of(g, note->pid) : NULL;

	if (note->what == NOTE_COPY)
		return !t || task_open_mem(t) < 0 || undo_copy(g, t, note, notes);
	if (note->pid)
		note_undo(g, t, note);
	return true;
}

static bool undo_notes(struct dump *g, struct notes *notes)
{
	bool done = notes_have_left(g, notes) && strays_undo(g, notes);

	for (uint32_t i = 0; done && i < notes->n; i++)
		done = undo_note(g, notes, &notes->v[i]);
	for (uint32_t i = 0; done && i < notes->n; i++)
		notes->v[i].pid = 0;
	return done;
}

/* Stop the tree; undo all that is noted if no thread is in the way. */
static bool undo_once(struct dump *g, struct dump *d, bool last)
{
	bool done = !g->tasks.n && task_add(g, g->opt->tree, SIZE_MAX) < 0; /* it has ended */

	if (done)
		strays_undo(g, d->notes);
	if (!done && freeze_tree(g) == 0) {
		deadline_arm(HOLD_MS);
		done = undo_notes(g, d->notes);
		if (done || last)
			done = tracees_undo(g, d, last);
		deadline_arm(0);
	}
	unfreeze_tree(g);
	tasks_done(g);
	return done;
}

/* The program need not stand still for these. */
static void undo_options(struct notes *notes)
{
	for (uint32_t i = 0; i < notes->n; i++) {
		struct note *note = &notes->v[i];
		auto_close int pidfd = -1;
		auto_close int fd = -1;

		if (note->what != NOTE_OPTION || !note->pid)
			continue;
		pidfd = (int)syscall(SYS_pidfd_open, note->pid, 0);
		fd = (int)syscall(SYS_pidfd_getfd, pidfd, note->fd, 0);
		setsockopt(fd, SOL_SOCKET, note->name, &note->value, sizeof(note->value));
		note->pid = 0;
	}
}

static void begin_look(struct dump *d)
{
	d->notes->look = malloc(sizeof(*d->notes->look));
	if (!d->notes->look)
		_exit(1);
	*d->notes->look = (struct dump){ .opt = d->opt, .dirfd = -1, .awake = -1, .undoing = true };
}

/* Whom to seize. What is not found here the freeze finds. */
static void look(struct dump *d)
{
	struct dump *g;

	begin_look(d);
	g = d->notes->look;
	if (task_add(g, g->opt->tree, SIZE_MAX) < 0)
		return;
	for (size_t i = 0; i < g->tasks.n; i++)
		if (task_find_threads(&g->tasks.v[i]) < 0 || task_find_children(g, i) < 0)
			return;
}

/* Who has its number now may be somebody else. */
static void end_task(const struct note *note)
{
	auto_close int pidfd = (int)syscall(SYS_pidfd_open, note->pid, 0), proc = -1;
	struct proc_stat st;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d", note->pid);
	proc = pidfd < 0 ? -1 : open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc >= 0 && stat_read(proc, "stat", &st) == 0 &&
	    st.field[STAT_STARTTIME] == note->start)
		syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
}

/* Half of it may be dead, and connections be silent: it is in the checkpoint, and there alone. */
static void end_all(const struct notes *notes)
{
	for (uint32_t i = 0; i < notes->n; i++)
		if (notes->v[i].what == NOTE_END)
			end_task(&notes->v[i]);
}

/* The whole tree stands. */
void guard_dying(void *arg, pid_t crtool)
{
	struct dump *d = arg;

	if (d->notes->ends) {
		end_all(d->notes);
		return;
	}
	if (d->notes->watch)
		watch_undo(crtool, d->notes->watch);
	d->notes->watch = 0;
	undo_options(d->notes);
	if (notes_pending(d->notes))
		look(d);
}

/* As long as it stood it runs: who could not be stopped may wait for somebody who could (vfork). */
static void let_run(uint64_t stood_since)
{
	uint64_t ns = clock_ns() - stood_since;
	struct timespec pause = { .tv_sec = (time_t)(ns / 1000000000),
		                  .tv_nsec = (long)(ns % 1000000000) };

	if (ns < MOMENT_NS)
		pause = (struct timespec){ .tv_nsec = MOMENT_NS };
	nanosleep(&pause, NULL);
}

/* However it goes, the tree runs on: what cannot be undone is left. */
void guard_undo(void *arg)
{
	struct dump *d = arg;
	struct dump_options opt = *d->opt;
	const uint64_t end = clock_ns() + TRIES_NS;
	bool last = false;

	if (d->notes->ends) {
		end_all(d->notes);
		return;
	}
	undo_options(d->notes);
	if (!notes_pending(d->notes))
		return;
	/* Whoever cannot be stopped now keeps nobody else waiting. */
	opt.timeout_ms = FREEZE_MS;
	while (!last) {
		uint64_t since = clock_ns();

		last = since >= end;
		if (!d->notes->look)
			begin_look(d);
		d->notes->look->opt = &opt;
		if (undo_once(d->notes->look, d, last))
			return;
		free(d->notes->look);
		d->notes->look = NULL;
		let_run(since);
	}
}
