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
