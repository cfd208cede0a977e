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

int restart_where(const struct task *t, pid_t tid, char ret_wchan[static RESTART_WCHAN])
{
	auto_free char *wchan = NULL;
	char path[48];
	ssize_t n;

	snprintf(path, sizeof(path), "task/%d/wchan", tid);
	n = file_read(t->proc, path, &wchan);
	if (n < 0)
		return (int)n;
	snprintf(ret_wchan, RESTART_WCHAN, "%s", wchan);
	return 0;
}

/* The call that it waits in; 0: none that is known, but where in the kernel. */
static long wait_for_call(const struct task *t, const struct thread *th,
                          char ret_wchan[static RESTART_WCHAN])
{
	const struct timespec moment = { .tv_nsec = MOMENT_NS };

	for (int i = 0; i < LOOKS || (i < LOOKS_RUN && runs(t, th)); i++) {
		long nr;

		nanosleep(&moment, NULL);
		if (restart_where(t, th->tid, ret_wchan) < 0)
			return 0;
		nr = arch_restarted_call(&th->tracee.regs, ret_wchan);
		if (nr)
			return nr;
	}
	return 0;
}

void restart_lose(const struct task *t, const struct thread *th, const char *where)
{
	lose("%s: thread %d: which call it was in (%s) when it was interrupted for the second "
	     "time: after a restore that fails with EINTR",
	     task_name(t), th->tid, where);
}

int restart_identify(struct task *t, struct thread *th)
{
	struct tracee *tracee = &th->tracee;
	char wchan[RESTART_WCHAN] = "not seen";
	int r;

	if (!arch_in_restart(&tracee->regs))
		return 0;
	if (tracee->stop_signal) {
		restart_lose(t, th, "it is stopped");
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
		restart_lose(t, th, wchan);
	return 1;
}
