/*
 * Scheduling of a thread, restore half. Every task starts with that of crtool;
 * what is equal is left alone, so that it needs no rights and stays as
 * "unset" as it was. Last of all: a SCHED_DEADLINE thread could not fork.
 *
 * The timer slack comes before the policy, for real-time threads have none.
 */
#include <errno.h>
#include <linux/ioprio.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/kernel.h"
#include "lib/log.h"
#include "proto/sched.pb-c.h"
#include "restore/restore.h"

#define CPU_BYTES 1024 /* NR_CPUS is 8192 at most */
#define MAX_NODES 1024 /* MAX_NUMNODES, likewise */

#define FLAG_UTIL_CLAMP 0x60 /* SCHED_FLAG_UTIL_CLAMP_MIN, _MAX */

static bool is_fair(uint32_t policy)
{
	return policy == SCHED_OTHER || policy == SCHED_BATCH || policy == SCHED_IDLE;
}

static struct kernel_sched_attr attr_of(const Img__Sched *msg)
{
	return (struct kernel_sched_attr){
		.size = sizeof(struct kernel_sched_attr),
		.policy = msg->policy,
		.flags = msg->flags,
		.nice = msg->nice,
		.priority = msg->priority,
		.runtime = msg->runtime,
		.deadline = msg->deadline,
		.period = msg->period,
		.util_min = msg->util_min,
		.util_max = msg->util_max,
	};
}

/* ---- what it takes is tried: rights may be those of a user namespace, and limits may do without ---- */

struct trial {
	const Img__Sched *msg;
	bool attr, ioprio; /* refused */
};

static bool refused(long r)
{
	return r < 0 && (errno == EPERM || errno == EACCES);
}

static void *trial_run(void *arg)
{
	struct trial *t = arg;
	struct kernel_sched_attr want = attr_of(t->msg);

	t->ioprio = refused(syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, t->msg->ioprio));
	t->attr = refused(syscall(SYS_sched_setattr, 0, &want, 0));
	return NULL;
}

/* Does it ask for nothing that everybody may have? */
static bool is_humble(const Img__Sched *msg)
{
	return is_fair(msg->policy) && msg->nice >= getpriority(PRIO_PROCESS, 0) &&
	       IOPRIO_PRIO_CLASS(msg->ioprio) != IOPRIO_CLASS_RT;
}

/* In a thread that ends, for there may be no way back. */
static int check_rights(uint32_t owner, const Img__Sched *msg)
{
	struct trial trial = { .msg = msg };
	pthread_t thread;
	int e;

	if (is_humble(msg))
		return 0;
	e = pthread_create(&thread, NULL, trial_run, &trial);
	if (e)
		return fail(-e, "thread %u: try its scheduling", owner);
	pthread_join(thread, NULL);
	if (trial.attr)
		return fail(-EPERM,
		            "thread %u: its scheduling (policy %u, nice %d, priority %u) needs "
		            "CAP_SYS_NICE, which crtool lacks here",
		            owner, msg->policy, msg->nice, msg->priority);
	if (trial.ioprio)
		return fail(-EPERM,
		            "thread %u: its real-time I/O priority needs CAP_SYS_NICE, which "
		            "crtool lacks here",
		            owner);
	return 0;
}

/* A file is read for that, which is too much to do for each thread. */
static long cpus_configured(void)
{
	static long cpus;

	if (!cpus)
		cpus = sysconf(_SC_NPROCESSORS_CONF);
	return cpus;
}

static int sched_check(struct restore *r, uint32_t owner, const ProtobufCMessage *base)
{
	const Img__Sched *msg = (const Img__Sched *)base;
	long cpus = cpus_configured();

	if (msg->affinity.len > CPU_BYTES || !msg->affinity.len || msg->nodes.len > MAX_NODES / 8)
		return fail(-EBADMSG, "thread %u: set of CPUs or nodes", owner);
	for (long cpu = 0; cpu < cpus; cpu++)
		if ((size_t)cpu / 8 < msg->affinity.len &&
		    msg->affinity.data[cpu / 8] & (1u << cpu % 8))
			return check_rights(owner, msg);
	return fail(-ENOTSUP, "thread %u: is bound to CPUs that this machine does not have (%ld)",
	            owner, cpus);
}

static void emit_attr(struct script *s, const Img__Sched *msg)
{
	struct kernel_sched_attr own = {}, want = attr_of(msg);

	if (syscall(SYS_sched_getattr, 0, &own, sizeof(own), 0) < 0)
		return;
	if (is_fair(own.policy))
		own.runtime = 0;
	if (!memcmp(&own, &want, sizeof(own)))
		return;
	if (want.util_min != own.util_min || want.util_max != own.util_max)
		want.flags |= FLAG_UTIL_CLAMP;
	script_call(s, SYS_sched_setattr, 0, script_put(s, &want, sizeof(want)), 0);
}

static void emit_affinity(struct script *s, const Img__Sched *msg)
{
	unsigned char own[CPU_BYTES] = {}, want[CPU_BYTES] = {};

	memcpy(want, msg->affinity.data, msg->affinity.len);
	if (syscall(SYS_sched_getaffinity, 0, sizeof(own), own) >= 0 &&
	    !memcmp(own, want, sizeof(own)))
		return;
	script_call(s, SYS_sched_setaffinity, 0, msg->affinity.len,
	            script_put(s, msg->affinity.data, msg->affinity.len));
}

static void emit_mempolicy(struct script *s, const Img__Sched *msg)
{
	unsigned char nodes[MAX_NODES / 8] = {};
	int own = 0;

	if (!msg->mempolicy && (syscall(SYS_get_mempolicy, &own, NULL, 0, NULL, 0) < 0 || own == 0))
		return;
	memcpy(nodes, msg->nodes.data, msg->nodes.len);
	script_call(s, SYS_set_mempolicy, msg->mempolicy, script_put(s, nodes, sizeof(nodes)),
	            MAX_NODES + 1);
}

static int sched_emit(struct restore *r, struct rthread *th, const ProtobufCMessage *base,
                      struct script *s)
{
	const Img__Sched *msg = (const Img__Sched *)base;

	if (msg->timer_slack && msg->timer_slack != (uint64_t)prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0))
		script_call(s, SYS_prctl, PR_SET_TIMERSLACK, msg->timer_slack);
	if (msg->ioprio != (uint64_t)syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0))
		script_call(s, SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, msg->ioprio);
	emit_mempolicy(s, msg);
	emit_affinity(s, msg);
	emit_attr(s, msg);
	return 0;
}

const struct restore_aspect restore_sched = {
	.check = sched_check,
	.emit[PHASE_LAST] = sched_emit,
};
