/*
 * The last step: every thread stands in a ptrace stop at the end of its script,
 * and gets what the script could not give it: its registers, its extended
 * state, its signal mask. Nothing of crtool is left when it is let go.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

#include "lib/child.h"
#include "lib/cleanup.h"
#include "lib/deadline.h"
#include "lib/guard.h"
#include "lib/log.h"
#include "lib/procfs.h"
#include "restore/lazy.h"
#include "restore/leftover.h"
#include "restore/job.h"
#include "restore/restore.h"

#define VDSO_SCAN 4096

/* The tasks' vDSO is that of this kernel, as ours: the same offset holds. */
static int64_t syscall_offset(void)
{
	const void *vdso = (const void *)getauxval(AT_SYSINFO_EHDR);

	return vdso ? arch_find_syscall(vdso, VDSO_SCAN) : -1;
}

static int unmap_arena(struct restore *r, struct rtask *t, int64_t offset)
{
	const uint64_t args[6] = { r->arena.base, r->arena.size };
	struct tracee *leader = &t->threads.v[0].tracee;
	int64_t result = 0;
	int ret;

	if (t->shares[TABLE_VM] != t)
		return 0;
	if (!t->vdso || offset < 0)
		return fail(-ENOTSUP, "%s: has no vDSO to leave the arena by", rtask_name(t));
	ret = tracee_syscall(leader, t->vdso + (uint64_t)offset, SYS_munmap, args, &result);
	if (ret == 0)
		ret = (int)result;
	return ret < 0 ? fail(ret, "%s: unmap the arena", rtask_name(t)) : 0;
}

static int set_thread(struct rthread *th)
{
	const Img__Thread *img = th->img;
	struct tracee *tracee = &th->tracee;
	int ret;

	memcpy(&tracee->regs, img->regs.data, sizeof(tracee->regs));
	tracee->sigmask = img->sigmask;
	tracee->dispatch = (struct dispatch){ img->dispatch_mode, img->dispatch_selector,
		                              img->dispatch_offset, img->dispatch_len };
	tracee->changed = true;
	ret = arch_xstate_set(th->tid, img->xstate.data, img->xstate.len);
	if (ret < 0)
		return fail(ret, "%s: thread %d: set its extended CPU state", rtask_name(th->task),
		            th->tid);
	ret = tracee_put_back(tracee);
	return ret < 0 ? fail(ret, "%s: thread %d: set its registers", rtask_name(th->task),
	                      th->tid)
	               : 0;
}

/* A leader that had exited while other threads lived does so again, as soon as it is let go. */
static int set_exited(struct rthread *th, uint64_t insn)
{
	const uint64_t args[6] = { th->task->img->exit_code >> 8 };
	struct tracee *tracee = &th->tracee;
	int ret;

	arch_regs_for_syscall(&tracee->regs, insn, SYS_exit, args);
	tracee->sigmask = ~UINT64_C(0);
	tracee->changed = true;
	ret = tracee_put_back(tracee);
	return ret < 0 ? fail(ret, "%s: have its main thread exit", rtask_name(th->task)) : 0;
}

static int finish_aspect(struct restore *r, struct rtask *t,
                         const struct restore_aspect_entry *entry)
{
	array_each (th, &t->threads) {
		const ProtobufCMessage *msg = aspect_record(r, entry->kind, (uint32_t)th->tid);
		int ret = msg ? entry->aspect->finish(r, th, msg) : 0;

		if (ret < 0)
			return fail(ret, "%s: %s", rtask_name(t), entry->name);
	}
	return 0;
}

static int set_task(struct restore *r, struct rtask *t, int64_t offset)
{
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < restore_naspects; i++)
		if (restore_aspects[i].aspect->finish)
			ret = finish_aspect(r, t, &restore_aspects[i]);
	if (ret == 0)
		ret = unmap_arena(r, t, offset);
	array_each (th, &t->threads)
		if (ret == 0)
			ret = th->img ? set_thread(th)
			              : set_exited(th,
			                           t->shares[TABLE_VM]->vdso + (uint64_t)offset);
	return ret;
}

static int wait_exited(const struct rtask *t)
{
	const struct timespec pause = { .tv_nsec = 50000 };
	char path[48];

	snprintf(path, sizeof(path), "/proc/%d/task/%d", t->pid, t->pid);
	while (!deadline_passed()) {
		auto_close int proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		struct proc_stat st;
		int ret = proc < 0 ? -errno : stat_read(proc, "stat", &st);

		if (ret < 0 || st.state == 'Z')
			return ret;
		nanosleep(&pause, NULL);
	}
	return -ETIMEDOUT;
}

/* Before anybody else runs, who has never seen it alive. */
static int exit_leader(const struct rtask *t)
{
	int ret;

	if (t->role != ROLE_TASK || !t->img->leader_exited)
		return 0;
	ret = tracee_release(&t->threads.v[0].tracee);
	if (ret == 0)
		ret = wait_exited(t);
	return ret < 0 ? fail(ret, "%s: wait until its main thread has exited", rtask_name(t)) : 0;
}

static int let_go(struct rtask *t)
{
	array_each (th, &t->threads) {
		int ret = tracee_release(&th->tracee);

		if (ret < 0 && ret != -ESRCH)
			return fail(ret, "%s: let thread %d go", rtask_name(t), th->tid);
	}
	return 0;
}

/* ---- all or nothing: if crtool dies, those who are traced are killed by the kernel, the others by a guard ---- */

/* Descriptors are certain where numbers are not. */
static int hold_tasks(void *arg)
{
	struct restore *r = arg;

	array_each (t, &r->tasks) {
		if (t->role == ROLE_TASK)
			t->pidfd = (int)syscall(SYS_pidfd_open, t->pid, 0);
		if (t->role == ROLE_TASK && t->pidfd < 0)
			return -errno;
	}
	return 0;
}

static void kill_tasks(void *arg)
{
	struct restore *r = arg;

	array_each (t, &r->tasks)
		if (t->role == ROLE_TASK)
			syscall(SYS_pidfd_send_signal, t->pidfd, SIGKILL, NULL, 0);
}

/* One process is killed as a whole in any case. */
static int guard_tree(struct guard *g, struct restore *r)
{
	static const struct guard_work work = { .prepare = hold_tasks, .undo = kill_tasks };
	size_t live = 0;
	int ret = 0;

	array_each (t, &r->tasks)
		live += t->role == ROLE_TASK;
	if (live > 1)
		ret = guard_begin(g, &work, r);
	return ret < 0 ? fail(ret, "fork the guard that makes the restore all or nothing%s",
	                      child_limits(ret))
	               : 0;
}

int commit(struct restore *r)
{
	int64_t offset = syscall_offset();
	struct guard guard = {};
	int ret;

	array_each (t, &r->tasks) {
		ret = t->role == ROLE_TASK ? set_task(r, t, offset) : 0;
		if (ret < 0)
			return ret;
	}
	ret = memory_commit(r);
	if (ret == 0)
		ret = files_finish(r);
	if (ret < 0)
		return ret;
	array_each (t, &r->tasks) {
		ret = exit_leader(t);
		if (ret < 0)
			return ret;
	}
	ret = job_stop(r, offset);
	if (ret == 0)
		ret = restore_tell(r, "post-restore");
	/* What comes next is seen by others: connections begin to talk. */
	if (ret == 0 && r->opt->ready)
		ret = r->opt->ready(r->opt->ready_arg);
	if (ret == 0)
		ret = restore_tell(r, "network-unlock");
	if (ret == 0)
		ret = restore_kinds_commit(r);
	if (ret == 0)
		ret = lazy_start(r);
	if (ret == 0)
		ret = restore_tell(r, "pre-resume");
	if (ret == 0)
		ret = guard_tree(&guard, r);
	if (ret == 0)
		ret = restore_aspects_let_go(r, offset);
	if (ret < 0)
		return ret;
	deadline_arm(0);
	array_each (t, &r->tasks)
		if (ret == 0 && t->role == ROLE_TASK)
			ret = let_go(t);
	if (ret == 0)
		leftover_keep(r);
	guard_end(&guard);
	if (ret < 0)
		return ret; /* all of it is killed */
	prctl(PR_SET_CHILD_SUBREAPER, 0);
	return 0;
}
