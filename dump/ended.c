#include "dump/ended.h"

#include <errno.h>
#include <sys/wait.h>

#include "lib/deadline.h"

#define REST 9 /* times as long as it took */

bool ended_reap(const struct tracee *t)
{
	siginfo_t si = {};
	int status;

	if (!t->seized ||
	    waitid(P_PID, (id_t)t->tid, &si, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0 ||
	    si.si_pid != t->tid || si.si_code == CLD_TRAPPED || si.si_code == CLD_STOPPED)
		return false;
	return waitpid(t->tid, &status, WNOHANG | __WALL) == t->tid;
}

static size_t count_settled(const struct dump *d)
{
	size_t n = 0;

	array_each (t, &d->tasks)
		array_each (th, &t->threads)
			n += (size_t)th->tracee.seized + th->tracee.stopped;
	return n;
}

/* Too late to go on: whoever blocks us must not block us for ever, be he known or not. Stops are taken, too. */
static void take_all(void)
{
	siginfo_t si;

	do
		si.si_pid = 0;
	while (waitid(P_ALL, 0, &si, WEXITED | WNOHANG | __WCLONE) == 0 && si.si_pid);
}

static void take_known(struct ended *e)
{
	size_t before = e->settled;

	e->settled = count_settled(e->d);
	if (e->settled != before)
		return;
	array_each (t, &e->d->tasks)
		array_each (th, &t->threads)
			ended_reap(&th->tracee);
}

/* Were it rung for again before it is done, nothing else would ever go on. */
void ended_take(void *arg)
{
	struct ended *e = arg;
	uint64_t begun = clock_ns(), now;
	int saved = errno;

	if (deadline_passed())
		take_all();
	else if (e->steady && begun >= e->rest_until) {
		take_known(e);
		now = clock_ns();
		e->rest_until = now + REST * (now - begun);
	}
	errno = saved;
}
