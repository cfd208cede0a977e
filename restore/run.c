/*
 * Forking the tree and waiting for it at the barriers. Until the end of this
 * stage a failure of any task is a failure of all.
 */
#include "restore/run.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/child.h"
#include "lib/cleanup.h"
#include "lib/deadline.h"
#include "lib/fd.h"
#include "lib/kernel.h"
#include "lib/log.h"
#include "lib/procfs.h"
#include "lib/progress.h"
#include "restore/lazy.h"
#include "restore/memory_sums.h"
#include "restore/numbers.h"
#include "restore/restore.h"

#define GLANCE_NS 20000000 /* between looks whether the tree still lives */
#define GLANCES   10       /* between looks at all of it */

static int explain_op(const struct rthread *th, int error)
{
	size_t at = script_progress(&th->script);
	char text[300];

	if (at >= th->script.ops.n)
		return fail(error, "%s: thread %d", rtask_name(th->task), th->tid);
	if (error == -EEXIST && th->script.ops.v[at].code == OP_CLONE)
		return number_explain((pid_t)th->script.ops.v[at].want);
	op_format(&th->script.ops.v[at], &th->script, text, sizeof(text));
	if (error > 0) /* another answer than it must have */
		return fail(-EPROTO, "%s: thread %d: %s: %s, and is %d", rtask_name(th->task),
		            th->tid, th->script.rooms.v[at], text, error);
	/* The command line is not to blame for what an image says. */
	if (error == -EINVAL)
		return fail(-EBADMSG, "%s: thread %d: %s: %s: %s", rtask_name(th->task), th->tid,
		            th->script.rooms.v[at], text, strerror(EINVAL));
	return fail(error, "%s: thread %d: %s: %s", rtask_name(th->task), th->tid,
	            th->script.rooms.v[at], text);
}

/* A task says what failed in its script head. */
static int explain_failure(struct restore *r)
{
	array_each (t, &r->tasks)
		array_each (th, &t->threads)
			if (script_error(&th->script))
				return explain_op(th, script_error(&th->script));
	array_each (t, &r->tasks)
		array_each (filler, &t->fillers)
			if (script_error(filler))
				return fail(script_error(filler), "%s: read its pages",
				            rtask_name(t));
	for (size_t i = 0; i < r->nhelpers; i++)
		if (script_error(&r->helpers[i].threads.v[0].script))
			return explain_op(r->helpers[i].threads.v,
			                  script_error(&r->helpers[i].threads.v[0].script));
	return fail(-EPROTO, "a task failed and did not say why");
}

/* It died without a word: a fault in its script, or somebody killed it. */
static int explain_death(struct restore *r, int status)
{
	const struct rthread *leader = r->tasks.v[0].threads.v;
	size_t at = script_progress(&leader->script);
	char text[300] = "";

	if (at < leader->script.ops.n)
		op_format(&leader->script.ops.v[at], &leader->script, text, sizeof(text));
	if (WIFSIGNALED(status))
		return fail(-ECANCELED, "%s: killed by signal %d (%s) while being restored, at %s",
		            rtask_name(leader->task), WTERMSIG(status), strsignal(WTERMSIG(status)),
		            text);
	return fail(-ECANCELED, "%s: ended while being restored, at %s", rtask_name(leader->task),
	            text);
}

/* One that should live and does not; its parent, who restores itself, does not tell. */
static const struct rtask *find_dead(const struct restore *r)
{
	array_each (t, &r->tasks) {
		struct proc_stat st;
		char path[32];

		if (t->role != ROLE_TASK || t->img->leader_exited)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/stat", t->pid);
		if (stat_read(AT_FDCWD, path, &st) == 0 && st.state == 'Z')
			return t;
	}
	return NULL;
}

/* From time to time, as it takes time. */
static int look_for_dead(struct restore *r)
{
	const struct rtask *dead = ++r->glances % GLANCES == 0 ? find_dead(r) : NULL;

	if (!dead)
		return 0;
	if (__atomic_load_n(&r->shared->failed, __ATOMIC_SEQ_CST))
		return explain_failure(r);
	return fail(-ECANCELED, "%s: ended while being restored", rtask_name(dead));
}

/* Who is seized stands when a SIGCONT comes to his process, as one that was pending does: on he goes. */
static void pass_over_stops(const struct restore *r)
{
	array_each (t, &r->tasks)
		array_each (th, &t->threads) {
			const struct tracee *tracee = &th->tracee;
			siginfo_t si = {};

			if (tracee->seized &&
			    waitid(P_PID, (id_t)tracee->tid, &si, WSTOPPED | WNOHANG | __WALL) ==
			            0 &&
			    si.si_pid && si.si_status >> 8 == PTRACE_EVENT_STOP)
				ptrace(PTRACE_CONT, tracee->tid, NULL, NULL);
		}
}

static int look_after(struct restore *r)
{
	int status;
	pid_t pid;

	if (__atomic_load_n(&r->shared->failed, __ATOMIC_SEQ_CST))
		return explain_failure(r);
	pass_over_stops(r);
	pid = waitpid(r->root, &status, WNOHANG);
	if (pid == r->root && !WIFSTOPPED(status)) {
		r->root = 0;
		return __atomic_load_n(&r->shared->failed, __ATOMIC_SEQ_CST)
		               ? explain_failure(r)
		               : explain_death(r, status);
	}
	if (pid == r->root && status >> 16 == PTRACE_EVENT_STOP) /* since we passed over those */
		ptrace(PTRACE_CONT, pid, NULL, NULL);
	if (deadline_passed())
		return fail(-ETIMEDOUT,
		            "the tree was not restored in time; --timeout gives it longer");
	return look_for_dead(r);
}

/* What is resident of the tree, in MiB: its memory is what takes long. */
static void show_progress(const struct restore *r)
{
	uint64_t pages = 0;

	array_each (t, &r->tasks) {
		auto_free char *statm = NULL;
		char path[32];

		snprintf(path, sizeof(path), "/proc/%d/statm", t->pid);
		if (file_read(AT_FDCWD, path, &statm) > 0 && strchr(statm, ' '))
			pages += strtoull(strchr(statm, ' '), NULL, 10);
	}
	progress_set(pages * r->images->manifest->page_size >> 20);
}

static uint64_t stored_mib(const struct restore *r)
{
	uint64_t sum = 0;

	for (size_t i = 1; i < r->images->manifest->n_files; i++)
		sum += r->images->manifest->files[i]->size;
	return sum >> 20;
}

static int wait_barrier(struct restore *r, enum barrier n)
{
	const struct timespec glance = { .tv_nsec = GLANCE_NS };
	uint32_t *word = &r->shared->arrived[n], here;

	while ((here = __atomic_load_n(word, __ATOMIC_SEQ_CST)) < r->shared->expected[n]) {
		int ret = look_after(r);

		if (ret < 0)
			return ret;
		if (progress_wanted())
			show_progress(r);
		syscall(SYS_futex, word, FUTEX_WAIT, here, &glance, NULL, 0);
	}
	return __atomic_load_n(&r->shared->failed, __ATOMIC_SEQ_CST) ? explain_failure(r) : 0;
}

static void open_barrier(struct restore *r, enum barrier n)
{
	__atomic_store_n(&r->shared->stage, n + 1u, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &r->shared->stage, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static int explain_clone(pid_t pid, int error)
{
	if (error == EEXIST)
		return number_explain(pid);
	if (error == EPERM)
		return fail(-EPERM,
		            "fork as pid %d (needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN)", pid);
	return fail(-error, "fork as pid %d%s", pid, child_limits(-error));
}

/*
 * A daemon whose session is led by nobody any more: somebody with the leader's
 * number makes it, clones the root as his sibling and is gone. The pid of the
 * root, 0 in the root, or -errno explained.
 */
static long clone_in_session(pid_t sid, struct clone_args *args)
{
	const pid_t tid = *(const pid_t *)args->set_tid;
	struct clone_args leader = { .exit_signal = SIGCHLD,
		                     .set_tid = (uint64_t)&sid,
		                     .set_tid_size = 1 };
	long pid = clone_when_free(&leader);
	int status;

	if (pid < 0)
		return explain_clone(sid, errno);
	if (pid == 0) {
		args->flags |= CLONE_PARENT;
		args->exit_signal = 0; /* the same as of this one */
		setsid();
		pid = clone_when_free(args);
		if (pid == 0)
			return 0;
		_exit(pid < 0 ? errno : 0);
	}
	while (waitpid((pid_t)pid, &status, 0) < 0)
		if (errno != EINTR)
			return fail(-errno, "wait for the leader of session %d", sid);
	if (!WIFEXITED(status))
		return fail(-ECANCELED, "the leader of session %d was killed", sid);
	return WEXITSTATUS(status) ? explain_clone(tid, WEXITSTATUS(status)) : tid;
}

static long clone_alone(struct clone_args *args)
{
	long pid = clone_when_free(args);

	return pid < 0 ? explain_clone(*(const pid_t *)args->set_tid, errno) : pid;
}

/* Its signals stay blocked until it is the target; handlers of ours are none of its business. */
static int fork_root(struct restore *r)
{
	struct rtask *t = r->tasks.v;
	const struct script *s = &t->threads.v[0].script;
	pid_t tid = t->pid;
	struct clone_args args = { .flags = CLONE_CLEAR_SIGHAND,
		                   .exit_signal = SIGCHLD,
		                   .set_tid = (uint64_t)&tid,
		                   .set_tid_size = 1 };
	const struct kernel_sigaction plain = {};
	sigset_t all, old;
	long pid;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	pid = t->sid != t->pid && !r->opt->shell_job ? clone_in_session(t->sid, &args)
	                                             : clone_alone(&args);
	if (pid == 0) {
		/*
		 * CLONE_CLEAR_SIGHAND leaves ignored what is ignored here. By the plain call: the C
		 * library would leave flags behind, which a program can see.
		 */
		for (int sig = 1; sig <= KERNEL_NSIG; sig++)
			syscall(SYS_rt_sigaction, sig, &plain, NULL, sizeof(uint64_t));
		arch_enter_blob(r->arena.base, s->head, s->stack);
	}
	sigprocmask(SIG_SETMASK, &old, NULL);
	if (pid < 0)
		return (int)pid;
	r->root = (pid_t)pid;
	return 0;
}

/* Call FN for every thread that becomes a target, until one fails. */
static int each_target(struct restore *r, int (*fn)(struct tracee *t))
{
	array_each (t, &r->tasks) {
		if (t->role != ROLE_TASK)
			continue;
		array_each (th, &t->threads) {
			int ret = fn(&th->tracee);

			if (ret < 0)
				return fail(ret, "%s: take over thread %d", rtask_name(t), th->tid);
		}
	}
	return 0;
}

static int seize_all(struct restore *r)
{
	array_each (t, &r->tasks) {
		if (t->role != ROLE_TASK)
			continue;
		array_each (th, &t->threads) {
			int ret = tracee_seize(&th->tracee, th->tid, PTRACE_O_EXITKILL);

			if (ret < 0)
				return fail(ret, "%s: seize thread %d", rtask_name(t), th->tid);
		}
	}
	return 0;
}

static char *list_children(void)
{
	char *list = NULL;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	return file_read(AT_FDCWD, path, &list) < 0 ? NULL : list;
}

int run_scripts(struct restore *r)
{
	int ret;

	progress_begin("restore", stored_mib(r), "MiB");
	deadline_arm(r->opt->timeout_ms);
	/* What falls off the tree while it is made falls to us, so that a roll-back finds it. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	r->strangers = list_children();
	ret = clocks_enter(r);
	if (ret == 0)
		ret = fork_root(r);
	for (enum barrier n = BARRIER_TREE; ret == 0 && n < BARRIER_END; n++) {
		ret = wait_barrier(r, n);
		if (ret == 0 && n == BARRIER_GROUPS)
			ret = restore_aspects_begin(r);
		if (ret == 0 && n == BARRIER_GROUPS)
			ret = late_open(r);
		if (ret == 0 && n == BARRIER_LAZY)
			ret = lazy_take(r);
		if (ret == 0 && n == BARRIER_THREADS)
			ret = readers_judge(r);
		if (ret == 0 && n == BARRIER_SEIZE)
			ret = seize_all(r);
		if (ret == 0)
			open_barrier(r, n);
	}
	if (ret == 0)
		ret = wait_barrier(r, BARRIER_END);
	if (ret == 0)
		ret = each_target(r, tracee_interrupt);
	if (ret == 0)
		ret = each_target(r, tracee_wait_stop);
	progress_end();
	return ret;
}

static bool lists(const char *list, pid_t pid)
{
	for (char *end; list && *list; list = end) {
		if ((pid_t)strtol(list, &end, 10) == pid)
			return true;
		if (end == list)
			break;
	}
	return false;
}

/*
 * All children that we have by now, the tree and what fell off it, but not those
 * that we were started with (a shell that called exec has some). How many.
 */
static int kill_children(const struct restore *r)
{
	auto_free char *list = list_children();
	int killed = 0;

	for (char *p = list, *end; p && *p; p = end) {
		pid_t pid = (pid_t)strtol(p, &end, 10);

		if (end == p)
			break;
		if (!lists(r->strangers, pid) && kill(pid, SIGKILL) == 0)
			killed++;
	}
	return killed;
}

void restore_rollback(struct restore *r)
{
	if (r->root <= 0)
		return;
	deadline_arm(0);
	/* threads that we trace are reported one by one, processes that we forked when they are gone */
	while (kill_children(r) > 0)
		if (waitpid(-1, NULL, __WALL) < 0 && errno != EINTR)
			break;
	r->root = 0;
}
