/*
 * What all threads of a process share, dump half. The autogroup belongs to a
 * session: its leader carries it, or where that is gone, the first of its members.
 * /proc/PID/loginuid stays that of the user who restores, as sessions of the audit system demand.
 */
#include <errno.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "dump/dump.h"
#include "dump/task.h"
#include "dump/together.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "proto/process.pb-c.h"

#ifndef MEMBARRIER_CMD_GET_REGISTRATIONS /* 6.3 */
#define MEMBARRIER_CMD_GET_REGISTRATIONS (1 << 9)
#endif

#ifndef PR_TIMER_CREATE_RESTORE_IDS /* 6.15 */
#define PR_TIMER_CREATE_RESTORE_IDS     77
#define PR_TIMER_CREATE_RESTORE_IDS_GET 2
#endif

enum { OP_SUBREAPER, OP_TIMER_IDS, OP_LDT, OP_MEMBARRIER };

#define LDT_SCRATCH 16

/* Only who has registered may make them (EPERM). The bit after each is that of its registration. */
static const int barriers[] = {
	MEMBARRIER_CMD_PRIVATE_EXPEDITED,
	MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE,
	MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ,
};

static bool kernel_tells_registrations(void)
{
	return syscall(SYS_membarrier, MEMBARRIER_CMD_GET_REGISTRATIONS, 0, 0) >= 0;
}

/* Older kernels do not: then barriers are tried. */
static void ask_membarrier(struct script *s)
{
	if (kernel_tells_registrations()) {
		script_ask(s, SYS_membarrier, MEMBARRIER_CMD_GET_REGISTRATIONS, 0, 0);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(barriers); i++)
		script_ask(s, SYS_membarrier, barriers[i], 0, 0);
}

/* Whether barriers of everybody are wanted cannot be tried: who need not have them is not disturbed by them. */
static uint32_t take_membarrier(const struct script *s, size_t first)
{
	long known = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
	int64_t told = script_result(s, first);
	uint32_t ret = 0;

	if (kernel_tells_registrations())
		return told > 0 ? (uint32_t)told : 0;
	for (size_t i = 0; i < ARRAY_SIZE(barriers); i++)
		if (script_result(s, first + i) == 0)
			ret |= (uint32_t)barriers[i] << 1;
	return ret | (known > 0 ? (uint32_t)known & MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED : 0);
}

static int process_ask(struct dump *d, struct thread *th, struct script *s, struct ask *ret)
{
	ret->at = script_alloc(s, sizeof(int));
	ret->first = script_call(s, SYS_prctl, PR_GET_CHILD_SUBREAPER, ret->at);
	script_ask(s, SYS_prctl, PR_TIMER_CREATE_RESTORE_IDS, PR_TIMER_CREATE_RESTORE_IDS_GET);
	arch_ldt_ask(s, script_alloc(s, LDT_SCRATCH));
	ask_membarrier(s);
	return 0;
}

static int take_oom(struct dump *d, const struct task *t, Img__Process *msg)
{
	auto_free char *text = NULL;
	ssize_t r = together_read(d, t, TOLD_OOM, &text);

	if (r < 0)
		return fail((int)r, "%s: read /proc/%d/oom_score_adj", task_name(t), t->pid);
	msg->oom_score_adj = (int32_t)strtol(text, NULL, 10);
	return 0;
}

/* Not of one that is led from outside: a restore does not make that. */
static bool carries_autogroup(const struct dump *d, const struct task *t)
{
	const struct task *leader = task_find(d, t->sid);

	if (leader && leader->state != TASK_ZOMBIE)
		return leader == t;
	if (!leader && d->opt->shell_job && t->sid == d->tasks.v[0].sid)
		return false;
	array_each (m, &d->tasks)
		if (m->sid == t->sid && m->state != TASK_ZOMBIE)
			return m == t;
	return false;
}

/* "/autogroup-17 nice 0"; a kernel without CONFIG_SCHED_AUTOGROUP has no such file. */
static int take_autogroup(const struct dump *d, const struct task *t, Img__Process *msg)
{
	auto_free char *text = NULL;
	const char *nice;
	ssize_t r;

	if (!carries_autogroup(d, t))
		return 0;
	r = file_read(t->proc, "autogroup", &text);
	if (r < 0 && r != -ENOENT)
		return fail((int)r, "%s: read /proc/%d/autogroup", task_name(t), t->pid);
	nice = r > 0 ? strstr(text, " nice ") : NULL;
	if (!nice)
		return 0;
	msg->has_autogroup = true;
	msg->autogroup = (int32_t)strtol(nice + sizeof(" nice ") - 1, NULL, 10);
	return 0;
}

static int process_take(struct dump *d, struct thread *th, const struct script *s,
                        const struct ask *ask)
{
	const int *subreaper = script_at(s, ask->at);
	Img__Process msg = IMG__PROCESS__INIT;
	int r;

	if (script_result(s, ask->first + OP_LDT) > 0)
		return fail(-ENOTSUP,
		            "%s: has a local descriptor table (modify_ldt), not supported by this "
		            "version",
		            task_name(th->task));
	r = take_oom(d, th->task, &msg);

	if (r == 0)
		r = take_autogroup(d, th->task, &msg);
	if (r < 0)
		return r;
	msg.child_subreaper = *subreaper;
	msg.timer_ids = script_result(s, ask->first + OP_TIMER_IDS) == 1;
	msg.membarrier = take_membarrier(s, ask->first + OP_MEMBARRIER);
	return image_put(d->out, KIND_process, (uint32_t)th->task->pid, &msg.base);
}

const struct dump_aspect dump_process = {
	.scope = SCOPE_PROCESS,
	.ask = process_ask,
	.alike = true,
	.take = process_take,
};
