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

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/ptrace.h>
#include <sys/types.h>

#include "parasite/arch/arch.h"
#include "parasite/arena.h"
#include "parasite/compile.h"

/* prctl(2), PR_SET_SYSCALL_USER_DISPATCH; the layout of ptrace_sud_config (linux/ptrace.h). */
struct dispatch {
	uint64_t mode, selector, offset, len;
};

#ifndef PTRACE_GET_RSEQ_CONFIGURATION
#define PTRACE_GET_RSEQ_CONFIGURATION 0x420f
#endif
/* What that tells; the layout of ptrace_rseq_configuration (linux/ptrace.h). */
struct rseq_conf {
	uint64_t area;
	uint32_t size, signature, flags, pad;
};

struct tracee {
	pid_t tid;
	bool seized;
	bool asked; /* to stop, by tracee_interrupt() */
	bool stopped;
	int stop_signal;          /* of a group-stop found at the seizure; 0: it was running */
	struct arch_regs regs;    /* at the stop, as they must be when it goes on */
	uint64_t sigmask;         /* likewise */
	struct dispatch dispatch; /* likewise; off while scripts run */
	bool dispatch_hidden; /* this kernel does not tell (before 6.4): a call of ours may end in SIGSYS */
	struct rseq_conf rseq; /* of its restartable sequences; area 0: none */
	bool changed;          /* registers or mask must still be put back */
	bool held;             /* all signals are blocked */
	bool running;          /* in a script or a call of ours, not yet waited for */
	bool suspend_seccomp;  /* PTRACE_O_SUSPEND_SECCOMP is in force */
	int pending_stop;      /* SIGSTOP came while scripts ran: raised again at the release */
	siginfo_t late_signal; /* so did this one */
};

/* Seize with PTRACE_O_* OPTIONS, without stopping it. -ESRCH: it is gone. -EPERM: not ours, or traced. */
int tracee_seize(struct tracee *t, pid_t tid, unsigned long options);

/* Other options than at the seizure, of a stopped thread. */
int tracee_set_options(struct tracee *t, unsigned long options);

/* Ask it to stop; does not wait. */
int tracee_interrupt(struct tracee *t);

/* Wait for any stop. -ESRCH: it exited. -ETIMEDOUT: the deadline (lib/deadline.h) has passed. */
int tracee_wait(struct tracee *t, int *ret_status);

/* Wait for the stop that tracee_interrupt() asked for; takes registers and mask. Errors of tracee_wait(). */
int tracee_wait_stop(struct tracee *t);

/* Take registers and mask of a thread that stands in a stop. */
int tracee_take(struct tracee *t);

/* REGS of a thread with a registered AREA are in a restartable sequence of it: they are where it is aborted then. */
bool tracee_leave_rseq(pid_t tid, uint64_t area, struct arch_regs *regs);

/* Set the signal mask of a stopped thread (not remembered). */
int tracee_set_mask(struct tracee *t, uint64_t mask);

/* The same for system call user dispatch; kernels before 6.4 neither tell nor set it. */
int tracee_set_dispatch(struct tracee *t, const struct dispatch *dispatch);

/*
 * In the stop for signal SI, in code of ours: has that sent it? The call that it comes from tells: by SI, threads of
 * the program might have sent it, and where the user has as many signals queued as he may (RLIMIT_SIGPENDING) the
 * kernel forgets who has. Somebody's that came at the same moment, and took its place, is in late_signal then.
 * 1, 0, or -errno: nobody knows.
 */
int tracee_has_sent(struct tracee *t, const siginfo_t *si);

/*
 * Does a signal handler of the program run on top of the SIZE bytes of our code at START, so that it comes back
 * there? Who has lost its tracer takes signals before its way out has come to its end. By what is on its stack, and on
 * those that frames of handlers there lead to: a number from there; true if it cannot be read.
 */
bool tracee_comes_back(const struct tracee *t, uint64_t start, uint64_t size);

/* Stop it again, wherever in a script it is; idempotent. */
int tracee_halt(struct tracee *t);

/* Registers and mask back to those in *t, wherever it is. Idempotent. */
int tracee_put_back(struct tracee *t);

/* Put back and detach: it runs on, or stays in its group-stop. Idempotent. */
int tracee_release(struct tracee *t);

/* ---- scripts in a stopped tracee ---- */

struct parasite {
	struct tracee *host; /* the thread that mapped it; NULL: not injected */
	struct arena *arena;
	int mem;               /* /proc/PID/mem, borrowed */
	uint64_t syscall_insn; /* address of a system call instruction in the target */
	uint64_t door;         /* a better one (arch_door_build()), once it is there; 0: none */
	uint32_t signal;       /* by which the host stops there; 0: at system calls */
	bool on_its_way;       /* it is passing through the door */
	bool shared; /* others may live in the arena from its scripts on: no thread unmaps it by itself */
};

/*
 * One system call in a stopped tracee, outside of any arena, by the system
 * call instruction at INSN. The result of the call is in *ret_result; the
 * registers are not put back.
 */
int tracee_syscall(struct tracee *t, uint64_t insn, uint32_t nr, const uint64_t args[6],
                   int64_t *ret_result);

/* It runs code of ours at ENTRY, on the stack that ends at STACK, and never comes back. Signals are blocked. */
int tracee_launch(struct tracee *t, uint64_t entry, uint64_t arg, uint64_t stack);

/*
 * Map ARENA (fully built) into the address space of HOST and copy it there. From
 * here to parasite_start() the host stands in the door at DOOR, if that is not 0. SIGNAL
 * is one that parasite_signal() gave for it, or 0: then that takes four times as many stops.
 */
int parasite_inject(struct parasite *p, struct tracee *host, struct arena *arena, int mem,
                    uint64_t syscall_insn, uint64_t door, uint32_t signal);

/*
 * The same in two halves, for many address spaces: while one maps, others are begun with. What
 * fails is undone by parasite_cure().
 */
int parasite_inject_begin(struct parasite *p, struct tracee *host, struct arena *arena, int mem,
                          uint64_t syscall_insn, uint64_t door, uint32_t signal);
int parasite_inject_end(struct parasite *p);

/*
 * The same for parasite_call() alone: ARENA is an empty one, {}, and nothing is mapped.
 */
void parasite_visit(struct parasite *p, struct tracee *host, struct arena *arena, int mem,
                    uint64_t syscall_insn, uint64_t door);

/* Start SCRIPT (finished, in the arena) in the stopped thread T; does not wait. */
int parasite_start(struct parasite *p, struct tracee *t, const struct script *s);

/* Wait until it stands at OP_STOP. Its registers are put back by tracee_put_back(). */
int parasite_finish(struct parasite *p, struct tracee *t, const struct script *s);

/*
 * Copy the results back into the local arena; all threads but the host are put
 * back. From here to parasite_cure() the host stands in the door again.
 */
int parasite_collect(struct parasite *p);

/*
 * One more system call in the host, between parasite_collect() or parasite_visit()
 * and parasite_cure(). Its result is in *RET_RESULT.
 */
int parasite_call(struct parasite *p, uint32_t nr, const uint64_t args[6], int64_t *ret_result);

/*
 * After parasite_collect(): another thread of the same memory is the host, put
 * into the door; the one that was is put back.
 */
int parasite_move(struct parasite *p, struct tracee *host);

/*
 * Between parasite_collect() and parasite_cure(): the arena stays, but the host is put back and the door closed, until
 * it stands there again.
 */
int parasite_rest(struct parasite *p);
int parasite_rouse(struct parasite *p, uint64_t door);

/* Unmap the arena and put the host back; no thread may be in it. Idempotent. */
int parasite_cure(struct parasite *p);
/* Optional, before that: the host is on its way while others are begun with. -errno */
int parasite_cure_begin(struct parasite *p);

/*
 * A signal for OP_STOP in a process that handles the set CAUGHT (SigCgt of
 * status) and for which PENDING wait: one that does nothing if nobody traces.
 */
uint32_t parasite_signal(uint64_t caught, uint64_t pending);
