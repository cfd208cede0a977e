/* Tasks that somebody else traces, and names for those that are only mentioned. */
#pragma once

#include "dump/dump.h"

/* "41 (gdb)". */
void name_pid(uint64_t pid, char *buf, size_t size);

/* 0, or -EBUSY explained: thread TID of T has a tracer outside of the tree, or one in it that cannot be carried. */
int tracer_check(struct dump *d, struct task *t, pid_t tid);

/* Is the thread TID a tracee of the calling thread? */
bool tracer_is_own(pid_t tid);

/*
 * The same of those outside who are traced by somebody in the tree. Looks at every
 * thread there is.
 */
int tracer_check_outside(const struct dump *d);
