/*
 * Should crtool be killed while scripts are in the target, the threads leave
 * them by themselves; what no thread can do for the others is undone by a guard
 * (lib/guard.h): it unmaps the arenas when the last thread is out of them, and
 * gives back what was held (system call user dispatch). What there is to undo
 * is noted in memory that both share, before it is done.
 *
 * The guard holds the dying crtool, unless somebody else traces that: until it lets it go
 * the whole tree stands, and meets its sockets as they were. What takes ptrace(2) or a thread of
 * the program has to wait until then, as nobody can take a tracee over: the guard knows by then
 * whom to seize, and is the first to try.
 */
#pragma once

#include "dump/dump.h"

/* The stage: from here on it is there. The first one, as pages are copied on writes from then on: not in the freeze. */
int guard_target(struct dump *d);

/* The arena A is about to be mapped into T. -errno. */
int guard_note_arena(struct dump *d, struct task *t, const struct arena *a);

/* A tracer is about to let TR go, and to be parked: noted at *RET, where it stays. -errno. All that were noted. */
struct traced;
struct parked;
int guard_note_traced(struct dump *d, const struct traced *tr, struct traced **ret);
int guard_note_parked(struct dump *d, const struct parked *p, struct parked **ret);
struct traced *guard_traced(struct dump *d, uint32_t *ret_n);
struct parked *guard_parked(struct dump *d, uint32_t *ret_n);

/* A script is about to be run in TH, whose system calls go to the program otherwise; else nothing to note. */
int guard_note_dispatch(struct dump *d, const struct thread *th);

/* T is about to have a userfaultfd of ours for a moment, the only one in its table. */
int guard_note_uffd(struct dump *d, struct task *t);

/* Process PID is the copy of T (dump/snapshot.h); T has reaped it. */
int guard_note_copy(struct dump *d, struct task *t, pid_t pid);
void guard_forget_copy(struct dump *d, const struct task *t);

/*
 * The option NAME (SOL_SOCKET) of F, which is WAS, is about to be changed; it gets that again, by FD, a descriptor of
 * ours. If that cannot be, the guard tries when we are gone. -errno.
 */
int guard_note_option(struct dump *d, const struct file *f, int name, int was);
int guard_undo_option(struct dump *d, const struct file *f, int fd, int name, int was);

/* W (dump/sk_tcp_watch.h) tells what has been done to connections; NULL: nothing any more. */
struct watch;
void guard_note_watch(struct dump *d, const struct watch *w);

/*
 * The checkpoint is whole, and the tree is about to be ended, which cannot be done at one stroke: should
 * crtool be killed from here on, its guard ends the rest of it. Idempotent. -errno, explained.
 */
int guard_note_end(struct dump *d);

/* Nothing of ours is in T any more, but the copy beside it. */
void guard_forget(struct dump *d, const struct task *t);

/* The target runs on: the guard ends in the meantime, if nothing was done that is still to be undone. */
void guard_rest(struct dump *d);

/* The target runs on as it was, or is gone. Idempotent. */
void guard_leave(struct dump *d);
