#include "dump/tracer_flags.h"

#include <errno.h>
#include <stdlib.h>

#include "dump/tracees.h"
#include "lib/cleanup.h"
#include "lib/task_facts.h"

/* Asked once; forgotten with the dump. */
struct tracers {
	int asks; /* task_facts_open() */
};

int tracer_flags(struct dump *d, pid_t tid, uint32_t *ret_options, bool *ret_seized,
                 bool *ret_steps)
{
	struct task_facts facts = {};
	int r;

	if (!d->tracers) {
		d->tracers = calloc(1, sizeof(*d->tracers));
		if (!d->tracers)
			return -ENOMEM;
		d->tracers->asks = task_facts_open(FACT_BIT(PTRACE) | FACT_BIT(WORK));
	}
	r = d->tracers->asks < 0 ? d->tracers->asks : task_facts_of(d->tracers->asks, tid, &facts);
	*ret_steps = task_facts_calls_traced(&facts);
	return r < 0 ? r : task_facts_tracing(&facts, ret_options, ret_seized);
}

void tracees_done(struct dump *d)
{
	if (d->tracers)
		closep(&d->tracers->asks);
	free(d->tracers);
	d->tracers = NULL;
}
