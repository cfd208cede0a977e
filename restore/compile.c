/*
 * Every thread's way from "just forked" to "is the target" becomes a script:
 *
 *	leader: start, BUILD, its threads are cloned, THREAD, |0| PROCESS |1| LAST |2|
 *	others:                                       THREAD, |0|         |1| LAST |2|
 *
 * |n| are barriers that the coordinator opens: at |1| it seizes all threads,
 * |2| is never opened: there they are taken over.
 */
#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "lib/log.h"
#include "restore/restore.h"
#include "restore/run.h"

static void emit_barrier(struct restore *r, struct script *s, unsigned n)
{
	s->room = "barrier";
	script_op(s, OP_BARRIER, EXPECT_SUCCESS, 0, 0, (const uint64_t[6]){ n });
	r->shared->expected[n]++;
}

/* All aspects of one phase for the records that OWNER has. */
static int emit_phase(struct restore *r, struct rthread *th, uint32_t owner, enum phase phase)
{
	for (size_t i = 0; i < restore_naspects; i++) {
		const struct restore_aspect_entry *entry = &restore_aspects[i];
		const ProtobufCMessage *msg;
		int ret;

		if (!entry->aspect->emit[phase])
			continue;
		msg = aspect_record(r, entry->kind, owner);
		if (!msg)
			continue;
		th->script.room = entry->name;
		ret = entry->aspect->emit[phase](r, th, msg, &th->script);
		if (ret < 0)
			return fail(ret, "%s: %s", rtask_name(th->task), entry->name);
	}
	return 0;
}

/*
 * A record belongs to a process or to a thread; those of a process stand at its
 * leader, whose tid is the pid, so that one look finds both.
 */
static int emit_thread_phase(struct restore *r, struct rthread *th, enum phase phase)
{
	return emit_phase(r, th, (uint32_t)th->tid, phase);
}

/* The coordinator's death is ours, until it has seized us; a session or group of our own. */
static void emit_start(struct rtask *t, struct script *s)
{
	s->room = "start";
	script_call(s, SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
	if (t->img->sid == t->img->pid)
		script_call(s, SYS_setsid);
	else if (t->img->pgid == t->img->pid)
		script_call(s, SYS_setpgid, 0, 0);
}

static void emit_thread_state(struct rthread *th, struct script *s)
{
	const Img__Thread *img = th->img;
	uint64_t used = arch_xstate_used(img->xstate.data, img->xstate.len);

	s->room = "thread";
	if (img->tid_address)
		script_want(s, th->tid, SYS_set_tid_address, img->tid_address);
	if (img->robust_list)
		script_call(s, SYS_set_robust_list, img->robust_list, img->robust_list_size);
	if (img->rseq)
		script_call(s, SYS_rseq, img->rseq, img->rseq_size, 0, img->rseq_sig);
	script_call(s, SYS_prctl, PR_SET_NAME, script_string(s, img->comm));
	if (arch_xstate_to_touch(used))
		script_op(s, OP_TOUCH, EXPECT_SUCCESS, 0, 0,
		          (const uint64_t[6]){ arch_xstate_to_touch(used) });
}

static void emit_clone(struct rthread *leader, struct rthread *th)
{
	struct script *s = &leader->script;
	pid_t tid = th->tid;
	struct clone_args args = {
		.flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
		         CLONE_SYSVSEM,
		.stack = th->script.stack - ARENA_STACK,
		.stack_size = ARENA_STACK,
		.set_tid = script_put(s, &tid, sizeof(tid)),
		.set_tid_size = 1,
	};
	uint64_t at = script_put(s, &args, sizeof(args));

	script_op(s, OP_CLONE, EXPECT_VALUE, tid, SYS_clone3,
	          (const uint64_t[6]){ at, sizeof(args), th->script.head });
}

static int compile_thread(struct restore *r, struct rthread *th)
{
	bool leader = th == th->task->threads.v;
	struct script *s = &th->script;
	int ret;

	emit_thread_state(th, s);
	ret = emit_thread_phase(r, th, PHASE_THREAD);
	emit_barrier(r, s, BARRIER_THREADS);
	if (ret == 0 && leader)
		ret = emit_thread_phase(r, th, PHASE_PROCESS);
	emit_barrier(r, s, BARRIER_SEIZE);
	s->room = "last";
	if (leader)
		script_call(s, SYS_prctl, PR_SET_PDEATHSIG, 0);
	if (ret == 0)
		ret = emit_thread_phase(r, th, PHASE_LAST);
	emit_barrier(r, s, BARRIER_END);
	if (ret == 0)
		ret = script_finish(s, (uint64_t)r->shared, 0, NULL, 0);
	return ret < 0 ? fail(ret, "%s: thread %d: write its script", rtask_name(th->task), th->tid)
	               : 0;
}

static int compile_task(struct restore *r, struct rtask *t)
{
	struct rthread *leader = t->threads.v;
	int ret;

	array_each (th, &t->threads) {
		script_init(&th->script, &r->arena);
		ret = script_head(&th->script);
		if (ret < 0)
			return fail(ret, "%s: arena", rtask_name(t));
	}
	emit_start(t, &leader->script);
	ret = emit_phase(r, leader, (uint32_t)t->pid, PHASE_BUILD);
	if (ret < 0)
		return ret;
	leader->script.room = "clone";
	for (size_t i = 1; i < t->threads.n; i++)
		emit_clone(leader, &t->threads.v[i]);
	array_each (th, &t->threads) {
		ret = compile_thread(r, th);
		if (ret < 0)
			return ret;
	}
	return 0;
}

int compile_scripts(struct restore *r)
{
	array_each (t, &r->tasks) {
		int ret = compile_task(r, t);

		if (ret < 0)
			return ret;
	}
	return 0;
}
