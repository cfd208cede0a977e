/*
 * Signal dispositions, dump half. status tells which signals are caught or
 * ignored, but the handlers with their flags and masks only rt_sigaction(2)
 * inside, one call per signal. A default action can have flags too
 * (SA_NOCLDWAIT), so all are asked.
 */

#include <sys/syscall.h>

#include "dump/dump.h"
#include "lib/kernel.h"
#include "proto/sigaction.pb-c.h"

static int sigaction_ask(struct dump *d, struct thread *th, struct script *s, struct ask *ret)
{
	const size_t size = sizeof(struct kernel_sigaction);

	ret->at = script_alloc(s, KERNEL_NSIG * size);
	ret->first = s->ops.n;
	for (uint64_t sig = 1; sig <= KERNEL_NSIG; sig++)
		script_call(s, SYS_rt_sigaction, sig, 0, ret->at + (sig - 1) * size,
		            sizeof(uint64_t));
	return 0;
}

static bool is_plain(const struct kernel_sigaction *sa)
{
	return !sa->handler && !sa->flags && !sa->restorer && !sa->mask;
}

static int sigaction_take(struct dump *d, struct thread *th, const struct script *s,
                          const struct ask *ask)
{
	const struct kernel_sigaction *sa = script_at(s, ask->at);
	Img__Sigaction msg = IMG__SIGACTION__INIT;
	Img__Sigaction__Action actions[KERNEL_NSIG], *list[KERNEL_NSIG];

	msg.actions = list;
	for (int i = 0; i < KERNEL_NSIG; i++) {
		Img__Sigaction__Action *a = &actions[msg.n_actions];

		if (is_plain(&sa[i]))
			continue;
		img__sigaction__action__init(a);
		a->signal = (uint32_t)i + 1;
		a->handler = sa[i].handler;
		a->flags = sa[i].flags;
		a->restorer = sa[i].restorer;
		a->mask = sa[i].mask;
		list[msg.n_actions++] = a;
	}
	if (!msg.n_actions)
		return 0;
	return image_put(d->out, KIND_sigaction, (uint32_t)th->task->pid, &msg.base);
}

const struct dump_aspect dump_sigaction = {
	.scope = SCOPE_PROCESS,
	.table = TABLE_SIGHAND,
	.ask = sigaction_ask,
	.alike = true,
	.late = true,
	.take = sigaction_take,
};
