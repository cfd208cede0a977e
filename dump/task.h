/* Finding tasks and their threads, and forgetting them. */
#pragma once

#include "dump/dump.h"

/*
 * Append the process PID, child of d->tasks[PARENT] (SIZE_MAX: the root), with
 * its descriptors of /proc and what stat says. Threads are added by
 * task_find_threads(). -ESRCH: it is gone. Moves d->tasks.
 */
int task_add(struct dump *d, pid_t pid, size_t parent);

/* What stat says of it by now. -ESRCH: it is gone. */
int task_refresh(struct task *t);

/* Of a frozen one: what stat says of it, or of a live thread if its leader has exited. */
int task_stat(const struct task *t, struct proc_stat *ret);

/*
 * Once threads are known: of a task whose leader has exited alone, look at a
 * live thread from here on, wherever that shows more. -ESRCH: it has ended.
 */
int task_behead(struct task *t);

/* A pidfd of it, or of a live thread of a headless one; it keeps it. -errno. */
int task_pidfd(struct task *t);

/* Has it ended since it was seen alive, or was it reaped since it was seen as a zombie? */
bool task_has_ended(const struct task *t);

/* Append threads of T that are not known yet, the leader first. Their number, or -errno. */
int task_find_threads(struct task *t);

/* Append children of T that are not known yet. Their number, or -errno. Moves d->tasks. */
int task_find_children(struct dump *d, size_t at);

/*
 * The same for the whole tree, once it has been looked at: who has appeared on
 * this system since then and belongs to it? For trees of many threads.
 */
int tasks_find_newborn(struct dump *d);

/* More threads than are worth asking one by one? */
bool tasks_many_threads(const struct dump *d);

/* Pointers between tasks, threads and their scripts are right again after the arrays have moved. */
void tasks_relink(struct dump *d);

/* task_find() knows all tasks, or the last one besides those that it knew. -ENOMEM. */
int tasks_index(struct dump *d);
int tasks_index_last(struct dump *d);
void tasks_index_done(struct dump *d);

/* The places in its vDSO (t->syscall_insn, t->door). Needs its maps. 0 or -errno, explained. */
int task_find_syscall(struct task *t);

/* Open t->mem, unless it is. 0 or -errno, explained. */
int task_open_mem(struct task *t);

/* Make it ready to be read, by best effort. */
void status_open(struct thread *th);
/* Read that of the leader, or of who stands for it. 0 or -errno, explained. */
int status_of_leader(struct task *t);

/* Forget one, all its descriptors closed. */
void thread_done(struct thread *th);
void task_done(struct task *t);

/* Forget all tasks; nothing of theirs may be stopped any more. */
void tasks_done(struct dump *d);
