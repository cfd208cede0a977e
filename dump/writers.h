/*
 * Who has much memory writes it to the image itself: the kernel copies it once, where crtool, from outside, copies it
 * into its own memory first. Helpers do that, processes that share the memory of the task and nothing else
 * (clone(2), CLONE_VM): they have registers, limits and signals of their own, and run the mover
 * (parasite/mover.h), so that nothing of the program runs or changes. It clones them at the end of its script; they
 * end before the script's memory, in which they live, is unmapped.
 *
 * A helper that dies takes nobody with it, nor does crtool's death (PTRACE_O_EXITKILL); a fault of one is a stop
 * for its tracer, as the kernel would end all who share the memory. Whoever is limited so that the work might be
 * charged to it has none (writers_may.c), nor has one whose kernel or limits do not allow them: crtool reads then.
 */
#pragma once

#include "dump/dump.h"
#include "parasite/mover.h"

#define WRITERS       4u          /* of a task */
#define WRITERS_BYTES (16u << 20) /* of memory from which on they pay ... */
#define WRITERS_TASKS 16u         /* ... of so many tasks */

struct writer {
	size_t op;            /* of the leader's script, that clones it */
	struct tracee tracee; /* tid 0: there is none */
	uint64_t desk, stack; /* in the arena */
	int sock;             /* orders and answers; -1 */
	struct pages_file *file;
};

struct writers {
	size_t n;   /* wanted */
	bool armed; /* the script that clones them has been started */
	bool live;  /* they work, and the arena is still there */
	struct writer v[WRITERS];
};

/* Before the freeze: who has writers has t->writers. -ENOMEM. */
int writers_choose(struct dump *d, struct task *t);
bool writers_wanted(const struct dump *d);
void writers_free(struct task *t);

/* Is T limited so that it would be charged for what they do, or are they not like crtool? (writers_may.c) */
bool writers_may(const struct dump *d, const struct task *t);

/* Room in the arena. */
size_t writers_arena(const struct task *t);

/* The script S of TH clones them, if it is to. 0 or -errno, explained. */
int writers_ask(struct thread *th, struct script *s);
/* TH is about to be started. -errno */
int writers_arm(struct dump *d, const struct thread *th);
bool writers_come(const struct thread *th);

/* The scripts have run: set them to work, or do without them. 0 or -errno, explained. */
int writers_take(struct dump *d, struct task *t);

/* The one of T for the copier SLOT, or NULL. */
struct writer *writers_of(const struct task *t, unsigned slot);

/* All is written: how their files ended. */
int writers_finish(struct dump *d);

/* They end, are reaped by their task, and the arena is unmapped. Idempotent. */
int writers_end(struct dump *d);
int writers_end_task(struct dump *d, struct task *t);
/* The same for what may have been left half-way: kills them ... */
void writers_kill(struct dump *d);
/* ... once no script runs that might clone more, those that it cloned before writers_take() was told of them ... */
void writers_kill_unknown(struct dump *d);
/* ... and, once the tree runs on, has them reaped. */
void writers_done(struct dump *d);

/* ---- their work (writers_work.c), by one thread for each writer ---- */

/* Have the pages of RUNS written, at most MOVER_BYTES. Does not wait. */
int writer_order(struct writer *w, const struct task *t, const struct mover_order *o);
/* Wait for the answer to the first order that has none yet. 0 or -errno, explained. */
int writer_answer(struct writer *w, const struct task *t, struct mover_answer *ret);
