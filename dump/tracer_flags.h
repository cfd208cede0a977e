/* What only the kernel knows of a tracee. */
#pragma once

#include "dump/dump.h"
#include "lib/task_facts.h"

struct tracer_flags {
	uint32_t options; /* PTRACE_O_* */
	bool seized;
	bool calls, emulated; /* if it runs: by PTRACE_SYSCALL, by PTRACE_SYSEMU */
	bool about_to_stop;   /* because its tracer wants it */
	bool listens;         /* stopped by job control (PTRACE_LISTEN) */
};

/* What the kernel tells of the thread TID: PTRACE, WORK, JOBCTL of lib/task_facts.h. -errno: it does not. */
int tracer_facts(struct dump *d, pid_t tid, struct task_facts *ret);

/* How the thread TID is traced. -ESRCH: nobody traces it; else -errno: that cannot be seen. */
int tracer_flags(struct dump *d, pid_t tid, struct tracer_flags *ret);
