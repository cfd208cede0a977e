/* What only the kernel knows of a tracee. */
#pragma once

#include "dump/dump.h"

/*
 * With which PTRACE_O_* the thread TID is traced, whether it was seized, and whether it is stopped at each of
 * its calls when it runs. -ESRCH: nobody traces it; else -errno: that cannot be seen.
 */
int tracer_flags(struct dump *d, pid_t tid, uint32_t *ret_options, bool *ret_seized,
                 bool *ret_steps);
