#include "dump/restart.h"

#include <errno.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <time.h>

#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/procfs.h"

#define LOOKS     200
#define LOOKS_RUN 1000 /* at one that waits for a CPU, or uses it */
#define MOMENT_NS 50000

static bool runs(const struct task *t, const struct thread *th)
{
	struct proc_stat st;
	char path[32];

	snprintf(path, sizeof(path), "task/%d/stat", th->tid);
	return stat_read(t->proc, path, &st) == 0 && st.state == 'R';
}

#define WCHAN 40

/* The call that it waits in; 0: none that is known, but where in the kernel. */
static long wait_for_call(const struct task *t, const struct thread *th,
                          char ret_wchan[static WCHAN])
{
	const struct timespec moment = { .tv_nsec = MOMENT_NS };
	char path[48];

	snprintf(path, sizeof(path), "task/%d/wchan", th->tid);
	for (int i = 0; i < LOOKS || (i < LOOKS_RUN && runs(t, th)); i++) {
		auto_free char *wchan = NULL;
		long nr;

		nanosleep(&moment, NULL);
		if (file_read(t->proc, path, &wchan) < 0)
			return 0;
		snprintf(ret_wchan, WCHAN, "%s", wchan);
		nr = arch_restarted_call(&th->tracee.regs, wchan);
		if (nr)
			return nr;
	}
	return 0;
}

static void tell_unknown(const struct task *t, const struct thread *th, const char *wchan)
{
	lose("%s: thread %d: which call it was in (%s) when it was interrupted for the second "
	     "time: "
	     "after a restore that fails with EINTR",
	     task_name(t), th->tid, wchan);
}

int restart_identify(struct task *t, struct thread *th)
{
	struct tracee *tracee = &th->tracee;
	char wchan[WCHAN] = "not seen";
	int r;

	if (!arch_in_restart(&tracee->regs))
		return 0;
	if (tracee->stop_signal) {
		tell_unknown(t, th, "it is stopped");
		return 0;
	}
	if (ptrace(PTRACE_CONT, th->tid, NULL, NULL) < 0)
		return -errno;
	tracee->stopped = false;
	th->restarted = wait_for_call(t, th, wchan);
	r = tracee_interrupt(tracee);
	if (r == 0)
		r = tracee_wait_stop(tracee);
	if (r < 0)
		return r;
	if (!arch_in_restart(&tracee->regs))
		th->restarted = 0;
	else if (!th->restarted)
		tell_unknown(t, th, wchan);
	return 1;
}
