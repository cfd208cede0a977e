/* What only the kernel knows of a tracee. */
#pragma once

#include "dump/dump.h"

struct tracer_flags {
	uint32_t options; /* PTRACE_O_* */
	bool seized;
	bool calls, emulated; /* if it runs: by PTRACE_SYSCALL, by PTRACE_SYSEMU */
	bool about_to_stop;   /* because its tracer wants it */
};

/* How the thread TID is traced. -ESRCH: nobody traces it; else -errno: that cannot be seen. */
int tracer_flags(struct dump *d, pid_t tid, struct tracer_flags *ret);
