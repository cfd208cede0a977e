/*
 * Who traces whom. A thread has one tracer: one that is traced already cannot be
 * seized, and a session of a debugger cannot be taken apart from outside, since
 * nothing tells what the debugger has been told of its tracee: whether it has
 * collected the last stop (PTRACE_GETSIGINFO is the tracer's alone), or the
 * options that it has set. That could be asked only by calls of the debugger itself.
 */
#include "dump/tracer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

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
static bool in_tree(const struct dump *d, pid_t tracer)
{
	array_each (t, &d->tasks)
		array_each (th, &t->threads)
			if (th->tid == tracer)
				return true;
	return false;
}

int tracer_check(const struct dump *d, const struct task *t, pid_t tid)
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
	name_pid(tracer, name, sizeof(name));
	if (tid != t->pid)
		snprintf(thread, sizeof(thread), "thread %d ", tid);
	if (in_tree(d, (pid_t)tracer))
		return fail(-EBUSY,
		            "%s: %sis being traced by %s, which is in the tree, too: sessions of "
		            "debuggers are not supported by this version; let that detach first",
		            task_name(t), thread, name);
	return fail(-EBUSY, "%s: %sis being traced by %s; let that detach first", task_name(t),
	            thread, name);
}
