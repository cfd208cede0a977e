/*
 * Stopping tasks and running scripts in them, so that nothing is left behind.
 *
 * A tracee is seized with PTRACE_SEIZE and stopped with PTRACE_INTERRUPT; its
 * registers and signal mask are taken once. A parasite is the arena mapped
 * into one address space. While a script runs in a thread, the thread's own
 * registers are in the script's leave block: should the tracer die, the blob
 * goes on with them by itself, and no instruction or signal of the program is lost.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "parasite/arch/arch.h"
#include "parasite/arena.h"
#include "parasite/compile.h"

struct tracee {
	pid_t tid;
	bool seized;
	bool stopped;
	int stop_signal;       /* of a group-stop found at the seizure; 0: it was running */
	struct arch_regs regs; /* at the stop, as they must be when it goes on */
	uint64_t sigmask;      /* likewise */
	bool changed;          /* registers or mask differ from these just now */
	bool suspend_seccomp;  /* PTRACE_O_SUSPEND_SECCOMP is in force */
	int pending_stop; /* a SIGSTOP-class signal that came while scripts ran: to be raised again */
};

/* Seize and ask to stop; does not wait. -ESRCH: it is gone. -EPERM: see tracer of. */
int tracee_seize(struct tracee *t, pid_t tid);

/* Wait for the stop that tracee_seize() asked for; takes registers and mask. -ESRCH: it exited. -ETIMEDOUT. */
int tracee_wait_stop(struct tracee *t, uint64_t deadline_ns);

/* Put back what was changed and let it run (or stay in its group-stop). Idempotent. */
int tracee_release(struct tracee *t);

/* ---- scripts in a stopped tracee ---- */

struct parasite {
	struct tracee *host; /* the thread that mapped it; NULL: not injected */
	struct arena *arena;
	int mem;               /* /proc/PID/mem, borrowed */
	uint64_t syscall_insn; /* address of a system call instruction in the target */
};

/*
 * One system call in a stopped tracee, outside of any arena, by the system
 * call instruction at INSN. The result of the call in *ret_result.
 */
int tracee_syscall(struct tracee *t, uint64_t insn, uint32_t nr, const uint64_t args[6],
                   int64_t *ret_result);

/* Map ARENA (fully built) into the address space of HOST and copy it there. */
int parasite_inject(struct parasite *p, struct tracee *host, struct arena *arena, int mem,
                    uint64_t syscall_insn);

/* Start SCRIPT (finished, in the arena) in the stopped thread T; does not wait. */
int parasite_start(struct parasite *p, struct tracee *t, const struct script *s);

/* Wait until it stands at OP_STOP; registers and mask are put back. */
int parasite_finish(struct parasite *p, struct tracee *t, const struct script *s,
                    uint64_t deadline_ns);

/* Copy the results back into the local arena. */
int parasite_collect(struct parasite *p);

/* Unmap the arena. Idempotent. */
int parasite_cure(struct parasite *p);
