/*
 * A thread that calls exec does not stop, and holds a lock that PTRACE_SEIZE waits for (cred_guard_mutex), until all
 * others of its process are gone; those that we have seized already, be they stopped, stay until we have taken the
 * news (de_thread() of fs/exec.c).
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

#include "dump/dump.h"

struct ended {
	struct dump *d;
	volatile sig_atomic_t steady; /* no task or thread is added or dropped */
	size_t settled;               /* threads that were seized, and that stood, last time */
	uint64_t rest_until;          /* of many threads it takes a tenth of the time at most */
};

/*
 * In a signal handler, again and again while the freeze lasts (deadline_watch()): where nothing has
 * moved since the last time, the news of all that have ended are taken. ARG: struct ended.
 */
void ended_take(void *arg);

/* That of the thread of T, if it has. Stops, which wait(2) tells of a tracee asked or not, stay where they are. */
bool ended_reap(const struct tracee *t);
