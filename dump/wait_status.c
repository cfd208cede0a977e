/*
 * What a process has not yet been told of its children by wait(2): that one was
 * stopped, or that one goes on. Nothing shows it from outside, but waitid(2) with
 * WNOWAIT tells and takes nothing away; that we trace the child hides it not.
 * One call says that there is nothing, which is nearly always so. Zombies are the
 * tree's own business (dump/take.c).
 *
 * wait(2) is also what knows debuggers: with __WCLONE it waits for nobody but those
 * who are traced, and children that end with another signal than SIGCHLD. Who is
 * traced in the tree has been refused by now.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "dump/dump.h"
#include "dump/tracer.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "proto/wait_status.pb-c.h"

#define ASK        (WSTOPPED | WCONTINUED | WNOHANG | WNOWAIT | __WALL)
#define ASK_TRACED (WEXITED | WNOHANG | WNOWAIT | __WCLONE)

enum { OP_CHILDREN, OP_TRACED };

/* `check` asks nobody. */
static int wait_status_look(struct dump *d, struct task *t)
{
	return d->opt->all && t == d->tasks.v ? tracer_check_outside(d) : 0;
}

static int wait_status_ask(struct dump *d, struct thread *th, struct script *s, struct ask *ret)
{
	ret->at = script_alloc(s, sizeof(siginfo_t));
	ret->first = script_ask(s, SYS_waitid, P_ALL, 0, ret->at, ASK, 0);
	script_ask(s, SYS_waitid, P_ALL, 0, 0, ASK_TRACED, 0);
	return 0;
}

static int ask_about(struct task *t, struct task *child, uint64_t at)
{
	const uint64_t args[6] = { P_PID, (uint64_t)child->pid, at, ASK };
	siginfo_t si = {};
	int64_t result;
	int r = parasite_call(&mm_of(t)->parasite, SYS_waitid, args, &result);

	if (r == 0 && result == 0)
		r = pread_full(mm_of(t)->mem, &si, sizeof(si), (off_t)at);
	if (r < 0 || result < 0)
		return fail(r < 0 ? r : (int)result, "%s: ask what it has to be told of %s",
		            task_name(t), task_name(child));
	if (si.si_pid != child->pid)
		return 0;
	child->untold = si.si_code == CLD_CONTINUED ? UNTOLD_CONTINUED : UNTOLD_STOPPED;
	return 0;
}

static int wait_status_talk(struct dump *d, struct thread *th, const struct ask *ask)
{
	const siginfo_t *first = script_at(&th->script, ask->at);
	int64_t result = script_result(&th->script, ask->first + OP_CHILDREN);

	if (script_result(&th->script, ask->first + OP_TRACED) == 0) {
		int r = tracer_check_outside(d);

		if (r < 0)
			return r;
	}
	if (result < 0 && result != -ECHILD)
		return fail((int)result, "%s: waitid", task_name(th->task));
	if (result < 0 || !first->si_pid)
		return 0;
	for (struct task *c = th->task->children; c; c = c->sibling) {
		int r = c->state == TASK_ZOMBIE ? 0 : ask_about(th->task, c, ask->at);

		if (r < 0)
			return r;
	}
	return 0;
}

/* All that were told of are children of TH's, as nobody else was asked about. */
static int wait_status_take(struct dump *d, struct thread *th, const struct script *s,
                            const struct ask *ask)
{
	const siginfo_t *first = script_at(s, ask->at);
	auto_free uint32_t *stopped = NULL, *continued = NULL;
	Img__WaitStatus msg = IMG__WAIT_STATUS__INIT;
	size_t n = 0;

	if (script_result(s, ask->first + OP_CHILDREN) < 0 || !first->si_pid)
		return 0;
	for (const struct task *c = th->task->children; c; c = c->sibling)
		n++;
	stopped = calloc(n + 1, sizeof(*stopped));
	continued = calloc(n + 1, sizeof(*continued));
	if (!stopped || !continued)
		return -ENOMEM;
	for (const struct task *c = th->task->children; c; c = c->sibling) {
		if (c->untold == UNTOLD_STOPPED)
			stopped[msg.n_stopped++] = (uint32_t)c->pid;
		else if (c->untold == UNTOLD_CONTINUED)
			continued[msg.n_continued++] = (uint32_t)c->pid;
	}
	msg.stopped = stopped;
	msg.continued = continued;
	return image_put(d->out, KIND_wait_status, (uint32_t)th->task->pid, &msg.base);
}

const struct dump_aspect dump_wait_status = {
	.scope = SCOPE_PROCESS,
	.look = wait_status_look,
	.ask = wait_status_ask,
	.alike = true,
	.talk = wait_status_talk,
	.take = wait_status_take,
};
