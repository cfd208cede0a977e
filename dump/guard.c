#include "dump/guard.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "dump/snapshot.h"
#include "dump/stages.h"
#include "dump/task.h"
#include "dump/tracees.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"

#define NOTES     (1u << 20) /* address space only, until they are written */
#define TRACED    (1u << 14) /* the same */
#define TRIES     1000       /* for threads that are on their way out */
#define MOMENT_NS 2000000
#define FREEZE_MS 300

/* Of a task (its arena, the copy of its memory, an option of a socket) or of one of its threads (its dispatch). */
struct note {
	enum { NOTE_ARENA, NOTE_DISPATCH, NOTE_COPY, NOTE_OPTION, NOTE_UFFD } what;
	pid_t pid;           /* 0: it has been undone */
	pid_t tid;           /* of the thread, of the copy */
	uint32_t before;     /* the one before of the same task, counted from 1; but of options */
	int fd, name, value; /* of the option */
	uint64_t base, size, door;
	struct dispatch dispatch;
};

struct notes {
	uint32_t n, ntraced, nparked;
	struct traced traced[TRACED];
	struct parked parked[TRACED];
	struct note v[];
};

#define NOTES_SIZE (sizeof(struct notes) + NOTES * sizeof(struct note))

/* ---- in crtool ---- */

/* LAST: that of the task, if this is to be found by it; or NULL. */
static int note_add(struct dump *d, const struct note *note, uint32_t *last)
{
	struct notes *notes = d->notes;

	if (!notes)
		return 0;
	if (notes->n == NOTES)
		return -E2BIG;
	notes->v[notes->n] = *note;
	notes->v[notes->n].before = last ? *last : 0;
	if (last)
		*last = notes->n + 1;
	__atomic_store_n(&notes->n, notes->n + 1, __ATOMIC_SEQ_CST);
	return 0;
}

int guard_note_arena(struct dump *d, struct task *t, const struct arena *a)
{
	const struct note note = {
		.what = NOTE_ARENA, .pid = t->pid, .base = a->base, .size = a->size, .door = t->door
	};

	return note_add(d, &note, &t->noted);
}

int guard_note_dispatch(struct dump *d, const struct thread *th)
{
	if (!th->tracee.dispatch.mode)
		return 0;
	return note_add(d,
	                &(struct note){ .what = NOTE_DISPATCH,
	                                .pid = th->task->pid,
	                                .tid = th->tid,
	                                .dispatch = th->tracee.dispatch },
	                &th->task->noted);
}

int guard_note_uffd(struct dump *d, struct task *t)
{
	return note_add(d, &(struct note){ .what = NOTE_UFFD, .pid = t->pid }, &t->noted);
}

int guard_note_copy(struct dump *d, struct task *t, pid_t pid)
{
	return note_add(d, &(struct note){ .what = NOTE_COPY, .pid = t->pid, .tid = pid },
	                &t->noted);
}

static void forget(struct notes *notes, const struct task *t, bool copy)
{
	for (uint32_t i = notes ? t->noted : 0; i; i = notes->v[i - 1].before)
		if ((notes->v[i - 1].what == NOTE_COPY) == copy)
			notes->v[i - 1].pid = 0;
}

void guard_forget(struct dump *d, const struct task *t)
{
	forget(d->notes, t, false);
}

void guard_forget_copy(struct dump *d, const struct task *t)
{
	forget(d->notes, t, true);
}

/* What only crtool has open is gone with it. One at a time is changed: its place is used again. */
int guard_note_option(struct dump *d, const struct file *f, int name, int was)
{
	struct note note = {
		.what = NOTE_OPTION, .pid = f->task->pid, .fd = f->fd, .name = name, .value = was
	};

	if (f->task == d->own)
		return 0;
	for (uint32_t i = 0; d->notes && i < d->notes->n; i++)
		if (d->notes->v[i].what == NOTE_OPTION && !d->notes->v[i].pid) {
			note.pid = 0;
			d->notes->v[i] = note;
			__atomic_store_n(&d->notes->v[i].pid, f->task->pid, __ATOMIC_SEQ_CST);
			return 0;
		}
	return note_add(d, &note, NULL);
}

void guard_forget_option(struct dump *d, const struct file *f, int name)
{
	for (uint32_t i = 0; d->notes && i < d->notes->n; i++) {
		struct note *note = &d->notes->v[i];

		if (note->what == NOTE_OPTION && note->pid == f->task->pid && note->fd == f->fd &&
		    note->name == name)
			note->pid = 0;
	}
}

int guard_note_traced(struct dump *d, const struct traced *tr, struct traced **ret)
{
	struct notes *notes = d->notes;

	if (!notes || notes->ntraced == TRACED)
		return -E2BIG;
	*ret = &notes->traced[notes->ntraced];
	**ret = *tr;
	__atomic_store_n(&notes->ntraced, notes->ntraced + 1, __ATOMIC_SEQ_CST);
	return 0;
}

int guard_note_parked(struct dump *d, const struct parked *p, struct parked **ret)
{
	struct notes *notes = d->notes;

	if (!notes || notes->nparked == TRACED)
		return -E2BIG;
	*ret = &notes->parked[notes->nparked];
	**ret = *p;
	__atomic_store_n(&notes->nparked, notes->nparked + 1, __ATOMIC_SEQ_CST);
	return 0;
}

struct parked *guard_parked(struct dump *d, uint32_t *ret_n)
{
	*ret_n = d->notes ? d->notes->nparked : 0;
	return d->notes ? d->notes->parked : NULL;
}

struct traced *guard_traced(struct dump *d, uint32_t *ret_n)
{
	*ret_n = d->notes ? d->notes->ntraced : 0;
	return d->notes ? d->notes->traced : NULL;
}

static bool is_needed(const struct notes *notes)
{
	for (uint32_t i = 0; i < notes->ntraced; i++)
		if (notes->traced[i].tracer_pid)
			return true;
	for (uint32_t i = 0; i < notes->nparked; i++)
		if (notes->parked[i].tid)
			return true;
	for (uint32_t i = 0; i < notes->n; i++)
		if (notes->v[i].pid)
			return true;
	return false;
}

void guard_rest(struct dump *d)
{
	if (d->notes && !d->opt->snapshot && !d->track && !is_needed(d->notes))
		guard_dismiss(&d->guard);
}

void guard_leave(struct dump *d)
{
	if (!d->notes || !is_needed(d->notes)) /* else it has its work when we are gone */
		guard_end(&d->guard);
	if (d->notes)
		munmap(d->notes, NOTES_SIZE);
	d->notes = NULL;
}

/* ---- in the guard ---- */

static struct task *task_of(struct dump *g, pid_t pid)
{
	array_each (t, &g->tasks)
		if (t->pid == pid && t->state != TASK_ZOMBIE)
			return t;
	return NULL;
}

static bool is_inside(const struct note *note, uint64_t ip)
{
	return ip - note->base < note->size || (note->door && ip - note->door < ARCH_DOOR_SIZE);
}

static bool has_left(const struct task *t, const struct note *note)
{
	array_each (th, &t->threads)
		if (is_inside(note, arch_ip(&th->tracee.regs)))
			return false;
	return true;
}

/* A thread of any process that shares the memory (CLONE_VM) may be in it. */
static bool all_have_left(struct dump *g, const struct notes *notes)
{
	for (uint32_t i = 0; i < notes->n; i++) {
		const struct note *note = &notes->v[i];

		if (!note->pid || note->what != NOTE_ARENA)
			continue;
		array_each (t, &g->tasks)
			if (t->state != TASK_ZOMBIE && !has_left(t, note) &&
			    syscall(SYS_kcmp, note->pid, t->pid, KCMP_VM, 0, 0) == 0)
				return false;
	}
	return true;
}

/* Is the arena still there, and is it ours? Nothing merges with it, see vmas_gap(). */
static bool is_mapped(struct task *t, const struct note *note)
{
	uint64_t sum = 0;

	if (vmas_read(t) < 0)
		return false;
	array_each (v, &t->vmas)
		if (v->start >= note->base && v->end <= note->base + note->size && !v->ino)
			sum += v->end - v->start;
	return sum == note->size;
}

static void undo_arena(struct task *t, const struct note *note)
{
	static const char zeros[ARCH_DOOR_SIZE];
	struct tracee *host = &t->threads.v[0].tracee;
	int64_t result;

	if (is_mapped(t, note) && task_find_syscall(t) == 0 &&
	    tracee_syscall(host, t->syscall_insn, SYS_munmap,
	                   (const uint64_t[6]){ note->base, note->size }, &result) == 0)
		tracee_put_back(host);
	if (note->door)
		pwrite_full(t->mem, zeros, sizeof(zeros), (off_t)note->door);
}

static void undo_dispatch(struct task *t, const struct note *note)
{
	array_each (th, &t->threads)
		if (th->tid == note->tid)
			tracee_set_dispatch(&th->tracee, &note->dispatch);
}

static void undo_uffd(struct task *t)
{
	auto_close int fds = openat(t->proc, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_dir DIR *dir = fds < 0 ? NULL : fdopendir(fds);
	struct tracee *host = &t->threads.v[0].tracee;
	const struct dirent *entry;
	int64_t result;

	if (dir)
		fds = -1; /* dir owns it */
	while (dir && (entry = readdir(dir))) {
		auto_free char *link = NULL;

		if (link_read(dirfd(dir), entry->d_name, &link) < 0 ||
		    strcmp(link, "anon_inode:[userfaultfd]") != 0)
			continue;
		if (vmas_read(t) == 0 && task_find_syscall(t) == 0 &&
		    tracee_syscall(host, t->syscall_insn, SYS_close,
		                   (const uint64_t[6]){ strtoul(entry->d_name, NULL, 10) },
		                   &result) == 0)
			tracee_put_back(host);
	}
}

/* A copy that has not run yet is in the middle of its script. */
static bool is_in_arena(const struct task *copy, const struct notes *notes)
{
	for (uint32_t i = 0; copy->state != TASK_ZOMBIE && i < notes->n; i++)
		if (notes->v[i].what == NOTE_ARENA && !has_left(copy, &notes->v[i]))
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
	if (!has_left(t, &(struct note){ .door = t->door }))
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

	if (!t || task_open_mem(t) < 0)
		return true;
	if (note->what == NOTE_COPY)
		return undo_copy(g, t, note, notes);
	if (note->what == NOTE_DISPATCH)
		undo_dispatch(t, note);
	else if (note->what == NOTE_UFFD)
		undo_uffd(t);
	else
		undo_arena(t, note);
	return true;
}

/* Stop the tree; undo all that is noted if no thread is in the way. */
static bool undo_once(struct dump *g, struct dump *d)
{
	const struct notes *notes = d->notes;
	bool done = task_add(g, g->opt->tree, SIZE_MAX) < 0; /* it has ended */

	if (!done && freeze_tree(g) == 0) {
		done = all_have_left(g, notes);
		for (uint32_t i = 0; done && i < notes->n; i++)
			done = undo_note(g, notes, &notes->v[i]);
		if (done)
			tracees_undo(g, d);
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

static void undo(void *arg)
{
	struct dump *d = arg;
	const struct timespec moment = { .tv_nsec = MOMENT_NS };
	struct dump_options opt = *d->opt;

	/* Whoever cannot be stopped now (vfork) keeps nobody else waiting. */
	opt.timeout_ms = FREEZE_MS;
	undo_options(d->notes);
	if (!is_needed(d->notes))
		return;
	for (int i = 0; i < TRIES; i++) {
		struct dump g = { .opt = &opt, .dirfd = -1, .awake = -1, .undoing = true };

		if (undo_once(&g, d))
			return;
		nanosleep(&moment, NULL);
	}
}

int guard_target(struct dump *d)
{
	void *notes = mmap(NULL, NOTES_SIZE, PROT_READ | PROT_WRITE,
	                   MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int r = notes == MAP_FAILED ? -errno : 0;

	if (r == 0) {
		d->notes = notes;
		d->notes->v[0].pid = 0; /* no page fault when the target stands */
		r = guard_begin(&d->guard, NULL, undo, d);
	}
	return r < 0 ? fail(r, "fork the guard that protects the target") : 0;
}
