/*
 * A guard: a process that outlives crtool, should that be killed in the middle
 * of something, and undoes what it was at.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

struct guard {
	pid_t pid;      /* 0: there is none */
	uint32_t *word; /* shared with it */
};

/*
 * Fork one. In it, PREPARE(ARG), if there is one, is called at once and waited for, and UNDO(ARG)
 * when crtool has died without having called guard_end(). -errno; what PREPARE said, if that failed.
 */
int guard_begin(struct guard *g, int (*prepare)(void *arg), void (*undo)(void *arg), void *arg);

/* There is nothing to undo any more: the guard ends by itself, until guard_end(), which has less to wait for then. */
void guard_dismiss(struct guard *g);

/* There is nothing to undo any more: the guard ends. Idempotent. */
void guard_end(struct guard *g);
