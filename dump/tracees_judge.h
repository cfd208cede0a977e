/* What keeps a tracee of the tree from being carried (dump/tracees.h). */
#pragma once

#include "dump/dump.h"
#include "dump/tracer_flags.h"
#include "parasite/tracing.h"

/* What status says of a thread. */
struct tracee_seen {
	uint64_t tracer, seccomp, pending;
	char state;
};

/* 0 or -errno. */
int tracee_see(const struct task *t, pid_t tid, struct tracee_seen *ret);

bool tracee_has_ended(const struct tracee_seen *s);

/* -EBUSY, explained: T, whose thread TID is traced by TRACER. */
int tracee_refuse(const struct task *t, pid_t tid, pid_t tracer, const char *why);

/* Why not? NULL: nothing is. Seen from outside; as its tracer has it; before it is let go; where it stands. */
const char *tracee_why_not(const struct dump *d, const struct tracee_seen *s);
const char *tracee_why_not_so(const struct tracee_seen *s, const struct tracer_flags *how);
const char *tracee_judge(const struct tracing *is, const struct tracee_seen *s,
                         const struct tracer_flags *how);
const char *tracee_judge_stop(const struct tracing *is, const struct tracee_seen *s);
