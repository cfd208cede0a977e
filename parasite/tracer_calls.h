/*
 * What a tracer is made to call for one that it traces (parasite/tracing.h). It is the host of P; what its calls
 * read and write is in ROOM, memory of it.
 */
#pragma once

#include <signal.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

#include "parasite/tracing.h"

struct tracer_room {
	struct iovec regs_iov, local, remote;
	struct arch_regs regs;
	siginfo_t stop, signal;
	uint64_t sigmask, sigchld, message;
	struct timespec none;
	struct rseq_conf rseq;
	uint64_t byte;
};

#define AT(room, field) ((room) + offsetof(struct tracer_room, field))

#define SIGNAL(sig) (UINT64_C(1) << ((sig)-1))
#define KERNEL_SIGS sizeof(uint64_t)
#define NO_SIGNALS  (~UINT64_C(0)) /* all are blocked */

/* What the call answers, or what became of it. */
int64_t tracer_call(struct parasite *p, uint32_t nr, const uint64_t args[6]);
#define CALL(p, nr, ...) tracer_call(p, nr, (const uint64_t[6]){ __VA_ARGS__ })

int trace(struct parasite *p, int request, pid_t tid, uint64_t addr, uint64_t data);
int trace_regset(struct parasite *p, uint64_t room, int request, pid_t tid);

void room_begin(struct tracer_room *r, uint64_t room);
int room_write(const struct parasite *p, uint64_t room, const struct tracer_room *r);
int room_read(const struct parasite *p, uint64_t room, struct tracer_room *ret);

/* Registers and mask of one that stands. */
int trace_state(struct parasite *p, uint64_t room, pid_t tid, const struct arch_regs *regs,
                uint64_t sigmask);

/* At what it stands; -ESRCH: it runs. */
int trace_siginfo(struct parasite *p, uint64_t room, pid_t tid, siginfo_t *ret);

/* Is that a stop at a system call, by PTRACE_SYSCALL? */
bool is_call_stop(const siginfo_t *si);
/* On which side of it; -EOPNOTSUPP: this kernel does not tell (5.3). */
int trace_side(struct parasite *p, uint64_t room, pid_t tid, enum tracing_at *ret);

/* It stops, and nobody is told. -ESRCH: it ended. */
int trace_await(struct parasite *p, uint64_t room, pid_t tid, siginfo_t *ret);

/* The tracer is told of the stop, if it was not. */
int trace_collect(struct parasite *p, pid_t tid);

/* Of each stop a tracer is told by a SIGCHLD, too: does one wait? What our stops have sent is taken away. */
bool tracer_has_news(const struct parasite *p);
void tracer_drop_news(struct parasite *p, uint64_t room);
