/* What restore/timer.c does about signals that waited. */
#pragma once

#include <signal.h>

#include "restore/restore.h"

/*
 * Does a POSIX timer queue the signal that waits at TH, or at the process that TH leads, and that INFO tells of,
 * when it is armed? Behind all others of its number, then. If not, INFO tells from now on for how many
 * expirations it stands.
 */
bool timer_queues(const struct restore *r, const struct rthread *th, siginfo_t *info);
