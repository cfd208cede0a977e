/*
 * Job control: who was stopped stops again, and parents have been told of it,
 * or not yet, as they had.
 */
#pragma once

#include "restore/restore.h"

/*
 * In the leader of T: what it and its children do to be "continued", which has not been told. Nobody
 * ends any more: an orphaned group with stopped members would be sent SIGHUP and SIGCONT.
 */
void job_emit(const struct rtask *t, struct script *s);

/* Later, when all of these have gone on: no news. */
void job_emit_quiet(const struct rtask *t, struct script *s);

/*
 * At the end, when all threads stand in ptrace stops and are what they were: stop those that
 * were. OFFSET is that of a system call instruction in a vDSO. -errno explained.
 */
int job_stop(struct restore *r, int64_t offset);
