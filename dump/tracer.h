/* Tasks that somebody else traces, and names for those that are only mentioned. */
#pragma once

#include "dump/dump.h"

/* "41 (gdb)". */
void name_pid(uint64_t pid, char *buf, size_t size);

/* 0, or -EBUSY explained: thread TID of T has a tracer, in the tree or outside. */
int tracer_check(const struct dump *d, const struct task *t, pid_t tid);

/*
 * The same of those outside who are traced by somebody in the tree. Looks at every
 * thread there is.
 */
int tracer_check_outside(const struct dump *d);
