/* Helper processes of crtool's own. */
#pragma once

#include <sys/types.h>

/*
 * Kill the child PID of the caller, whatever its exit signal, and reap it. A call that fails for
 * no reason (fault injection) is made again: to wait for a child that nobody killed would never end.
 */
void child_end(pid_t pid);

/*
 * Start ARGV[0], looked for in PATH. IN and OUT of the caller become its stdin and stdout; it
 * gets signals as any program. 0 or -errno.
 */
int child_spawn(const char *const argv[], int in, int out, pid_t *ret);

/* For behind "fork ...", which has failed with R: what may be limited. */
const char *child_limits(int r);
