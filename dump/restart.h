/*
 * Calls that the kernel has continued once already (restart_syscall(2)): after a SIGSTOP, a debugger, an
 * earlier dump. They are restored by issuing the original call again, whose number is not kept anywhere: it is
 * told from where in the kernel the thread waits once it is let go on for a moment.
 */
#pragma once

#include "dump/dump.h"

/*
 * TH stands still. If it is in such a call, find out which one it is, for th->restarted; that takes letting it
 * run. 1 if it did, 0, or -errno, explained.
 */
int restart_identify(struct task *t, struct thread *th);
