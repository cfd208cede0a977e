/*
 * What all threads of a process share, restore half. membarrier(2) registers
 * at no cost while there is one thread, and waits for an RCU grace period later.
 *
 * oom_score_adj below that of crtool needs CAP_SYS_RESOURCE; whether it does
 * depends on a floor that nobody can read, so that crtool tries it on itself.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <fcntl.h>

#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "proto/process.pb-c.h"
#include "restore/restore.h"

#ifndef PR_TIMER_CREATE_RESTORE_IDS
#define PR_TIMER_CREATE_RESTORE_IDS 77 /* 6.15 */
#endif

#define OOM_MAX         1000 /* OOM_SCORE_ADJ_MAX */
#define AUTOGROUP_TRIES 50

static int proc_write(pid_t pid, const char *file, int value)
{
	char path[48], text[16];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	snprintf(text, sizeof(text), "%d", value);
	return file_write(AT_FDCWD, path, text);
}

/* Ours, which everybody starts with. */
static int own_oom(int *ret)
{
	auto_free char *text = NULL;
	ssize_t r = file_read(AT_FDCWD, "/proc/self/oom_score_adj", &text);

	if (r < 0)
		return (int)r;
	*ret = (int)strtol(text, NULL, 10);
	return 0;
}

/* Down and up again: the way back is always allowed. */
static int try_oom(int want)
{
	int own, r = own_oom(&own);

	if (r < 0)
		return r;
	if (want >= own)
		return 0;
	r = proc_write(getpid(), "oom_score_adj", want);
	return r < 0 ? (int)r : proc_write(getpid(), "oom_score_adj", own);
}

static int process_check(struct restore *r, uint32_t owner, const ProtobufCMessage *base)
{
	const Img__Process *msg = (const Img__Process *)base;
	int ret;

	if (abs(msg->oom_score_adj) > OOM_MAX)
		return fail(-EBADMSG, "task %u: oom_score_adj %d", owner, msg->oom_score_adj);
	ret = try_oom(msg->oom_score_adj);
	if (ret == -EACCES)
		return fail(-EPERM,
		            "task %u: its oom_score_adj is %d: to go that low, crtool needs "
		            "CAP_SYS_RESOURCE or to be that low itself",
		            owner, msg->oom_score_adj);
	return ret < 0 ? fail(ret, "task %u: try oom_score_adj %d", owner, msg->oom_score_adj) : 0;
}

static int process_build(struct restore *r, struct rthread *th, const ProtobufCMessage *base,
                         struct script *s)
{
	const Img__Process *msg = (const Img__Process *)base;

	for (uint32_t rest = msg->membarrier; rest; rest &= rest - 1)
		script_call(s, SYS_membarrier, rest & -rest, 0, 0);
	return 0;
}

static int process_emit(struct restore *r, struct rthread *th, const ProtobufCMessage *base,
                        struct script *s)
{
	const Img__Process *msg = (const Img__Process *)base;

	/* It may have been one while the tree was made. */
	if (msg->child_subreaper || th->task->reaps)
		script_call(s, SYS_prctl, PR_SET_CHILD_SUBREAPER, msg->child_subreaper);
	if (msg->timer_ids)
		script_call(s, SYS_prctl, PR_TIMER_CREATE_RESTORE_IDS, 1);
	return 0;
}

/* Users may set one in a tenth of a second, all of them together (kernel/sched/autogroup.c). */
static int autogroup_write(pid_t pid, int nice)
{
	int r = -EAGAIN;

	for (int i = 0; r == -EAGAIN && i < AUTOGROUP_TRIES; i++) {
		if (i)
			usleep(20000);
		r = proc_write(pid, "autogroup", nice);
	}
	return r;
}

static int process_finish(struct restore *r, struct rthread *th, const ProtobufCMessage *base)
{
	const Img__Process *msg = (const Img__Process *)base;
	int own, ret = own_oom(&own);

	/* That of one who is not dumpable may be written to by root alone. */
	if (ret == 0 && own != msg->oom_score_adj)
		ret = proc_write(th->tid, "oom_score_adj", msg->oom_score_adj);
	if (ret < 0)
		return fail(ret, "%s: oom_score_adj %d", rtask_name(th->task), msg->oom_score_adj);
	if (!msg->has_autogroup || !msg->autogroup)
		return 0;
	ret = autogroup_write(th->tid, msg->autogroup);
	return ret < 0 ? fail(ret, "%s: autogroup nice %d%s", rtask_name(th->task), msg->autogroup,
	                      ret == -EPERM ? " (needs CAP_SYS_NICE)" : "")
	               : 0;
}

const struct restore_aspect restore_process = {
	.check = process_check,
	.emit[PHASE_BUILD] = process_build,
	.emit[PHASE_LAST] = process_emit,
	.finish = process_finish,
};
