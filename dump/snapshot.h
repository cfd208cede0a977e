/*
 * --snapshot: the tree runs on while its memory is still being written.
 *
 * Each process forks itself at the end of its script. The copy is stopped before its first
 * instruction, traced by crtool, and its memory is that of the freeze; the kernel copies what
 * the program writes to meanwhile. It is nobody's child that wait(2) would tell of (its exit signal is
 * none) and shares the descriptors, so that what the program closes is closed. If crtool
 * dies the copy ends by itself: that is all its script has to say.
 *
 * A fork does not see everything: memory that is not inherited, huge pages (for which there may
 * be no second one) and shared memory are copied while the tree stands still.
 */
#pragma once

#include "dump/dump.h"

/* What the copies call themselves at their end, so that the guard finds those that crtool did not know yet. */
#define SNAPSHOT_COMM "crtool-copy"

/* The whole script OWN, initialized, of a process that we make in a task: what it does if nobody holds it any more. */
int copy_emit_end(struct script *own);

/* Append to S, the script of the leader of T, the fork of its memory. 0 or -errno, explained. */
int snapshot_ask(struct dump *d, struct thread *th, struct script *s);

/*
 * While the script runs, TH reports the fork, or its writers (dump/writers.h): before it is started, and when it has
 * stopped. -errno.
 */
int snapshot_arm(struct dump *d, struct thread *th);
int snapshot_disarm(const struct dump *d, struct thread *th);

/* The script has run: take the copy over. What could not be forked is copied while it stands still. */
int snapshot_take(struct dump *d, struct task *t);

/* Is V read from the copy of T? */
bool snapshot_holds(const struct task *t, const struct vma *v);

/* Its memory could not be read, R: fail(), with what has become of the copy of T. */
int snapshot_fail(const struct task *t, int r);

/*
 * A child that T has made for us and of which nobody took notice, as something failed before: it is traced and no
 * task. 0: none.
 */
pid_t snapshot_find(const struct dump *d, const struct task *t);

/* The child PID of OWNER has ended: a thread of OWNER, whichever lives, reaps it. -errno */
int copy_reap(pid_t owner, pid_t pid);

/*
 * The copies end, and each is reaped by the process that it is of: one thread of that, which
 * must run, stops for a moment. Idempotent.
 */
void snapshot_done(struct dump *d);
