/*
 * Debuggers and those that they trace, in one tree (parasite/tracing.h): while the tree is
 * frozen, who is traced stands in crtool's hands; before anybody runs on, its tracer has attached
 * to it again, and should crtool be killed the guard sees to that.
 */
#pragma once

#include "dump/dump.h"
#include "parasite/tracing.h"

/* One that its tracer has let go; in memory that the guard shares. */
struct traced {
	struct tracing is;
	pid_t tracer, tracer_pid; /* 0: nobody has to attach any more */
};

/* A tracer that has let somebody go. Should crtool be killed it must not find out: it is parked, too. */
struct parked {
	pid_t pid, tid; /* 0: no more */
	uint64_t insn;
	struct arch_regs regs; /* its own */
	uint64_t sigmask;
};

/* Before the freeze: T, whose thread TID is traced by TRACER of the tree, can be carried; or why not. Explained. */
int tracees_look(struct dump *d, struct task *t, pid_t tid, pid_t tracer);

/* Its seizure is refused: because somebody in the tree traces it? */
bool tracees_know(const struct dump *d, const struct thread *th);

/*
 * Frozen but for those: their tracers let them go, and they can be seized. How many, or
 * -errno, explained.
 */
int tracees_detach(struct dump *d);

/* The freeze has found what makes it impossible after all. -errno, explained. */
int tracees_check(struct dump *d);

/*
 * Before all others are let go: those are, and are traced again. First error, explained; goes
 * on with the others. Idempotent.
 */
int tracees_attach(struct dump *d);

void tracees_done(struct dump *d);

/* The tree is dead. */
void tracees_forget(struct dump *d);

/*
 * The same in the guard G, of what D, which was crtool, has noted, whatever it had got to. False: it is to be tried
 * again, later; LAST: it will not be, and who is not attached to runs on as if he had been let go.
 */
bool tracees_undo(struct dump *g, struct dump *d, bool last);

/* What TH has as the program knows it. */
static inline const struct arch_regs *thread_regs(const struct thread *th)
{
	return th->traced   ? &th->traced->is.regs
	       : th->parked ? &th->parked->regs
	                    : &th->tracee.regs;
}

static inline uint64_t thread_sigmask(const struct thread *th)
{
	return th->traced   ? th->traced->is.sigmask
	       : th->parked ? th->parked->sigmask
	                    : th->tracee.sigmask;
}
