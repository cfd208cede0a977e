/* What crtool notes for its guard (dump/guard.h), and what that does about it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "dump/dump.h"
#include "dump/tracees.h"

#define NOTES  (1u << 20) /* address space only, until they are written */
#define TRACED (1u << 14) /* the same */

/* Of a task (its arena, the copy of its memory, an option of a socket) or of one of its threads (its dispatch). */
struct note {
	enum { NOTE_ARENA, NOTE_DISPATCH, NOTE_COPY, NOTE_OPTION, NOTE_UFFD, NOTE_END } what;
	pid_t pid;           /* 0: it has been undone */
	pid_t tid;           /* of the thread, of the copy */
	uint32_t before;     /* the one before of the same task, counted from 1; but of options */
	int fd, name, value; /* of the option */
	uint64_t base, size, door;
	/* As stat tells it: when it was started (NOTE_END); when this was noted: who is younger may have it, too. */
	uint64_t start;
	struct dispatch dispatch;
};

struct notes {
	uint32_t n, ntraced, nparked;
	bool ends; /* the checkpoint is whole, the tree is to end: nothing is undone any more */
	uint64_t watch;    /* in the memory of crtool; 0: none */
	struct dump *look; /* in that of the guard: the tree, known before crtool lets it go */
	struct traced traced[TRACED];
	struct parked parked[TRACED];
	struct note v[];
};

/* Is no thread of T in what NOTE is about, nor comes back there? */
bool note_has_left(const struct task *t, const struct note *note);

/* The same of all tasks of the tree G, which stands, and all notes. */
bool notes_have_left(struct dump *g, const struct notes *notes);

/*
 * Is T, by its number or its age, one who may have what NOTE is about? Is the arena there, with our code, or
 * the door? Needs its maps.
 */
bool note_may_have(const struct task *t, const struct note *note);
bool note_is_there(struct task *t, const struct note *note);

/* In the tree G, which stands: undo NOTE in its task T (NULL: that has ended), and in who was forked since. */
void note_undo(struct dump *g, struct task *t, const struct note *note);

/* The userfaultfds that tasks of G have inherited of OWNER, who is not in it. */
void note_undo_inherited(struct dump *g, struct task *owner, const struct note *note);

/*
 * The same in all who are not in the tree G any more, which stands. Each is stopped for it, with his
 * descendants. False: to be tried again.
 */
bool strays_undo(struct dump *g, const struct notes *notes);

/* Is there anything to undo? */
bool notes_pending(const struct notes *notes);

/* Crtool, which is D, is held at its end, and whoever it traces stands. */
void guard_dying(void *d, pid_t crtool);

/* It is gone. */
void guard_undo(void *d);
