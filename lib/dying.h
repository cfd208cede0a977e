/*
 * A process that traces others lets them go when it dies, whoever kills it. Somebody who has to put things right before
 * that traces it in turn: it stops at the beginning of its exit (ptrace(2), PTRACE_O_TRACEEXIT), even when it was
 * killed by SIGKILL, and whoever it traces stays stopped until it is let go.
 */
#pragma once

#include <signal.h>
#include <sys/types.h>

#include "lib/array.h"

struct dying {
	pid_t pid;
	ARRAY(pid_t) threads; /* that are traced, and not gone yet */
	size_t exiting;       /* that stand at the beginning of their exit */
};

/* A signal for who holds, which it has blocked: the process has threads that it does not know. */
#define DYING_NEWS SIGUSR1

/*
 * Trace the threads that the process PID has now, those of them that nobody else traces. -errno, nothing held: somebody
 * traces its first one already, or we may not. The caller has no children, and all signals blocked.
 */
int dying_hold(struct dying *y, pid_t pid);

/* Until the process is about to end, and none of its threads does anything any more: for that ten seconds at most. */
void dying_await(struct dying *y);

/* Let it go. */
void dying_done(struct dying *y);
