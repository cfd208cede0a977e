/*
 * What all threads of a process share, dump half. The autogroup belongs to a
 * session: its leader carries it. /proc/PID/loginuid stays that of the user
 * who restores, as sessions of the audit system demand.
 */
#include <errno.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "dump/dump.h"
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

enum { OP_SUBREAPER, OP_MEMBARRIER, OP_TIMER_IDS, OP_LDT };

#define LDT_SCRATCH 16

static int process_ask(struct dump *d, struct thread *th, struct script *s, struct ask *ret)
{
	ret->at = script_alloc(s, sizeof(int));
	ret->first = script_call(s, SYS_prctl, PR_GET_CHILD_SUBREAPER, ret->at);
	script_ask(s, SYS_membarrier, MEMBARRIER_CMD_GET_REGISTRATIONS, 0, 0);
	script_ask(s, SYS_prctl, PR_TIMER_CREATE_RESTORE_IDS, PR_TIMER_CREATE_RESTORE_IDS_GET);
	arch_ldt_ask(s, script_alloc(s, LDT_SCRATCH));
	return 0;
}

static int take_oom(const struct task *t, Img__Process *msg)
{
	auto_free char *text = NULL;
	ssize_t r = file_read_record(t->proc, "oom_score_adj", &text);

	if (r < 0)
		return fail((int)r, "%s: read /proc/%d/oom_score_adj", task_name(t), t->pid);
	msg->oom_score_adj = (int32_t)strtol(text, NULL, 10);
	return 0;
}

/* "/autogroup-17 nice 0"; a kernel without CONFIG_SCHED_AUTOGROUP has no such file. */
static int take_autogroup(const struct task *t, Img__Process *msg)
{
	auto_free char *text = NULL;
	const char *nice;
	ssize_t r;

	if (t->pid != t->sid)
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
	int64_t membarrier = script_result(s, ask->first + OP_MEMBARRIER);
	Img__Process msg = IMG__PROCESS__INIT;
	int r;

	if (script_result(s, ask->first + OP_LDT) > 0)
		return fail(-ENOTSUP,
		            "%s: has a local descriptor table (modify_ldt), not supported by this "
		            "version",
		            task_name(th->task));
	r = take_oom(th->task, &msg);

	if (r == 0)
		r = take_autogroup(th->task, &msg);
	if (r < 0)
		return r;
	msg.child_subreaper = *subreaper;
	msg.timer_ids = script_result(s, ask->first + OP_TIMER_IDS) == 1;
	msg.membarrier = membarrier > 0 ? (uint32_t)membarrier : 0;
	return image_put(d->out, KIND_process, (uint32_t)th->task->pid, &msg.base);
}

const struct dump_aspect dump_process = {
	.scope = SCOPE_PROCESS,
	.ask = process_ask,
	.take = process_take,
};
