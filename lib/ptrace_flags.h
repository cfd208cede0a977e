/* How a thread is traced, which no system call tells but bpf(2). */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * What asks: a descriptor, or -errno: this kernel does not tell, or not us (CAP_BPF and
 * CAP_PERFMON). Takes a few milliseconds.
 */
int ptrace_flags_open(void);

/*
 * Of the thread TID, which somebody traces: the options (PTRACE_O_*) that its tracer has
 * set, and whether it was seized (PTRACE_SEIZE). -ESRCH: nobody traces it. Else -errno.
 */
int ptrace_flags(int fd, pid_t tid, uint32_t *ret_options, bool *ret_seized);
