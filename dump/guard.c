#include "dump/guard.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "dump/guard_undo.h"
#include "dump/task.h"
#include "lib/child.h"
#include "lib/log.h"
#include "lib/sockopt.h"

#define NOTES_SIZE (sizeof(struct notes) + NOTES * sizeof(struct note))

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

/* In the unit in which stat says when a process was started. */
static uint64_t ticks(void)
{
	struct timespec ts = {};
	uint64_t hz = (uint64_t)sysconf(_SC_CLK_TCK);

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * hz + (uint64_t)ts.tv_nsec * hz / 1000000000;
}

int guard_note_arena(struct dump *d, struct task *t, const struct arena *a)
{
	const struct note note = { .what = NOTE_ARENA,
		                   .pid = t->pid,
		                   .base = a->base,
		                   .size = a->size,
		                   .door = t->door,
		                   .start = ticks() };

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
	return note_add(d, &(struct note){ .what = NOTE_UFFD, .pid = t->pid, .start = ticks() },
	                &t->noted);
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

int guard_undo_option(struct dump *d, const struct file *f, int fd, int name, int was)
{
	int r = sockopt_put_back(fd, SOL_SOCKET, name, was);

	for (uint32_t i = 0; r == 0 && d->notes && i < d->notes->n; i++) {
		struct note *note = &d->notes->v[i];

		if (note->what == NOTE_OPTION && note->pid == f->task->pid && note->fd == f->fd &&
		    note->name == name)
			note->pid = 0;
	}
	return r;
}

int guard_note_end(struct dump *d)
{
	int r = 0;

	if (!d->notes || d->notes->ends)
		return 0;
	array_each (t, &d->tasks)
		if (r == 0 && t->state != TASK_ZOMBIE)
			r = note_add(d,
			             &(struct note){ .what = NOTE_END,
			                             .pid = t->pid,
			                             .start = t->stat.field[STAT_STARTTIME] },
			             NULL);
	if (r < 0)
		return fail(r, "note that the tree is to end");
	__atomic_store_n(&d->notes->ends, true, __ATOMIC_SEQ_CST);
	return 0;
}

void guard_note_watch(struct dump *d, const struct watch *w)
{
	if (d->notes)
		__atomic_store_n(&d->notes->watch, (uint64_t)w, __ATOMIC_SEQ_CST);
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

void guard_rest(struct dump *d)
{
	if (d->notes && !d->opt->snapshot && !d->track && !notes_pending(d->notes))
		guard_dismiss(&d->guard);
}

void guard_leave(struct dump *d)
{
	if (!d->notes || !notes_pending(d->notes)) /* else it has its work when we are gone */
		guard_end(&d->guard);
	if (d->notes)
		munmap(d->notes, NOTES_SIZE);
	d->notes = NULL;
}

int guard_target(struct dump *d)
{
	static const struct guard_work work = { .dying = guard_dying, .undo = guard_undo };
	void *notes = mmap(NULL, NOTES_SIZE, PROT_READ | PROT_WRITE,
	                   MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int r = notes == MAP_FAILED ? -errno : 0;

	if (r == 0) {
		d->notes = notes;
		d->notes->v[0].pid = 0; /* no page fault when the target stands */
		r = guard_begin(&d->guard, &work, d);
	}
	return r < 0 ? fail(r, "fork the guard that protects the target%s", child_limits(r)) : 0;
}
