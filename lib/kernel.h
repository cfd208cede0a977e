/*
 * Structures and numbers of the kernel that libc hides, names otherwise or does
 * not know yet (Debian 12 has the headers of 6.1). Layouts as of include/uapi.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

/* rt_sigaction(2): the mask is 64 bits and comes last. */
struct kernel_sigaction {
	uint64_t handler;
	uint64_t flags;
	uint64_t restorer;
	uint64_t mask;
};

#define KERNEL_NSIG 64 /* signals 1..64, those of libc's own included */

/* A siginfo_t is opaque bytes to us, all but its first three words. */
#define KERNEL_SIGINFO_SIZE 128

static inline uint64_t signal_bit(int sig)
{
	return UINT64_C(1) << (sig - 1);
}

/* sched_setattr(2); libc has it since glibc 2.41. */
struct kernel_sched_attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline,
		period; /* SCHED_DEADLINE; runtime: the slice of others (6.12) */
	uint32_t util_min, util_max;
};

/* Does this process have the capability in effect? If that cannot be told, the kernel has the last word. */
bool own_capability(int cap);
