/*
 * The tree in /proc. Threads are the entries of /proc/PID/task, children those
 * of task/TID/children: a child belongs to the thread that forked it, so all
 * threads have to be asked (proc(5), CONFIG_PROC_CHILDREN).
 */
#include "dump/peek.h"
#include "dump/task.h"
#include "dump/writers.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/procfs.h"

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL /* 6.9 */
#endif

#define VDSO_MAX 65536

#define PF_IO_WORKER   0x10 /* of the kernel's task_struct, which /proc shows */
#define PF_USER_WORKER 0x4000
#define MANY_THREADS   64

const char *task_name(const struct task *t)
{
	static _Thread_local char names[4][48];
	static _Thread_local unsigned next;
	char *name = names[next++ % ARRAY_SIZE(names)];

	snprintf(name, sizeof(names[0]), "task %d (%s)", t->pid, t->comm);
	return name;
}

/* /proc/PID, whoever of its threads lives. */
static int task_home(const struct task *t)
{
	return t->home >= 0 ? t->home : t->proc;
}

/* Its own exit code: /proc/PID/stat shows that of the process, if it is stopped. */
static int leader_code(struct task *t)
{
	struct proc_stat st;
	char path[48];
	int r;

	snprintf(path, sizeof(path), "task/%d/stat", t->pid);
	r = stat_read(task_home(t), path, &st);
	if (r < 0)
		return r == -ENOENT ? -ESRCH : r;
	t->exit_code = (int)st.field[STAT_EXIT_CODE];
	return 0;
}

int task_refresh(struct task *t)
{
	struct proc_stat st;
	int r = stat_read(task_home(t), "stat", &st);

	if (r < 0)
		return r == -ENOENT ? -ESRCH : r;
	t->stat = st;
	snprintf(t->comm, sizeof(t->comm), "%.15s", st.comm);
	t->ppid = (pid_t)st.field[STAT_PPID];
	t->pgid = (pid_t)st.field[STAT_PGRP];
	t->sid = (pid_t)st.field[STAT_SESSION];
	t->exit_signal = (int)st.field[STAT_EXIT_SIGNAL];
	t->exit_code = (int)st.field[STAT_EXIT_CODE];
	if (st.state == 'Z' && st.field[STAT_NUM_THREADS] <= 1)
		t->state = TASK_ZOMBIE;
	t->headless = st.state == 'Z' && st.field[STAT_NUM_THREADS] > 1;
	return t->headless ? leader_code(t) : 0;
}

int task_stat(const struct task *t, struct proc_stat *ret)
{
	if (t->home >= 0)
		return stat_read(t->proc, "stat", ret);
	*ret = t->stat;
	return 0;
}

/*
 * /proc/PID of a leader that has exited has no mappings and no descriptors, but
 * /proc/TID of any other thread has (and so has its pidfd, since 6.9; before, there are
 * pidfds of leaders alone, see file_steal()).
 */
int task_behead(struct task *t)
{
	auto_close int proc = -1, pidfd = -1;
	char path[32];

	if (!t->headless)
		return 0;
	array_each (th, &t->threads)
		th->exited |= th->tid == t->pid;
	snprintf(path, sizeof(path), "/proc/%d", task_tid(t));
	proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	pidfd = (int)syscall(SYS_pidfd_open, task_tid(t), PIDFD_THREAD);
	if (pidfd < 0 && errno != EINVAL)
		return -errno;
	if (t->home < 0)
		t->home = take_fd(&t->proc);
	closep(&t->proc);
	t->proc = take_fd(&proc);
	if (pidfd >= 0) {
		closep(&t->pidfd);
		t->pidfd = take_fd(&pidfd);
	}
	return 0;
}

static int task_open(struct task *t)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d", t->pid);
	t->proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (t->proc < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	return task_refresh(t);
}

/* Opened when somebody needs it first, by one of several threads. The number is still that of who has t->proc. */
int task_pidfd(struct task *t)
{
	int fd = __atomic_load_n(&t->pidfd, __ATOMIC_ACQUIRE), none = -1;
	auto_close int own = -1;

	if (fd >= 0)
		return fd;
	own = (int)syscall(SYS_pidfd_open, t->pid, 0);
	if (own < 0)
		return -errno;
	if (faccessat(t->proc, "stat", F_OK, 0) < 0)
		return -ESRCH;
	if (!__atomic_compare_exchange_n(&t->pidfd, &none, own, false, __ATOMIC_ACQ_REL,
	                                 __ATOMIC_ACQUIRE))
		return none;
	return take_fd(&own);
}

int task_add(struct dump *d, pid_t pid, size_t parent)
{
	const struct task *were = d->tasks.v;
	struct task *t = array_add(&d->tasks);
	int r;

	if (!t)
		return -ENOMEM;
	*t = (struct task){ .pid = pid,
		            .parent_at = parent,
		            .proc = -1,
		            .home = -1,
		            .pidfd = -1,
		            .mem = -1,
		            .pagemap = -1,
		            .copy = { .proc = -1, .mem = -1 } };
	r = task_open(t);
	if (r == 0)
		r = tasks_index_last(d);
	if (r < 0) {
		task_done(t);
		d->tasks.n--;
	}
	if (d->tasks.v != were)
		tasks_relink(d);
	else if (r == 0)
		t->parent = parent == SIZE_MAX ? NULL : &d->tasks.v[parent];
	return r;
}

bool task_has_ended(const struct task *t)
{
	struct proc_stat st;
	int r = stat_read(task_home(t), "stat", &st);

	if (r < 0 || t->state == TASK_ZOMBIE) /* reaped */
		return r < 0;
	return st.state == 'Z' && st.field[STAT_NUM_THREADS] <= 1;
}

/*
 * The kernel lists threads in the order of their creation, which is ours: the
 * search goes on where the last one ended.
 */
static bool knows_thread(const struct task *t, size_t had, pid_t tid, size_t *cursor)
{
	for (size_t i = 0; i < had; i++) {
		size_t at = (*cursor + i) % had;

		if (t->threads.v[at].tid == tid) {
			*cursor = at + 1;
			return true;
		}
	}
	return false;
}

static int add_thread(struct task *t, pid_t tid)
{
	struct thread *th = array_add(&t->threads);

	if (!th)
		return -ENOMEM;
	th->tid = tid;
	th->task = t;
	th->status_fd = -1;
	return 0;
}

/*
 * Threads that the kernel has made to work on requests of io_uring: they are never in
 * user space, and a request that one of them waits for would fail if it were stopped.
 */
static bool is_kernel_worker(int dir, const char *tid)
{
	auto_free char *comm = NULL;
	struct proc_stat st;
	char path[32];

	snprintf(path, sizeof(path), "%.10s/comm", tid);
	if (file_read(dir, path, &comm) < 0 || strncmp(comm, "iou-", 4) != 0)
		return false;
	snprintf(path, sizeof(path), "%.10s/stat", tid);
	return stat_read(dir, path, &st) == 0 &&
	       st.field[STAT_FLAGS] & (PF_IO_WORKER | PF_USER_WORKER);
}

void thread_done(struct thread *th)
{
	script_done(&th->script);
	free(th->status);
	closep(&th->status_fd);
	peek_done(th);
}

int task_find_threads(struct task *t)
{
	auto_dir DIR *dir = NULL;
	auto_close int fd = openat(task_home(t), "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	size_t had = t->threads.n, cursor = 0;
	struct dirent *de;

	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	dir = fdopendir(fd);
	if (!dir)
		return -errno;
	take_fd(&fd);
	while ((errno = 0, de = readdir(dir))) {
		pid_t tid = (pid_t)strtol(de->d_name, NULL, 10);

		if (tid <= 0 || knows_thread(t, had, tid, &cursor) ||
		    (tid != t->pid && is_kernel_worker(dirfd(dir), de->d_name)))
			continue;
		if (add_thread(t, tid) < 0)
			return -ENOMEM;
	}
	/* An exited reader: ESRCH in the middle of the list. */
	return errno ? -errno : (int)(t->threads.n - had);
}

/* Of the thread TID. */
static int add_children(struct dump *d, size_t at, pid_t tid, const char *list)
{
	int added = 0;

	for (char *end; *list; list = end) {
		pid_t pid = (pid_t)strtol(list, &end, 10);
		int r;

		if (end == list)
			break;
		if (pid <= 0 || task_find(d, pid))
			continue;
		r = task_add(d, pid, at);
		if (r < 0 && r != -ESRCH)
			return r;
		added += r == 0;
		if (r == 0 && tid != d->tasks.v[at].pid)
			d->tasks.v[d->tasks.n - 1].forked_by = tid;
	}
	return added;
}

int task_find_children(struct dump *d, size_t at)
{
	int added = 0;

	for (size_t i = 0; i < d->tasks.v[at].threads.n; i++) {
		pid_t tid = d->tasks.v[at].threads.v[i].tid;
		auto_free char *list = NULL;
		char path[48];
		ssize_t len;
		int r;

		snprintf(path, sizeof(path), "task/%d/children", tid);
		len = file_read(task_home(&d->tasks.v[at]), path, &list);
		if (len == -ENOENT || len == -ESRCH)
			continue; /* the thread has gone meanwhile */
		r = len < 0 ? (int)len : add_children(d, at, tid, list);
		if (r < 0)
			return r;
		added += r;
	}
	return added;
}

bool tasks_many_threads(const struct dump *d)
{
	size_t threads = 0;

	for (size_t i = 0; i < d->tasks.n && threads <= MANY_THREADS; i++)
		threads += d->tasks.v[i].threads.n;
	return threads > MANY_THREADS;
}

/* If WHO is a child of a task of the tree: add it, 1. */
static int adopt(struct dump *d, const struct inhabitant *who)
{
	auto_close int proc = -1;
	const struct task *parent;
	struct proc_stat st;
	char path[32];
	int r;

	if (task_find(d, who->pid))
		return 0;
	snprintf(path, sizeof(path), "/proc/%d", who->pid);
	proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc < 0 || stat_read(proc, "stat", &st) < 0)
		return 0; /* gone again */
	parent = task_find(d, (pid_t)st.field[STAT_PPID]);
	if (!parent)
		return 0;
	r = task_add(d, who->pid, (size_t)(parent - d->tasks.v));
	return r == -ESRCH ? 0 : r < 0 ? r : 1;
}

int tasks_find_newborn(struct dump *d)
{
	auto_(census_done) struct census now = {};
	int r = census_take(&now), added = 0, round;

	do {
		round = 0;
		for (size_t i = 0; r >= 0 && i < now.all.n; i++) {
			if (census_knows(&d->census, &now.all.v[i]))
				continue;
			r = adopt(d, &now.all.v[i]);
			round += r;
		}
		added += round;
	} while (r >= 0 && round > 0); /* children of those that were just found */
	return r < 0 ? r : added;
}

void tasks_relink(struct dump *d)
{
	array_each (t, &d->tasks) {
		t->parent = t->parent_at == SIZE_MAX ? NULL : &d->tasks.v[t->parent_at];
		t->children = NULL;
		array_each (th, &t->threads) {
			th->task = t;
			th->script.arena = &t->arena; /* if it is written already */
		}
	}
	for (size_t i = d->tasks.n; i-- > 0;) {
		struct task *t = &d->tasks.v[i];

		if (!t->parent)
			continue;
		t->sibling = t->parent->children;
		t->parent->children = t;
	}
}

int task_find_syscall(struct task *t)
{
	const struct vma *vdso = vmas_vdso(t);
	static char code[VDSO_MAX];
	struct iovec local = { code, sizeof(code) }, remote;
	ssize_t n, at;
	size_t door;

	if (!vdso)
		return fail(-ENOTSUP, "%s: has unmapped its vDSO, not supported by this version",
		            task_name(t));
	remote = (struct iovec){ (void *)vdso->start, vdso->end - vdso->start };
	n = process_vm_readv(task_tid(t), &local, 1, &remote, 1, 0);
	if (n < 0)
		return fail(-errno, "%s: read its vDSO", task_name(t));
	at = arch_find_syscall(code, (size_t)n);
	if (at < 0)
		return fail(-ENOTSUP, "%s: its vDSO holds no system call instruction",
		            task_name(t));
	t->syscall_insn = vdso->start + (uint64_t)at;
	t->door = arch_door_place(code, (size_t)n, &door) ? vdso->start + door : 0;
	t->door_used = t->door && code[door];
	return 0;
}

int task_open_mem(struct task *t)
{
	if (t->mem < 0)
		t->mem = openat(t->proc, "mem", O_RDWR | O_CLOEXEC);
	return t->mem < 0
	               ? fail(-errno, "%s: open /proc/%d/mem (of others: needs CAP_DAC_OVERRIDE)",
	                      task_name(t), t->pid)
	               : 0;
}

void task_done(struct task *t)
{
	array_each (th, &t->threads)
		thread_done(th);
	array_done(&t->threads);
	free(t->facts);
	vmas_done(t);
	array_done(&t->bound);
	array_done(&t->fds);
	arena_done(&t->arena);
	closep(&t->proc);
	closep(&t->home);
	closep(&t->pidfd);
	closep(&t->mem);
	closep(&t->pagemap);
	closep(&t->copy.proc);
	closep(&t->copy.mem);
	writers_free(t);
}

void tasks_done(struct dump *d)
{
	array_each (t, &d->tasks)
		task_done(t);
	array_done(&d->tasks);
	tasks_index_done(d);
	census_done(&d->census);
}
