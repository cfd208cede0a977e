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

/*
 * The same of a thread that runs, by what is seen of it: where in the kernel it waits (/proc/PID/wchan, for
 * arch_restarted_call()). -errno: it has ended, or may not be looked at.
 */
#define RESTART_WCHAN 40
int restart_where(const struct task *t, pid_t tid, char ret_wchan[static RESTART_WCHAN]);

/* The user is told of what could not be found out; WHERE: what is known of it. */
void restart_lose(const struct task *t, const struct thread *th, const char *where);
