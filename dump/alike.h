/*
 * Threads of one process mostly have everything in common that a script would ask them one by one. Where the kernel
 * tells of all at once what their answers depend on (lib/task_facts.h), one of each sort is asked, and answers for the
 * others: who is not asked runs no script, and its status is not read.
 */
#pragma once

#include "dump/dump.h"

/* Before the freeze, for trees of many threads: who would be asked by now, so that only their scripts are written. */
int alike_prepare(struct dump *d);

/* All stand still: who is asked. Without facts, everybody. */
void alike_find(struct dump *d);

void alike_done(struct dump *d);

/* How many threads of T are asked. */
size_t alike_asked(const struct task *t);

/* Who answers for TH, by its script and its status: itself, or who is like it. */
static inline const struct thread *thread_asked(const struct thread *th)
{
	return th->like ? th->like : th;
}

/* Its registers and masks are not those that facts are read with. */
static inline bool thread_is_special(const struct thread *th)
{
	return th->traces || th->debugged || th->traced || th->parked;
}

/* Which signals wait at TH alone, or, SHARED, at its process. False: nothing tells. */
bool thread_pending(const struct thread *th, bool shared, uint64_t *ret);
