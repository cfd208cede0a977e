/* Which threads cannot be made to run a script, although they stand still. */
#include <errno.h>
#include <stdio.h>

#include "dump/dump.h"
#include "dump/stages.h"
#include "dump/task.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/procfs.h"
#include "parasite/arch/arch.h"

int check_filters(const struct thread *th)
{
	struct task *t = th->task;
	auto_free char *status = NULL;
	uint64_t mode = 1;
	char path[48];

	if (th->tracee.suspend_seccomp)
		return 0;
	snprintf(path, sizeof(path), "task/%d/status", th->tid);
	if (file_read(t->proc, path, &status) >= 0)
		status_u64(status, "Seccomp", 10, &mode);
	return mode ? fail(-EPERM,
	                   "%s: thread %d is confined by seccomp, which may be suspended only with "
	                   "CAP_SYS_ADMIN",
	                   task_name(t), th->tid)
	            : 0;
}

static bool uses_keys(const struct task *mm)
{
	array_each (v, &mm->vmas)
		if (v->pkey)
			return true;
	return false;
}

/* The blob could not even use its own stack. */
static int check_key(const struct thread *th)
{
	int r = arch_denies_plain_memory(th->tid);

	if (r < 0)
		return fail(r, "%s: read the extended CPU state of thread %d", task_name(th->task),
		            th->tid);
	return r ? fail(-EBUSY,
	                "%s: thread %d keeps itself from all memory without a protection key just "
	                "now (PKRU), so that it cannot be asked anything; try again",
	                task_name(th->task), th->tid)
	         : 0;
}

int check_keys(struct task *t)
{
	int r = 0;

	if (uses_keys(mm_of(t)))
		array_each (th, &t->threads)
			if (r == 0 && !th->like)
				r = check_key(th);
	return r;
}

int check_door_is_free(struct dump *d, struct task *t)
{
	const struct task *mm = mm_of(t);

	array_each (th, &t->threads)
		if (mm->door &&
		    (arch_ip(&th->tracee.regs) - mm->door < ARCH_DOOR_SIZE ||
		     (mm->door_used && tracee_comes_back(&th->tracee, mm->door, ARCH_DOOR_SIZE))))
			return passing(
				d,
				fail(-EBUSY,
			             "%s: thread %d is still leaving a dump that was killed; try "
			             "again",
			             task_name(t), th->tid));
	return 0;
}

/* ---- afterwards ---- */

static int check_script(const struct task *t, const struct thread *th)
{
	int r = script_error(&th->script);
	size_t at = script_progress(&th->script);
	char text[256];

	if (r == 0 && at == th->script.ops.n - 1)
		return 0; /* it stands at its OP_STOP */
	if (at >= th->script.ops.n)
		return fail(-EPROTO, "%s: thread %d: script ended in disorder", task_name(t),
		            th->tid);
	op_format(&th->script.ops.v[at], &th->script, text, sizeof(text));
	/* Above 0: another answer than it must have. */
	return fail(r < 0 ? r : -EPROTO, "%s: thread %d: %s: %s", task_name(t), th->tid,
	            th->script.rooms.v[at], text);
}

int check_scripts(struct dump *d, struct task *t)
{
	array_each (th, &t->threads) {
		int r = th->like ? 0 : check_script(t, th);

		if (r < 0)
			return r;
	}
	return 0;
}
