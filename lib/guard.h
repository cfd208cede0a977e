/*
 * A guard: a process that outlives crtool, should that be killed in the middle
 * of something, and undoes what it was at.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define GUARD_COMM "crtool-guard"

struct guard {
	pid_t pid;      /* 0: there is none */
	uint32_t *word; /* shared with it */
};

/* What it does, each with the same argument. */
struct guard_work {
	int (*prepare)(void *arg); /* at once, and waited for; may be NULL */
	/*
	 * Crtool is dead but for its end, which waits for that: whoever it traces still stands
	 * (lib/dying.h). Not called where somebody else traces it. NULL: it is not held.
	 */
	void (*dying)(void *arg, pid_t crtool);
	void (*undo)(void *arg); /* crtool has died without having called guard_end() */
};

/* Fork one. -errno; what PREPARE said, if that failed. */
int guard_begin(struct guard *g, const struct guard_work *work, void *arg);

/* Will it hold the dying crtool? It may not yet have got to that. */
bool guard_holds(const struct guard *g);

/* From here on it does, if it can: a busy machine may not have let it run yet. -errno: there is none any more. */
int guard_await(const struct guard *g);

/* Crtool has more threads now, whom it is to hold, too. */
void guard_tell_threads(struct guard *g);

/* There is nothing to undo any more: the guard ends by itself, until guard_end(), which has less to wait for then. */
void guard_dismiss(struct guard *g);

/* There is nothing to undo any more: the guard ends. Idempotent. */
void guard_end(struct guard *g);
