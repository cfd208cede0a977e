/*
 * seccomp, restore half. In the last phase all threads are traced with
 * PTRACE_O_SUSPEND_SECCOMP, so that filters can be installed while there is
 * still CAP_SYS_ADMIN to do it with, and bite only when the tracer lets go.
 *
 * Where all threads have one chain, the leader installs it for all of them
 * (TSYNC): then they share it in the kernel too, as a later TSYNC of the
 * program demands.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/child.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/procfs.h"
#include "parasite/inject.h"
#include "proto/seccomp.pb-c.h"
#include "restore/restore.h"

static const Img__Seccomp *leader_of(const struct restore *r, const struct rthread *th)
{
	return (const Img__Seccomp *)aspect_record(r, KIND_seccomp, (uint32_t)th->task->pid);
}

/* Filters are inherited, and never come off; only who has none may suspend those of others (ptrace(2)). */
static bool confined(void)
{
	static enum { UNKNOWN, NO, YES } known;
	auto_free char *status = NULL;
	uint64_t mode = 0;

	if (!known && file_read(AT_FDCWD, "/proc/self/status", &status) > 0)
		known = status_u64(status, "Seccomp", 10, &mode) && mode ? YES : NO;
	return known == YES;
}

/* Tried on a child: the capability counts in the first user namespace alone. */
static bool may_suspend(void)
{
	static bool known, may;
	struct tracee t = {};
	pid_t pid = known ? -1 : fork();

	if (pid == 0)
		for (;;)
			pause();
	if (pid < 0)
		return may;
	known = tracee_seize(&t, pid, PTRACE_O_EXITKILL) == 0;
	may = t.suspend_seccomp;
	child_end(pid);
	return may;
}

/* Who was under none has no record. */
static int seccomp_plan(struct restore *r)
{
	if (confined())
		return fail(-EPERM,
		            "%s: would be under the seccomp filters that crtool itself is under "
		            "here, and was not; restore it from outside of them",
		            rtask_name(r->tasks.v));
	return 0;
}

static int check_rights(uint32_t owner, const Img__Seccomp *msg)
{
	if (msg->mode && !may_suspend())
		return fail(
			-EPERM,
			"thread %u: is confined by seccomp, which can be brought back only with "
			"CAP_SYS_ADMIN; crtool lacks that here",
			owner);
	return 0;
}

static int seccomp_check(struct restore *r, uint32_t owner, const ProtobufCMessage *base)
{
	const Img__Seccomp *msg = (const Img__Seccomp *)base;

	if (msg->mode > SECCOMP_MODE_FILTER ||
	    (msg->n_chain != 0) != (msg->mode == SECCOMP_MODE_FILTER))
		return fail(-EBADMSG, "thread %u: seccomp mode %u with %zu filters", owner,
		            msg->mode, msg->n_chain);
	for (size_t i = 0; i < msg->n_filters; i++) {
		size_t len = msg->filters[i]->program.len;

		if (!len || len % sizeof(struct sock_filter) ||
		    len / sizeof(struct sock_filter) > BPF_MAXINSNS)
			return fail(-EBADMSG, "task %u: seccomp filter of %zu bytes", owner, len);
	}
	return check_rights(owner, msg);
}

static void emit_filter(struct script *s, const Img__Seccomp__Filter *filter, uint64_t flags)
{
	const struct sock_fprog prog = {
		.len = (unsigned short)(filter->program.len / sizeof(struct sock_filter)),
		.filter = (struct sock_filter *)script_put(s, filter->program.data,
		                                           filter->program.len),
	};

	if (filter->log)
		flags |= SECCOMP_FILTER_FLAG_LOG;
	/* Speculation is set by prctl.c. */
	flags |= SECCOMP_FILTER_FLAG_SPEC_ALLOW;
	script_want(s, 0, SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags,
	            script_put(s, &prog, sizeof(prog)));
}

static int emit_chain(const struct rthread *th, const Img__Seccomp *msg, const Img__Seccomp *leader,
                      struct script *s)
{
	for (size_t i = 0; i < msg->n_chain; i++) {
		if (msg->chain[i] >= leader->n_filters)
			return fail(-EBADMSG, "thread %d: there is no seccomp filter %u", th->tid,
			            msg->chain[i]);
		emit_filter(s, leader->filters[msg->chain[i]],
		            leader->shared ? SECCOMP_FILTER_FLAG_TSYNC : 0);
	}
	return 0;
}

static int seccomp_emit(struct restore *r, struct rthread *th, const ProtobufCMessage *base,
                        struct script *s)
{
	const Img__Seccomp *msg = (const Img__Seccomp *)base, *leader = leader_of(r, th);

	if (!leader)
		return fail(-EBADMSG, "thread %d: its leader has no seccomp record", th->tid);
	if (msg->mode == SECCOMP_MODE_STRICT)
		script_call(s, SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
	if (leader->shared && msg != leader)
		return 0;
	return emit_chain(th, msg, leader, s);
}

const struct restore_aspect restore_seccomp = {
	.check = seccomp_check,
	.plan = seccomp_plan,
	.emit[PHASE_LAST] = seccomp_emit,
};
