/* Aspects of a task: what is read of each process, or thread, that the tables name (doc/ADDING-A-KIND.md). */
#pragma once

#include "dump/dump.h"

enum aspect_scope {
	SCOPE_PROCESS, /* once per process, asked in one of its live threads */
	SCOPE_THREAD,  /* once per thread */
};

/* What an aspect asked for: scratch memory in the arena and its first op. */
struct ask {
	uint64_t at;  /* address of the answers: room-defined struct */
	size_t first; /* index of its first op */
	void *peeked; /* what peek() has left, freed by the core */
};

/* What every thread is asked besides, at asks[dump_naspects]. */
struct thread_answers {
	uint64_t tid_address, robust_list, robust_size;
};

struct dump_aspect {
	enum aspect_scope scope;
	enum table table; /* state of a table that tasks may share: once per table */
	/* Before the freeze, optional: refuse what cannot be saved. */
	int (*look)(struct dump *d, struct task *t);
	/* Optional: nothing was refused, and the freeze is next: what T need not wait for. */
	int (*prepare)(struct dump *d, struct task *t);
	/* Optional: has T, by its mappings, anything that this is about? Else no thread is asked, nor taken from. */
	bool (*concerns)(struct task *t);
	/*
	 * Optional: append calls; put where their answers go in *ret. For threads that are not
	 * a leader that is done before the freeze: what is asked of them is always the same.
	 */
	int (*ask)(struct dump *d, struct thread *th, struct script *s, struct ask *ret);
	/*
	 * Answers depend on nothing but what is compared (alike.c; of SCOPE_PROCESS alike_tasks.c), or TAKE reads
	 * thread.facts, task.answers instead. If one aspect of SCOPE_THREAD is otherwise all threads are asked.
	 */
	bool alike;
	/* With that, optional: but T, which stands still, has something that it alone can tell about. */
	bool (*special)(struct dump *d, struct task *t);
	/*
	 * Optional, SCOPE_PROCESS: questions that depend on answers, by parasite_call() of
	 * mm_of() the task in its leader, when the scripts have run and the memory that
	 * ASK left an address of is still there; without one it is not called.
	 */
	int (*talk)(struct dump *d, struct thread *th, const struct ask *ask);
	/*
	 * Optional: what ptrace(2) and system calls tell of the frozen thread, into ask->peeked, of
	 * malloc(3) or peek_room(). Of each thread whatever the scope, many at once: in the hand that
	 * traces it, which alone may use ptrace(2). Says nothing but fail().
	 */
	int (*peek)(struct dump *d, struct thread *th, struct ask *ask);
	/* TAKE reads nothing of the target any more: with -R it comes when that runs again. */
	bool late;
	/* Write the record, owner tid (SCOPE_THREAD) or pid. S and ASK hold the answers. */
	int (*take)(struct dump *d, struct thread *th, const struct script *s,
	            const struct ask *ask);
};

/* The tables, by order of kinds.def; ends with a NULL aspect. */
struct dump_aspect_entry {
	uint32_t kind;
	const char *name;
	const struct dump_aspect *aspect;
};
extern const struct dump_aspect_entry dump_aspects[];
extern const size_t dump_naspects;

/* Is aspect I asked of TH? */
static inline bool aspect_concerns(size_t i, const struct thread *th)
{
	const struct dump_aspect *aspect = dump_aspects[i].aspect;
	const struct task *t = th->task;

	return t->concerned & UINT64_C(1) << i &&
	       (aspect->scope == SCOPE_THREAD ||
	        (th == t->threads.v && t->shares[aspect->table] == t));
}
