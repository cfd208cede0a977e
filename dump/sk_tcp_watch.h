/*
 * A socket that is in repair mode is so for all who have it: its own program, too,
 * even when crtool is killed by somebody. So the guard, which holds a dying crtool
 * (dump/guard.h), leaves repair mode in our place, before the tree runs on, and removes a lock
 * that would stay. Where it cannot hold it, a process that shares our table of descriptors tries
 * to be in time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct watch_fd {
	int fd;
	int reuse;    /* SO_REUSEADDR, which leaving repair mode clears; -1: not asked yet */
	bool repairs; /* it may be in repair mode */
	bool inlines; /* SO_OOBINLINE may be set, which the program has not done */
	bool peeks;   /* SO_PEEK_OFF may not be what the program has set ... */
	int peek_off; /* ... which was this */
};

/* Read by the guard in our memory, or shared with a watcher. */
struct watch {
	size_t size;    /* of the mapping */
	pid_t watcher;  /* 0: there is none */
	uint32_t ready; /* it watches */
	uint32_t held;  /* a lock that our main thread, who traces, holds for as long as it lives */
	bool committed; /* the tree is dying: nothing is undone any more */
	char lock[32];  /* a lock that must go; "": none */
	size_t n;
	struct watch_fd fds[];
};

/* Room for N descriptors, watched. -errno. */
struct dump;
int watch_new(struct dump *d, size_t n, struct watch **ret);
/* Nothing is to be undone any more. NULL is fine. */
void watch_free(struct dump *d, struct watch *w);

/* In the guard: crtool is held at its end, and has a watch AT. */
void watch_undo(pid_t crtool, uint64_t at);

/* Repair mode on and off for one, watched. -errno. */
int watch_repair(struct watch_fd *w);
int watch_leave(struct watch_fd *w);

/* Is anything of it not as it was? All that is not, as it was. */
bool watch_is_changed(const struct watch_fd *w);
void watch_leave_all(struct watch *w);

/* SO_OOBINLINE on and off, of one that has it not. -errno. */
int watch_inline(struct watch_fd *w, bool on);

/* SO_PEEK_OFF as it is needed, of one that has OWN, and as it was. -EOPNOTSUPP: not in this kernel; -errno. */
int watch_peek(struct watch_fd *w, int off, int own);
int watch_unpeek(struct watch_fd *w);
