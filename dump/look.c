/*
 * Before anything is stopped: what is this tree, and does it hold anything
 * that cannot be saved? A dump that is refused here has cost the target nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include "dump/dispatch.h"
#include "dump/dump.h"
#include "dump/foresee.h"
#include "dump/lazy.h"
#include "dump/namespaces.h"
#include "dump/share.h"
#include "dump/stages.h"
#include "dump/task.h"
#include "dump/together.h"
#include "dump/tracer.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/kernel.h"
#include "lib/log.h"
#include "lib/procfs.h"

#define LOOKS      20         /* at a tree that changes all the time */
#define GLANCES    7          /* until what is in the way is believed */
#define GLANCE_NS  1000000    /* from the first to the second; then twice as long each time */
#define PF_KTHREAD 0x00200000 /* include/linux/sched.h */

/* crtool would stop itself, or the shell that waits for it. */
static int check_not_ancestor(pid_t tree)
{
	for (pid_t pid = getpid(); pid > 1;) {
		auto_close int proc = -1;
		struct proc_stat st;
		char path[32];

		if (pid == tree)
			return fail(-EINVAL,
			            "task %d: crtool itself runs below it; "
			            "start crtool from outside of the tree",
			            tree);
		snprintf(path, sizeof(path), "/proc/%d", pid);
		proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (proc < 0 || stat_read(proc, "stat", &st) < 0)
			return 0;
		pid = (pid_t)st.field[STAT_PPID];
	}
	return 0;
}

static int check_is_process(pid_t pid)
{
	auto_free char *status = NULL;
	uint64_t tgid = 0;
	char path[32], name[64];

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	if (file_read(AT_FDCWD, path, &status) <= 0 || !status_u64(status, "Tgid", 10, &tgid) ||
	    tgid == (uint64_t)pid)
		return 0; /* or there is none: told by task_add() */
	name_pid(tgid, name, sizeof(name));
	return fail(-EINVAL, "task %d: is a thread of process %s; give that", pid, name);
}

static int check_kind_of_task(const struct task *t)
{
	struct proc_stat st;
	int r = stat_read(t->proc, "stat", &st);

	if (r < 0)
		return fail(r, "%s: read /proc/%d/stat", task_name(t), t->pid);
	if (st.field[STAT_FLAGS] & PF_KTHREAD)
		return fail(-ENOTSUP, "%s: is a kernel thread", task_name(t));
	if (t->state == TASK_ZOMBIE && !t->parent)
		return fail(-ENOTSUP,
		            "%s: is a zombie, there is nothing left to save; "
		            "its parent %d has not waited for it",
		            task_name(t), t->ppid);
	return 0;
}

/* A file of /proc is its owner's, and opening it is a look into the process. */
static const char *wanted_capability(void)
{
	return own_capability(CAP_SYS_PTRACE) && !own_capability(CAP_DAC_OVERRIDE)
	               ? "CAP_DAC_OVERRIDE"
	               : "CAP_SYS_PTRACE";
}

/* The first number of an auxiliary vector is small: if a value is next to it, it is one of 32 bits. */
static int check_64_bit(const struct task *t)
{
	auto_close int fd = openat(t->proc, "auxv", O_RDONLY | O_CLOEXEC);
	uint64_t type;

	if (fd < 0)
		return errno == EACCES || errno == EPERM
		               ? fail(-errno, "%s: open /proc/%d/auxv (needs %s)", task_name(t),
		                      t->pid, wanted_capability())
		               : 0; /* it has no memory any more */
	if (read_full(fd, &type, sizeof(type)) == 0 && type > UINT32_MAX)
		return fail(-ENOTSUP, "%s: is a 32-bit program, not supported by this version",
		            task_name(t));
	return 0;
}

static int check_session(const struct dump *d, const struct task *t)
{
	char name[64];

	if (task_find(d, t->sid) || d->opt->shell_job)
		return 0;
	/* A session whose leader is gone, as daemons have it, is made again. */
	if (kill(t->sid, 0) < 0 && errno == ESRCH)
		return 0;
	name_pid((uint64_t)t->sid, name, sizeof(name));
	return fail(-ENOTSUP,
	            "%s: belongs to the session of %s, which is not in the tree; "
	            "-j saves it as a shell job",
	            task_name(t), name);
}

static bool is_fork(const char *call)
{
	char *end;
	long nr = strtol(call, &end, 10);

	return end != call && (nr == SYS_vfork || nr == SYS_clone || nr == SYS_clone3);
}

/* Is CHILD the one that thread TID of its parent waits for in vfork(2)? */
static bool waits_in_vfork(const struct task *parent, pid_t tid, pid_t child)
{
	auto_free char *call = NULL, *list = NULL;
	char path[48];
	struct proc_stat st;

	snprintf(path, sizeof(path), "task/%d/stat", tid);
	if (stat_read(parent->proc, path, &st) < 0 || st.state != 'D')
		return false;
	snprintf(path, sizeof(path), "task/%d/syscall", tid);
	if (file_read(parent->proc, path, &call) <= 0 || !is_fork(call))
		return false;
	snprintf(path, sizeof(path), "task/%d/children", tid);
	if (file_read(parent->proc, path, &list) <= 0)
		return false;
	for (char *at = list, *end; *at; at = end) {
		if ((pid_t)strtol(at, &end, 10) == child)
			return true;
		if (end == at)
			break;
	}
	return false;
}

/* vfork(2) lends the memory until the child calls execve(2) or ends, and its caller cannot be stopped before. */
static int check_no_vfork(const struct task *t)
{
	const struct task *parent = t->parent;

	if (!parent || t->shares[TABLE_VM] != parent->shares[TABLE_VM])
		return 0;
	array_each (th, &parent->threads)
		if (waits_in_vfork(parent, th->tid, t->pid))
			return fail(-ENOTSUP,
			            "%s: waits in vfork(2) for %s to call execve(2) or to end, and "
			            "cannot be stopped there; try again when that has happened",
			            task_name(parent), task_name(t));
	return 0;
}

/* Pointers into d->tasks, which may move from here on. */
static void forget_shares(struct dump *d)
{
	array_each (t, &d->tasks)
		for (int table = 0; table < TABLES; table++)
			t->shares[table] = NULL;
}

static int look_shares(struct dump *d)
{
	int r = tables_find(d);

	array_each (t, &d->tasks) {
		if (r == 0 && t->state != TASK_ZOMBIE)
			r = check_no_vfork(t);
		if (r == 0)
			r = dump_obstacle(d, tables_check(d, t));
	}
	if (r == 0)
		r = dump_obstacle(d, tables_compare_threads(d));
	if (r == 0)
		r = dump_obstacle(d, tree_foresee(d));
	forget_shares(d);
	return r;
}

/* Whatever it has open is asked through descriptors of ours (file_steal()). */
static int check_headless(const struct task *t)
{
	if (!t->headless || t->pidfd >= 0)
		return 0;
	return fail(
		-ENOTSUP,
		"%s: its main thread has exited, and this kernel lets nobody have descriptors of "
		"the others (pidfd_open(2), PIDFD_THREAD, Linux 6.9)",
		task_name(t));
}

static int look_task(struct dump *d, struct task *t)
{
	int r = check_kind_of_task(t);

	/* Of other threads the freeze finds out. */
	if (r == 0)
		r = tracer_check(d, t, t->state == TASK_ZOMBIE ? t->pid : task_tid(t));
	if (r < 0 || t->state == TASK_ZOMBIE)
		return r;
	r = check_headless(t);
	if (r == 0)
		r = check_64_bit(t);
	if (r == 0)
		r = namespaces_check(d, t);
	if (r == 0)
		r = check_session(d, t);
	return r;
}

static int look_resources(struct dump *d, struct task *t)
{
	int r = vmas_look(d, t);

	if (r < 0)
		return fail(r, "%s: read its mappings", task_name(t));
	r = dump_obstacle(d, dispatch_check(d, t));
	if (r == 0)
		r = lazy_await(d, t);
	if (r == 0)
		r = files_check(d, t);
	for (size_t i = 0; r == 0 && i < dump_naspects; i++)
		if (dump_aspects[i].aspect->look)
			r = dump_obstacle(d, dump_aspects[i].aspect->look(d, t));
	return r;
}

static int find_tasks(struct dump *d)
{
	pid_t pid = d->opt->tree;
	int r = census_take(&d->census); /* first: who is not in it is looked for again */

	if (r < 0)
		return fail(r, "read /proc");
	r = task_add(d, pid, SIZE_MAX);
	if (r == -ESRCH)
		return fail(r, "task %d: there is none; give a number that ps -e shows", pid);
	if (r < 0)
		return fail(r, "task %d", pid);
	for (size_t i = 0; i < d->tasks.n; i++) {
		r = task_find_threads(&d->tasks.v[i]);
		if (r >= 0)
			r = task_behead(&d->tasks.v[i]);
		if (r >= 0)
			r = task_find_children(d, i);
		if (r < 0)
			return fail(r, "%s: find its threads and children",
			            task_name(&d->tasks.v[i]));
	}
	return 0;
}

/* STEP over all tasks. One that ends meanwhile takes its obstacles with it; the freeze finds what it left. */
static int look_each(struct dump *d, int (*step)(struct dump *d, struct task *t))
{
	for (size_t i = 0; i < d->tasks.n; i++) {
		struct task *t = &d->tasks.v[i];
		int r = t->state == TASK_ZOMBIE && t->parent ? 0 : step(d, t);

		if (r >= 0)
			continue;
		if (!t->parent || !task_has_ended(t))
			return r;
		log_forget();
		t->state = TASK_ZOMBIE;
	}
	return 0;
}

static int look_once(struct dump *d)
{
	int r = find_tasks(d);

	if (r >= 0)
		r = netns_follow(d);
	if (r >= 0)
		together_look(d);
	if (r >= 0)
		r = look_each(d, look_task);
	if (r >= 0)
		r = look_shares(d);
	/* A pipe of one task may end in another: all of them before any check. */
	if (r >= 0)
		r = look_each(d, files_gather);
	if (r >= 0)
		r = look_each(d, look_resources);
	return r < 0 ? r : 0;
}

/* Somebody ended under our eyes, and it was not the root: what was seen is worth nothing. */
static bool has_changed(const struct dump *d)
{
	if (!d->tasks.n || task_has_ended(&d->tasks.v[0]))
		return false;
	array_each (t, &d->tasks)
		if (task_has_ended(t))
			return true;
	return false;
}

/*
 * A tree that runs is never seen as a whole: while we read on, a child is
 * forked that has the other end of a pipe, or shares its parent's memory until
 * it has called execve(2); descriptors are closed and go elsewhere. What is in
 * the way is believed when the same was there several times in a row.
 */
struct glances {
	char seen[512]; /* that, in words */
	int same, all;
};

static bool may_pass(const struct dump *d, struct glances *g)
{
	const struct timespec moment = { .tv_nsec = GLANCE_NS << g->all };
	const char *now = log_failure() ? log_failure() : "";

	if (!d->tasks.n || task_has_ended(&d->tasks.v[0]))
		return false;
	if (strncmp(g->seen, now, sizeof(g->seen) - 1) != 0)
		g->same = 0;
	snprintf(g->seen, sizeof(g->seen), "%s", now);
	if (++g->same == GLANCES)
		return false;
	g->all += g->all < GLANCES;
	nanosleep(&moment, NULL);
	return true;
}

int look_tree(struct dump *d)
{
	int r = check_not_ancestor(d->opt->tree);
	struct glances glances = {};

	if (r == 0)
		r = check_is_process(d->opt->tree);
	if (r < 0)
		return r;
	r = look_once(d);
	for (int i = 0; r < 0 && i < LOOKS && (has_changed(d) || may_pass(d, &glances)); i++) {
		files_done(d);
		tasks_done(d);
		log_forget();
		r = look_once(d);
	}
	return r;
}
