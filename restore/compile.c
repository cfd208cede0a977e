/*
 * Every thread's way from "just forked" to "is the target" becomes a script:
 *
 *	leader:  heritage, forks, setsid, SESSION, forks |T| group |G| reap, BUILD |B| clones,
 *	         THREAD |0| PROCESS |1| LAST |2|
 *	others:  THREAD |0|         |1| LAST |2|
 *	zombie:  forks, setsid, forks |T| group |G| reap |B| exit
 *	helper:  the same without |B|
 *
 * |n| are barriers that the coordinator opens: at |1| it seizes all threads,
 * |2| is never opened: there they are taken over. A single process has no |T|,
 * and |G| only when files are opened there (late.c); |B| is there when tables are shared or
 * there are helpers.
 */
#include <errno.h>
#include <linux/ioprio.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/log.h"
#include "restore/creds.h"
#include "restore/job.h"
#include "restore/restore.h"
#include "restore/run.h"

#define THREAD_FLAGS (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD)

void emit_barrier(struct restore *r, struct script *s, enum barrier n)
{
	s->room = "barrier";
	script_op(s, OP_BARRIER, EXPECT_SUCCESS, 0, 0, (const uint64_t[6]){ n });
	r->shared->expected[n]++;
}

/*
 * All aspects of one phase for the records that OWNER has. A record belongs to
 * a process or to a thread; those of a process stand at its leader, whose tid
 * is the pid, so that one look finds both.
 */
static int emit_phase(struct restore *r, struct rthread *th, enum phase phase)
{
	for (size_t i = 0; i < restore_naspects; i++) {
		const struct restore_aspect_entry *entry = &restore_aspects[i];
		const ProtobufCMessage *msg;
		int ret;

		if (!entry->aspect->emit[phase])
			continue;
		msg = aspect_record(r, entry->kind, (uint32_t)th->tid);
		if (!msg)
			continue;
		th->script.room = entry->name;
		ret = entry->aspect->emit[phase](r, th, msg, &th->script);
		if (ret < 0)
			return fail(ret, "%s: %s", rtask_name(th->task), entry->name);
	}
	return 0;
}

/* ---- the tree ---- */

/* TH runs its own script on its own stack; a TID of 0 is any. Returns the index of the op. */
static void emit_clone(struct script *s, const struct rthread *th, uint64_t flags, int exit_signal)
{
	pid_t tid = th->tid;
	struct clone_args args = {
		.flags = flags,
		.exit_signal = (uint64_t)exit_signal,
		.stack = th->script.stack - ARENA_STACK,
		.stack_size = ARENA_STACK,
	};
	uint64_t at;

	if (tid) {
		args.set_tid = script_put(s, &tid, sizeof(tid));
		args.set_tid_size = 1;
	}
	at = script_put(s, &args, sizeof(args));
	script_op(s, OP_CLONE, tid ? EXPECT_VALUE : EXPECT_SUCCESS, tid, SYS_clone3,
	          (const uint64_t[6]){ at, sizeof(args), th->script.head });
}

/* What the child has in common with the one who forks it. */
static uint64_t shared_tables(const struct rtask *t)
{
	uint64_t flags = 0;

	for (int table = TABLE_VM; table < TABLES; table++)
		if (t->shares[table] && t->shares[table] == t->forker->shares[table])
			flags |= table_types[table].clone;
	return flags;
}

static uint64_t thread_tables(const struct rthread *th)
{
	const Img__Thread *img = th->img;

	return THREAD_FLAGS | (img && img->own_sysvsem ? 0 : CLONE_SYSVSEM) |
	       (img && img->shares_io ? CLONE_IO : 0);
}

/* CLONE_IO shares what is there: setting a priority makes it. As it is, for restore/sched.c. */
static void emit_io_context(struct script *s, uint64_t flags)
{
	if (flags & CLONE_IO)
		script_call(s, SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0,
		            syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0));
}

static void emit_forks(const struct rtask *t, struct script *s, bool before_setsid)
{
	for (const struct rtask *c = t->forks; c; c = c->next) {
		uint64_t flags = shared_tables(c) | (c->as_sibling ? CLONE_PARENT : 0);

		if (c->before_setsid != before_setsid)
			continue;
		emit_io_context(s, flags);
		/* clone3(2): the signal of a sibling is that of the forker */
		emit_clone(s, c->threads.v, flags, c->as_sibling ? 0 : c->exit_signal);
	}
}

/*
 * The death of the parent is ours, until the coordinator has seized us; if it
 * died before we could say so, we have another parent by now.
 */
static int emit_start(struct restore *r, struct rtask *t, struct script *s)
{
	int ret = 0;

	s->room = "tree";
	if (!t->orphan) {
		script_call(s, SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
		script_want(s, t->parent ? t->parent->pid : getpid(), SYS_getppid);
	}
	if (t->reaps)
		script_call(s, SYS_prctl, PR_SET_CHILD_SUBREAPER, 1);
	for (size_t i = 0; ret == 0 && t->forks && i < restore_naspects; i++)
		if (restore_aspects[i].aspect->before_forks)
			ret = restore_aspects[i].aspect->before_forks(r, t, s);
	s->room = "tree";
	emit_forks(t, s, true);
	if (t->sid == t->pid && t->pid)
		script_call(s, SYS_setsid);
	if (ret == 0 && t->sid == t->pid && t->role == ROLE_TASK)
		ret = emit_phase(r, t->threads.v, PHASE_SESSION);
	s->room = "tree";
	emit_forks(t, s, false);
	if (t->pgid == t->pid && t->sid != t->pid)
		script_call(s, SYS_setpgid, 0, 0);
	return ret;
}

/* In a shell job, the group of the root may be that of the shell's: crtool's now. */
static bool is_callers_group(const struct restore *r, pid_t pgid)
{
	const struct rtask *root = r->tasks.v;

	return r->opt->shell_job && pgid == root->pgid && !rtask_find(r, pgid);
}

static void emit_group(struct restore *r, struct rtask *t, struct script *s)
{
	emit_barrier(r, s, BARRIER_TREE);
	s->room = "tree";
	if (t->pid && t->pgid != t->pid && t->sid != t->pid && !is_callers_group(r, t->pgid))
		script_call(s, SYS_setpgid, 0, t->pgid);
	emit_barrier(r, s, BARRIER_GROUPS);
	s->room = "tree";
}

/* What it was told of long ago is no news: the signals in SET are thrown away. */
static void emit_no_news(struct script *s, uint64_t set)
{
	const struct timespec none = {};
	uint64_t at = set ? script_put(s, &set, sizeof(set)) : 0;

	for (uint64_t left = set; left; left &= left - 1)
		script_ask(s, SYS_rt_sigtimedwait, at, 0, script_put(s, &none, sizeof(none)),
		           sizeof(set));
}

static uint64_t signal_bit(int sig)
{
	return sig ? UINT64_C(1) << (sig - 1) : 0;
}

static void emit_reap_helper(const struct rtask *h, struct script *s)
{
	script_call(s, SYS_wait4, h->pid ? h->pid : -1, 0, h->pid ? __WALL : (int)__WCLONE, 0);
}

/*
 * The helpers that T has forked have ended. One of no number is reaped as whoever ends without a
 * SIGCHLD: when the others are gone, and before zombies are made (BARRIER_BUILT).
 */
static void emit_reap(struct restore *r, struct rtask *t, struct script *s)
{
	uint64_t set = 0;

	for (const struct rtask *h = t->forks; h; h = h->next)
		if (h->role == ROLE_HELPER && h->pid) {
			emit_reap_helper(h, s);
			set |= signal_bit(h->exit_signal);
		}
	for (const struct rtask *h = t->forks; h; h = h->next)
		if (h->role == ROLE_HELPER && !h->pid)
			emit_reap_helper(h, s);
	emit_no_news(s, set);
}

/* In the leader of T, when no helper is left: it has its parent, and zombies are there, unwaited for. */
static void emit_family(const struct rtask *t, struct script *s)
{
	uint64_t set = 0;

	s->room = "tree";
	if (t->orphan)
		script_want(s, t->parent->pid, SYS_getppid);
	for (struct rtask *c = t->children; c; c = c->sibling) {
		if (c->role != ROLE_ZOMBIE)
			continue;
		script_call(s, SYS_waitid, P_PID, c->pid, 0, WEXITED | WNOWAIT | __WALL, 0);
		set |= signal_bit(c->exit_signal);
	}
	emit_no_news(s, set);
}

/* Tables that are shared are built, and helpers gone. */
static void emit_built(struct restore *r, struct script *s)
{
	if (r->sharing || r->nhelpers)
		emit_barrier(r, s, BARRIER_BUILT);
}

/* End as the zombie did: by exit or by a signal; a core is not dumped again. */
static void emit_end(struct restore *r, const struct rtask *t, struct script *s)
{
	const struct rlimit no_core = {};
	const uint64_t none = 0;
	int status = t->img ? (int)t->img->exit_code : 0;

	s->room = "zombie";
	if (t->img)
		script_call(s, SYS_prctl, PR_SET_NAME, script_string(s, t->img->comm));
	if (t->img)
		creds_end_as(r, t, s);
	if (WTERMSIG(status)) {
		script_call(s, SYS_setrlimit, RLIMIT_CORE,
		            script_put(s, &no_core, sizeof(no_core)));
		script_call(s, SYS_rt_sigprocmask, SIG_SETMASK, script_put(s, &none, sizeof(none)),
		            0, sizeof(none));
		script_call(s, SYS_kill, t->pid, WTERMSIG(status));
	}
	script_call(s, SYS_exit_group, WEXITSTATUS(status));
}

/* ---- threads ---- */

static void emit_thread_state(struct rthread *th, struct script *s)
{
	const Img__Thread *img = th->img;
	uint64_t used;

	s->room = "thread";
	if (!img) { /* a leader that exits at the end, of which only the name will be seen */
		script_call(s, SYS_prctl, PR_SET_NAME, script_string(s, th->task->img->comm));
		return;
	}
	if (img->tid_address)
		script_want(s, th->tid, SYS_set_tid_address, img->tid_address);
	if (img->robust_list)
		script_call(s, SYS_set_robust_list, img->robust_list, img->robust_list_size);
	if (img->rseq)
		script_call(s, SYS_rseq, img->rseq, img->rseq_size, 0, img->rseq_sig);
	script_call(s, SYS_prctl, PR_SET_NAME, script_string(s, img->comm));
	used = arch_xstate_used(img->xstate.data, img->xstate.len);
	if (arch_xstate_to_touch(used))
		script_op(s, OP_TOUCH, EXPECT_SUCCESS, 0, 0,
		          (const uint64_t[6]){ arch_xstate_to_touch(used) });
}

static int compile_thread(struct restore *r, struct rthread *th)
{
	bool leader = th == th->task->threads.v;
	struct script *s = &th->script;
	int ret;

	emit_thread_state(th, s);
	ret = emit_phase(r, th, PHASE_THREAD);
	emit_barrier(r, s, BARRIER_THREADS);
	if (leader)
		job_emit(th->task, s);
	if (ret == 0 && leader)
		ret = emit_phase(r, th, PHASE_PROCESS);
	emit_barrier(r, s, BARRIER_SEIZE);
	s->room = "last";
	if (leader) {
		script_call(s, SYS_prctl, PR_SET_PDEATHSIG, 0);
		job_emit_quiet(th->task, s);
	}
	if (ret == 0)
		ret = emit_phase(r, th, PHASE_LAST);
	emit_barrier(r, s, BARRIER_END);
	return ret;
}

static int compile_target(struct restore *r, struct rtask *t)
{
	struct rthread *leader = t->threads.v;
	int ret = late_make(r, t, &leader->script);

	if (ret == 0)
		ret = emit_phase(r, leader, PHASE_BUILD);

	emit_built(r, &leader->script);
	emit_family(t, &leader->script);
	leader->script.room = "clone";
	for (size_t i = 1; i < t->threads.n; i++) {
		uint64_t flags = thread_tables(&t->threads.v[i]);

		emit_io_context(&leader->script, flags);
		emit_clone(&leader->script, &t->threads.v[i], flags, 0);
	}
	array_each (th, &t->threads)
		if (ret == 0)
			ret = compile_thread(r, th);
	return ret;
}

static int finish_scripts(struct restore *r, struct rtask *t)
{
	array_each (th, &t->threads) {
		int ret = script_finish(&th->script, (uint64_t)r->shared, 0, NULL, 0);

		if (ret < 0)
			return ret;
	}
	return 0;
}

static int compile_task(struct restore *r, struct rtask *t)
{
	struct script *s = &t->threads.v[0].script;
	bool tree = r->tasks.n + r->nhelpers > 1;
	int ret = emit_start(r, t, s);

	if (tree) {
		emit_group(r, t, s);
		emit_reap(r, t, s);
	} else if (r->lates) {
		emit_barrier(r, s, BARRIER_GROUPS);
	}
	if (t->role == ROLE_ZOMBIE)
		emit_built(r, s);
	if (ret == 0 && t->role == ROLE_TASK)
		ret = compile_target(r, t);
	else
		emit_end(r, t, s);
	if (ret == 0)
		ret = finish_scripts(r, t);
	return ret < 0 ? fail(ret, "%s: write its scripts", rtask_name(t)) : 0;
}

/* Heads and stacks first: a script names those that it clones. */
static int start_scripts(struct restore *r, struct rtask *t)
{
	array_each (th, &t->threads) {
		int ret;

		script_init(&th->script, &r->arena);
		ret = script_head(&th->script);
		if (ret < 0)
			return fail(ret, "%s: arena", rtask_name(t));
	}
	return 0;
}

int compile_scripts(struct restore *r)
{
	static int (*const steps[])(struct restore * r, struct rtask * t) = { start_scripts,
		                                                              compile_task };

	for (size_t step = 0; step < ARRAY_SIZE(steps); step++) {
		array_each (t, &r->tasks) {
			int ret = steps[step](r, t);

			if (ret < 0)
				return ret;
		}
		for (size_t i = 0; i < r->nhelpers; i++) {
			int ret = steps[step](r, &r->helpers[i]);

			if (ret < 0)
				return ret;
		}
	}
	return 0;
}
