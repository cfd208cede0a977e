/*
 * Scheduling of a thread, dump half: policy, affinity and I/O priority are read
 * from outside by tid; timer slack and NUMA policy are known to the thread alone.
 *
 * Core scheduling (CONFIG_SCHED_CORE) lets only threads with the same cookie run
 * beside each other on one core: a promise of isolation. A cookie cannot be made
 * again with its number, and who else has it is not told: refused.
 *
 * The slice of a normal thread is shown even where the kernel chose it; that
 * one is crtool's slice too, and is not kept.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/ioprio.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dump/dump.h"
#include "dump/peek.h"
#include "lib/kernel.h"
#include "lib/log.h"
#include "proto/sched.pb-c.h"

#ifndef PR_SCHED_CORE /* 5.14 */
#define PR_SCHED_CORE     62
#define PR_SCHED_CORE_GET 0
#endif
#ifndef PR_SCHED_CORE_SCOPE_THREAD
#define PR_SCHED_CORE_SCOPE_THREAD 0
#endif

#define CPU_BYTES 1024 /* NR_CPUS is 8192 at most */
#define MAX_NODES 1024 /* MAX_NUMNODES, likewise */

enum { ASK_SLACK, ASK_MEMPOLICY };

struct answers {
	int mode;
	unsigned char nodes[MAX_NODES / 8];
};

struct peeked {
	struct kernel_sched_attr attr;
	uint32_t ioprio;
	size_t size;
	unsigned char affinity[];
};

static int sched_ask(struct dump *d, struct thread *th, struct script *s, struct ask *ret)
{
	ret->at = script_alloc(s, sizeof(struct answers));
	ret->first = script_call(s, SYS_prctl, PR_GET_TIMERSLACK);
	/* A kernel without CONFIG_NUMA says ENOSYS. */
	script_ask(s, SYS_get_mempolicy, ret->at + offsetof(struct answers, mode),
	           ret->at + offsetof(struct answers, nodes), MAX_NODES + 1, 0, 0);
	return 0;
}

static bool is_fair(uint32_t policy)
{
	return policy == SCHED_OTHER || policy == SCHED_BATCH || policy == SCHED_IDLE;
}

/* 0, also on a kernel or machine without; who has ended has none. */
static uint64_t core_cookie(pid_t tid)
{
	uint64_t cookie = 0;

	if (prctl(PR_SCHED_CORE, PR_SCHED_CORE_GET, tid, PR_SCHED_CORE_SCOPE_THREAD, &cookie) < 0)
		return 0;
	return cookie;
}

static int check_cookie(const struct dump *d, const struct thread *th)
{
	uint64_t cookie = d->core_sched ? core_cookie(th->tid) : 0;

	if (!cookie)
		return 0;
	return fail(-ENOTSUP,
	            "%s: thread %d has a cookie of core scheduling (%#" PRIx64
	            ", PR_SCHED_CORE), not supported by this version",
	            task_name(th->task), th->tid, cookie);
}

static int sched_look(struct dump *d, struct task *t)
{
	uint64_t own;
	int r = 0;

	d->core_sched =
		!prctl(PR_SCHED_CORE, PR_SCHED_CORE_GET, 0, PR_SCHED_CORE_SCOPE_THREAD, &own) ||
		errno != EINVAL;
	array_each (th, &t->threads)
		if (r == 0)
			r = check_cookie(d, th);
	return r;
}

static int sched_peek(struct dump *d, struct thread *th, struct ask *ask)
{
	unsigned char cpus[CPU_BYTES];
	long n = syscall(SYS_sched_getaffinity, th->tid, sizeof(cpus), cpus), ioprio;
	struct peeked *seen;
	int r = check_cookie(d, th);

	if (r < 0)
		return r;
	if (n < 0)
		return fail(-errno, "%s: thread %d: sched_getaffinity", task_name(th->task),
		            th->tid);
	seen = ask->peeked = peek_room(th, sizeof(*seen) + (size_t)n);
	if (!seen)
		return -ENOMEM;
	seen->size = (size_t)n;
	memcpy(seen->affinity, cpus, seen->size);
	if (syscall(SYS_sched_getattr, th->tid, &seen->attr, sizeof(seen->attr), 0) < 0)
		return fail(-errno, "%s: thread %d: sched_getattr", task_name(th->task), th->tid);
	ioprio = syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, th->tid);
	if (ioprio < 0)
		return fail(-errno, "%s: thread %d: ioprio_get", task_name(th->task), th->tid);
	seen->ioprio = (uint32_t)ioprio;
	return 0;
}

static int take_attr(const struct thread *th, struct kernel_sched_attr attr, Img__Sched *msg)
{
	struct kernel_sched_attr own = {};

	if (is_fair(attr.policy) && syscall(SYS_sched_getattr, 0, &own, sizeof(own), 0) < 0)
		return fail(-errno, "%s: thread %d: sched_getattr", task_name(th->task), th->tid);
	if (is_fair(attr.policy) && attr.runtime == own.runtime)
		attr.runtime = 0;
	msg->policy = attr.policy;
	msg->flags = attr.flags;
	msg->nice = attr.nice;
	msg->priority = attr.priority;
	msg->runtime = attr.runtime;
	msg->deadline = attr.deadline;
	msg->period = attr.period;
	msg->util_min = attr.util_min;
	msg->util_max = attr.util_max;
	return 0;
}

static ProtobufCBinaryData cut_zeros(unsigned char *data, size_t len)
{
	while (len && !data[len - 1])
		len--;
	return (ProtobufCBinaryData){ len, data };
}

static int sched_take(struct dump *d, struct thread *th, const struct script *s,
                      const struct ask *ask)
{
	struct answers *answers = script_at(s, ask->at);
	struct peeked *seen = ask->peeked;
	Img__Sched msg = IMG__SCHED__INIT;
	int r = take_attr(th, seen->attr, &msg);

	if (r < 0)
		return r;
	msg.affinity = cut_zeros(seen->affinity, seen->size);
	msg.ioprio = seen->ioprio;
	msg.timer_slack = (uint64_t)script_result(s, ask->first + ASK_SLACK);
	if (script_result(s, ask->first + ASK_MEMPOLICY) == 0) {
		msg.mempolicy = (uint32_t)answers->mode;
		msg.nodes = cut_zeros(answers->nodes, sizeof(answers->nodes));
	}
	return image_put(d->out, KIND_sched, (uint32_t)th->tid, &msg.base);
}

const struct dump_aspect dump_sched = {
	.scope = SCOPE_THREAD,
	.look = sched_look,
	.ask = sched_ask,
	.alike = true,
	.peek = sched_peek,
	.late = true,
	.take = sched_take,
};
