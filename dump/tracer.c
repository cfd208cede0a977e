/*
 * Who traces whom. A thread has one tracer: one that is traced already cannot be
 * seized. If the tracer is in the tree it is made to let it go (tracees.c).
 */
#include "dump/tracer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dump/tracees.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/procfs.h"

void name_pid(uint64_t pid, char *buf, size_t size)
{
	auto_free char *comm = NULL;
	char path[48];

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	if (file_read(AT_FDCWD, path, &comm) > 0)
		comm[strcspn(comm, "\n")] = '\0';
	snprintf(buf, size, "%d (%s)", (int)pid, comm ? comm : "?");
}

/* TracerPid is a thread, as debuggers of several threads have it. */
static const struct task *in_tree(const struct dump *d, pid_t tracer)
{
	array_each (t, &d->tasks)
		array_each (th, &t->threads)
			if (th->tid == tracer)
				return t;
	return NULL;
}

bool tracer_is_own(pid_t tid)
{
	auto_free char *status = NULL;
	uint64_t tracer = 0;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	return file_read(AT_FDCWD, path, &status) > 0 &&
	       status_u64(status, "TracerPid", 10, &tracer) && (pid_t)tracer == gettid();
}

int tracer_check(struct dump *d, struct task *t, pid_t tid)
{
	auto_free char *status = NULL;
	char path[48], name[64], thread[32] = "";
	uint64_t tracer = 0;
	ssize_t len;

	snprintf(path, sizeof(path), "task/%d/status", tid);
	len = file_read(t->proc, path, &status);
	if (len < 0)
		return fail((int)len, "%s: read /proc/%d/%s", task_name(t), t->pid, path);
	if (!status_u64(status, "TracerPid", 10, &tracer) || !tracer)
		return 0;
	if (in_tree(d, (pid_t)tracer))
		return tracees_look(d, t, tid, (pid_t)tracer);
	name_pid(tracer, name, sizeof(name));
	/* Of a crtool that was killed a moment ago: it undoes that, and is gone. */
	d->passing |= strstr(name, "(" GUARD_COMM ")") != NULL;
	if (tid != t->pid)
		snprintf(thread, sizeof(thread), "thread %d ", tid);
	return fail(-EBUSY, "%s: %sis being traced by %s; let that detach first", task_name(t),
	            thread, name);
}

/* ---- the other way round: somebody of the tree traces who is outside ---- */

static int check_outsider(const struct dump *d, const char *pid, const char *tid)
{
	auto_free char *status = NULL;
	char path[64], name[64];
	const struct task *t;
	uint64_t tracer = 0;

	snprintf(path, sizeof(path), "/proc/%.10s/task/%.10s/status", pid, tid);
	if (file_read(AT_FDCWD, path, &status) <= 0 ||
	    !status_u64(status, "TracerPid", 10, &tracer) || !tracer)
		return 0;
	t = in_tree(d, (pid_t)tracer);
	if (!t)
		return 0;
	name_pid((uint64_t)strtol(tid, NULL, 10), name, sizeof(name));
	return fail(-EBUSY, "%s: traces %s, which is outside of the tree; let it detach first",
	            task_name(t), name);
}

static int check_threads(const struct dump *d, const char *pid)
{
	auto_dir DIR *dir = NULL;
	char path[32];
	struct dirent *de;
	int r = 0;

	snprintf(path, sizeof(path), "/proc/%.10s/task", pid);
	dir = opendir(path);
	while (r == 0 && dir && (de = readdir(dir)))
		if (de->d_name[0] != '.')
			r = check_outsider(d, pid, de->d_name);
	return r;
}

int tracer_check_outside(const struct dump *d)
{
	auto_dir DIR *dir = opendir("/proc");
	struct dirent *de;
	int r = 0;

	if (!dir)
		return fail(-errno, "read /proc");
	while (r == 0 && (de = readdir(dir))) {
		pid_t pid = (pid_t)strtol(de->d_name, NULL, 10);

		if (pid > 0 && !task_find(d, pid))
			r = check_threads(d, de->d_name);
	}
	return r;
}
