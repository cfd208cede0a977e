/*
 * Processes of one tree mostly are what their parent was when they were forked. Where the kernel tells of all at once
 * what their scripts would answer (lib/proc_answers.h), one of each sort is asked, and answers for the others: into
 * these nothing is injected, and their status is not read. It is for the processes of large trees what alike.h is for
 * threads, whose words it uses.
 */
#pragma once

#include "dump/dump.h"

/* Before the freeze. Nothing for trees of few. */
int alike_tasks_prepare(struct dump *d);

/* All stand still. */
void alike_tasks_read(struct dump *d);

/*
 * Does somebody answer for T? Then thread.like of its leader is set. Of each T in turn, whose t->concerned is known:
 * one for whom nobody answers will for others. -ENOMEM.
 */
int alike_task(struct dump *d, struct task *t);

/* Before the freeze: may T be one of them? */
bool alike_tasks_wanted(const struct dump *d);

void alike_tasks_done(struct dump *d);
