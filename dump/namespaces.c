/*
 * Namespaces are not carried yet, but for time: the tree must live in crtool's own. A thread may be in others
 * than its process, but for mounts, which takes directories of its own (fs.c), time, users and pids; and
 * a process or thread may have made a namespace for its children to come, and is itself in the old one.
 */
#include "dump/namespaces.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "dump/stages.h"
#include "dump/task.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/procfs.h"
#include "lib/task_facts.h"

static const char CHILDREN[] = "pid_for_children";

/* 1: the namespace NAME of ours, which is RET; 0: this kernel has none of that type. */
static int own_namespace(const char *name, struct stat *ret)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/ns/%s", name);
	return stat(path, ret) == 0;
}

/* How to get where T lives: by the OPTIONS of nsenter(1). */
static int refuse_elsewhere(const struct task *t, const char *first, const char *options)
{
	auto_free char *status = NULL;
	pid_t inside = file_read(t->proc, "status", &status) < 0 ? 0 : status_inner_pid(status);

	return fail(-ENOTSUP,
	            "%s: lives in another %s namespace than crtool, not supported by this version; "
	            "run crtool inside of it (nsenter -t %d%s crtool ...), where its pid is %d",
	            task_name(t), first, t->pid, options, inside ? inside : t->pid);
}

static int check_own(const struct task *t)
{
	static const struct {
		const char *name, *option;
	} all[] = { { "mnt", " -m" }, { "pid", " -p" },  { "net", " -n" },   { "ipc", " -i" },
		    { "uts", " -u" }, { "user", " -U" }, { "cgroup", " -C" } };
	const char *first = NULL;
	char options[32] = "";

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		struct stat theirs, ours;
		char path[16];

		if (!own_namespace(all[i].name, &ours))
			continue;
		snprintf(path, sizeof(path), "ns/%s", all[i].name);
		if (fstatat(t->proc, path, &theirs, 0) < 0)
			return fail(-errno, "%s: %s", task_name(t), path);
		if (theirs.st_ino == ours.st_ino)
			continue;
		first = first ? first : all[i].name;
		strcat(options, all[i].option);
	}
	return first ? refuse_elsewhere(t, first, options) : 0;
}

/* A pid namespace in which nobody lives yet cannot even be looked at. */
static int check_children(const struct task *t)
{
	struct stat own, children;

	if (fstatat(t->proc, "ns/pid", &own, 0) < 0)
		return fail(-errno, "%s: ns/pid", task_name(t));
	if (fstatat(t->proc, "ns/pid_for_children", &children, 0) < 0
	            ? errno == ENOENT && !task_has_ended(t)
	            : own.st_ino != children.st_ino)
		return fail(-ENOTSUP,
		            "%s: has made a pid namespace for its children to come, not supported "
		            "by this version",
		            task_name(t));
	return 0;
}

/* A time namespace is carried (its offsets, seal.c), if all live in the same one. */
static int check_time(const struct dump *d, const struct task *t)
{
	struct stat root, own, children;

	if (fstatat(d->tasks.v[0].proc, "ns/time", &root, 0) < 0 ||
	    fstatat(t->proc, "ns/time", &own, 0) < 0 ||
	    fstatat(t->proc, "ns/time_for_children", &children, 0) < 0)
		return errno == ENOENT ? 0 : fail(-errno, "%s: ns/time", task_name(t));
	if (own.st_ino != children.st_ino)
		return fail(-ENOTSUP,
		            "%s: has made a time namespace for its children to come, not supported "
		            "by this version",
		            task_name(t));
	if (own.st_ino != root.st_ino)
		return fail(-ENOTSUP,
		            "%s: lives in another time namespace than %s, not supported by this "
		            "version",
		            task_name(t), task_name(d->tasks.v));
	return 0;
}

/* ---- threads ---- */

static int check_thread(const struct task *t, pid_t tid)
{
	static const char *const names[] = { "net", "ipc", "uts", "cgroup", CHILDREN };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct stat process, thread;
		char path[64];

		snprintf(path, sizeof(path), "ns/%s", names[i]);
		if (fstatat(t->proc, path, &process, 0) < 0)
			continue;
		snprintf(path, sizeof(path), "task/%d/ns/%s", tid, names[i]);
		if (fstatat(t->proc, path, &thread, 0) < 0) {
			if (names[i] != CHILDREN)
				return 0; /* it has ended */
			thread.st_ino = 0;
		}
		if (thread.st_ino != process.st_ino)
			return fail(-ENOTSUP,
			            "%s: thread %d lives in another %s namespace than its process, "
			            "not supported by this version",
			            task_name(t), tid, names[i]);
	}
	return 0;
}

/* As the kernel tells of both at once. */
static bool is_same(const struct thread *a, const struct thread *b)
{
	return a->facts && b->facts && a->facts->v[FACT_NSPROXY] &&
	       a->facts->v[FACT_NSPROXY] == b->facts->v[FACT_NSPROXY];
}

static int check_threads(const struct task *t)
{
	int r = 0;

	array_each (th, &t->threads)
		if (r == 0 && !th->exited && th->tid != task_tid(t) &&
		    !is_same(th, &t->threads.v[t->headless]))
			r = check_thread(t, th->tid);
	return r;
}

int namespaces_check(const struct dump *d, const struct task *t)
{
	int r = check_own(t);

	if (r == 0)
		r = check_children(t);
	if (r == 0)
		r = check_time(d, t);
	return r == 0 && (d->opt->all || !tasks_many_threads(d)) ? check_threads(t) : r;
}

int namespaces_prepare(struct dump *d)
{
	int r = 0;

	array_each (t, &d->tasks)
		if (r == 0 && t->state != TASK_ZOMBIE && tasks_many_threads(d))
			r = check_threads(t);
	return r;
}
