/*
 * See dispatch.h. Who makes use of it catches SIGSYS, which few do. That a thread is in it is a bit of its task_struct.
 */
#include "dump/dispatch.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dump/tracer_flags.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/procfs.h"
#include "lib/task_facts.h"

int dispatch_fail(const struct thread *th)
{
	return fail(-ENOTSUP,
	            "%s: thread %d: system call user dispatch (PR_SET_SYSCALL_USER_DISPATCH), "
	            "which this kernel lets nobody read or hold up; that takes Linux 6.4",
	            task_name(th->task), th->tid);
}

/* Tried with a child of ours. */
static bool kernel_tells(void)
{
	struct tracee child = {};
	bool told = false;
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	if (pid < 0)
		return false;
	if (tracee_seize(&child, pid, 0) == 0 && tracee_interrupt(&child) == 0 &&
	    tracee_wait_stop(&child) == 0)
		told = !child.dispatch_hidden;
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
		;
	return told;
}

static bool catches(const struct task *t, int signal)
{
	auto_free char *status = NULL;
	uint64_t caught = 0;

	return file_read(t->proc, "status", &status) > 0 &&
	       status_u64(status, "SigCgt", 16, &caught) && caught >> (signal - 1) & 1;
}

int dispatch_check(struct dump *d, struct task *t)
{
	if (!catches(t, SIGSYS))
		return 0;
	if (!d->told_dispatch)
		d->told_dispatch = kernel_tells() ? 1 : -1;
	if (d->told_dispatch > 0)
		return 0;
	array_each (th, &t->threads) {
		struct task_facts facts;
		int r = tracer_facts(d, th->tid, &facts);

		if (r == 0 && task_facts_dispatched(&facts))
			return dispatch_fail(th);
		if (r == 0 || r == -ESRCH)
			continue;
		lose("%s: system call user dispatch, if it is in force: this kernel does not tell",
		     task_name(t));
		break;
	}
	return 0;
}
