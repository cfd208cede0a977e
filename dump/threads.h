/*
 * What is done with every thread of the tree by ptrace(2), by as many hands (lib/hands.h)
 * as pay: each traces its own share of the threads. Leaders, by which memory is mapped
 * and questions are asked one by one, are traced by hand 0, which is the caller; what /proc
 * shows of many processes all hands read.
 */
#pragma once

#include "dump/dump.h"

/* Before the first is seized: who traces whom. Threads that appear later are for hand 0. */
int threads_deal(struct dump *d);

/*
 * FN on each thread of HAND's share that lives, 0 or -errno. What is begun by the one
 * is waited for by the other, from the last to the first, so that nobody is woken for each of them; the
 * leader of a task is the last to end.
 */
int threads_of(struct dump *d, unsigned hand, int (*fn)(struct dump *d, struct thread *th));
int threads_back(struct dump *d, unsigned hand, int (*fn)(struct dump *d, struct thread *th));

/* The same for all threads: all hands at once, hence FN writes to its thread alone. */
int threads_each(struct dump *d, int (*fn)(struct dump *d, struct thread *th));

/* FN on each task, by whichever hand takes it next: to it alone anything is written. 0, or an error of FN. */
int tasks_each(struct dump *d, int (*fn)(struct dump *d, struct task *t));
