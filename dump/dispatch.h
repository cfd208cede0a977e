/*
 * System call user dispatch (prctl(2), PR_SET_SYSCALL_USER_DISPATCH): calls from most of a program raise SIGSYS.
 * ptrace(2) tells of it, and holds it up, since Linux 6.4. Where it does not, who is in it is not carried.
 */
#pragma once

#include "dump/dump.h"

/* Before the freeze: T can be carried, as far as can be seen; or why not. Explained. */
int dispatch_check(struct dump *d, struct task *t);

/* TH is in it, as was found out by a call of ours. Explained. */
int dispatch_fail(const struct thread *th);
