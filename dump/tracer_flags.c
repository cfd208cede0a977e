#include "dump/tracer_flags.h"

#include <errno.h>
#include <stdlib.h>

#include "dump/kernel_memory.h"
#include "dump/tracees.h"
#include "lib/cleanup.h"

/* Asked once; forgotten with the dump. */
struct tracers {
	int asks; /* task_facts_open() */
};

int tracer_facts(struct dump *d, pid_t tid, struct task_facts *ret)
{
	if (!d->tracers) {
		d->tracers = calloc(1, sizeof(*d->tracers));
		if (!d->tracers)
			return -ENOMEM;
		d->tracers->asks = task_facts_open(
			kernel_layouts(d), FACT_BIT(PTRACE) | FACT_BIT(WORK) | FACT_BIT(JOBCTL));
	}
	return d->tracers->asks < 0 ? d->tracers->asks : task_facts_of(d->tracers->asks, tid, ret);
}

int tracer_flags(struct dump *d, pid_t tid, struct tracer_flags *ret)
{
	struct task_facts facts = {};
	int r = tracer_facts(d, tid, &facts);

	if (r < 0)
		return r;
	ret->calls = task_facts_calls_traced(&facts);
	ret->about_to_stop = task_facts_trap_waits(&facts);
	ret->listens = task_facts_listens(&facts);
	ret->emulated = task_facts_calls_emulated(&facts);
	return task_facts_tracing(&facts, &ret->options, &ret->seized);
}

void tracees_done(struct dump *d)
{
	if (d->tracers)
		closep(&d->tracers->asks);
	free(d->tracers);
	d->tracers = NULL;
}
