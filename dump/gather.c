/* Everything that /proc shows from outside, read again now that nothing moves. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "dump/dump.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/procfs.h"

static int gather_thread(struct thread *th)
{
	char path[48];
	ssize_t len;

	snprintf(path, sizeof(path), "task/%d/status", th->tid);
	free(th->status);
	th->status = NULL;
	len = file_read(th->task->proc, path, &th->status);
	if (len < 0)
		return fail((int)len, "%s: read the status of thread %d", task_name(th->task),
		            th->tid);
	if (arch_regs_compat(&th->tracee.regs))
		return fail(-ENOTSUP,
		            "%s: thread %d runs 32-bit code, not supported by this version",
		            task_name(th->task), th->tid);
	return 0;
}

static int gather_task(struct dump *d, struct task *t)
{
	int r = 0;

	if (t->state == TASK_ZOMBIE)
		return 0;
	array_each (th, &t->threads)
		if (r == 0)
			r = gather_thread(th);
	if (r < 0)
		return r;
	if (t->mem < 0)
		t->mem = openat(t->proc, "mem", O_RDWR | O_CLOEXEC);
	if (t->mem < 0)
		return fail(-errno, "%s: open /proc/%d/mem", task_name(t), t->pid);
	r = vmas_read(t);
	if (r < 0)
		return fail(r, "%s: read its mappings", task_name(t));
	return files_gather(d, t);
}

int gather_tasks(struct dump *d)
{
	files_done(d);
	array_each (t, &d->tasks) {
		int r = gather_task(d, t);

		if (r < 0)
			return r;
	}
	array_each (t, &d->tasks) {
		int r = t->state == TASK_ZOMBIE ? 0 : files_check(d, t);

		if (r < 0)
			return r;
	}
	return 0;
}
