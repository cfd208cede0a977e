/*
 * A tracee of somebody in the tree. Only its tracer may use ptrace(2) on it, so that
 * the tracer, a stopped tracee of ours, is made to let it go, and to attach to it again.
 *
 * In between it is parked: it waits in pause(2), called by its vDSO, with all
 * signals blocked, and its registers and mask are with us. So it is traced and dumped as anybody else,
 * and should we die it does not run a single instruction of the program.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "parasite/inject.h"

/* Where it stands: at a signal, or at the entry or the end of a system call. */
enum tracing_at { TRACING_AT_SIGNAL, TRACING_AT_ENTRY, TRACING_AT_EXIT };

/* A thread that stands there, or runs: all that its tracer may know of it. */
struct tracing {
	pid_t pid, tid;
	uint64_t insn;    /* a system call instruction of its: it is parked there */
	uint32_t options; /* PTRACE_O_* */
	bool seized;      /* by PTRACE_SEIZE */
	bool collected;   /* the tracer has been told of the stop by wait(2) */
	enum tracing_at at;
	bool runs;    /* at, signal and collected mean nothing; after PTRACE_CONT, or ... */
	bool calls;   /* ... if it runs: PTRACE_SYSCALL, so that it stops at its next call */
	bool in_call; /* or, as its tracer knows that it is in one, at the end of that */
	/*
	 * For who comes after us: tracing_halt() has begun, nothing after it; tracing_attach() has; it is on its way
	 * to a system call stop that replaces the one that it stood at; it goes on.
	 */
	bool halting, attaching, entering, going_on;
	bool news;        /* before what is going on of that, a SIGCHLD waited for the tracer */
	siginfo_t signal; /* PTRACE_GETSIGINFO */
	struct arch_regs regs;
	uint64_t sigmask;
};

/* What a tracer is made to call is in memory of an arena that has been injected. */
#define TRACING_ARENA (ARENA_BLOB + 4096)
/* In an arena of that size, before that: 0, or -ENOMEM. */
uint64_t tracing_room(struct arena *a);

/*
 * The host of P traces RET->tid: what is there to be kept? Changes nothing. -errno; RET_WHY: it cannot be
 * carried; NULL: the errno tells. -EAGAIN: where it stands its tracer does not leave it for long.
 */
int tracing_look(struct parasite *p, uint64_t room, struct tracing *ret, const char **ret_why);

/*
 * Before that, of one that runs: it stops. If it was about to stop by itself it stands there now, and
 * RET->runs is no more. -errno; RET_WHY: as above, and it goes on.
 */
int tracing_halt(struct parasite *p, uint64_t room, struct tracing *t, const char **ret_why);

/* What that has stopped goes on, wherever it has got to. */
int tracing_go_on(struct parasite *p, uint64_t room, struct tracing *t);

/*
 * It stands where that has stopped it, or where it was attached to, with its own registers but for the mask: it runs
 * on. May be done again by who comes after us.
 */
int tracing_run_on(struct parasite *p, uint64_t room, struct tracing *t);

/* The same of one that is to stand at a system call, to which it is brought. */
int tracing_to_call(struct parasite *p, uint64_t room, struct tracing *t);

/* Is it where tracing_run_on() finds it? */
bool tracing_is_halted(struct parasite *p, uint64_t room, const struct tracing *t);

/* Park it at t->insn and let it go. -errno: it may be anywhere on this way. */
int tracing_detach(struct parasite *p, uint64_t room, const struct tracing *t);

/*
 * The host attaches to it again, wherever on the way somebody before has got to: it stands
 * at its signal as before. Nobody else may trace it. -errno; -ESRCH: it has ended.
 */
int tracing_attach(struct parasite *p, uint64_t room, struct tracing *t);

/* Registers of one that is parked at INSN, from its own. */
void tracing_park(struct arch_regs *regs, uint64_t insn);
/* Is it, or on its way there? */
bool tracing_is_parked(const struct arch_regs *regs, uint64_t insn);
