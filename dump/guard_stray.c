/*
 * In the guard: whose parent has ended since crtool was killed is in the tree no more, and may have the
 * arena all the same, of his own or inherited, or its door. He is known by that: at the same place, of the
 * same size, with our code in it.
 */
#include <dirent.h>
#include <stdlib.h>

#include "dump/guard_undo.h"
#include "dump/stages.h"
#include "dump/task.h"
#include "lib/cleanup.h"

static bool is_stray(struct task *t, const struct notes *notes)
{
	if (t->state == TASK_ZOMBIE || vmas_read(t) < 0)
		return false;
	for (uint32_t i = 0; i < notes->n; i++) {
		const struct note *note = &notes->v[i];

		if (note->pid && note->what == NOTE_ARENA && note_may_have(t, note) &&
		    note_is_there(t, note))
			return true;
	}
	return false;
}

static void undo_all(struct dump *g, struct dump *s, const struct notes *notes)
{
	for (uint32_t i = 0; i < notes->n; i++) {
		const struct note *note = &notes->v[i];

		if (!note->pid || (note->what != NOTE_ARENA && note->what != NOTE_UFFD))
			continue;
		if (note->what == NOTE_UFFD && task_find(g, note->pid))
			note_undo_inherited(s, task_find(g, note->pid), note);
		note_undo(s, task_find(s, note->pid), note);
	}
}

/* PID and its descendants, if it is one. Who cannot be stopped is left. False: a thread is on its way out. */
static bool undo_stray(struct dump *g, const struct notes *notes, pid_t pid)
{
	struct dump_options opt = *g->opt;
	struct dump s = { .opt = &opt, .dirfd = -1, .awake = -1, .undoing = true };
	bool done = true;

	opt.tree = pid;
	if (task_add(&s, pid, SIZE_MAX) == 0 && is_stray(s.tasks.v, notes) &&
	    freeze_tree(&s) == 0) {
		done = notes_have_left(&s, notes);
		if (done)
			undo_all(g, &s, notes);
	}
	unfreeze_tree(&s);
	tasks_done(&s);
	return done;
}

bool strays_undo(struct dump *g, const struct notes *notes)
{
	auto_dir DIR *dir = opendir("/proc");
	const struct dirent *entry;
	bool done = true;

	while (dir && (entry = readdir(dir))) {
		pid_t pid = atoi(entry->d_name);

		if (pid > 0 && !task_find(g, pid))
			done &= undo_stray(g, notes, pid);
	}
	return done;
}
