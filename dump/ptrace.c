/* Who is traced by somebody in the tree: how (tracees.c does the rest). */
#include <errno.h>

#include "dump/dump.h"
#include "dump/tracees.h"
#include "lib/log.h"
#include "proto/ptrace.pb-c.h"

static int ptrace_take(struct dump *d, struct thread *th, const struct script *s,
                       const struct ask *ask)
{
	Img__Ptrace msg = IMG__PTRACE__INIT;
	uint64_t debug[ARCH_DEBUG_REGS];
	struct traced *tr = th->traced;
	int r;

	if (!tr)
		return 0;
	r = arch_debug_get(th->tid, debug);
	if (r < 0)
		return fail(r, "%s: thread %d: read its debug registers", task_name(th->task),
		            th->tid);
	msg.tracer = (uint32_t)tr->tracer;
	msg.options = tr->is.options;
	msg.seized = tr->is.seized;
	msg.collected = tr->is.collected;
	msg.at = tr->is.at;
	msg.runs = tr->is.runs;
	msg.calls = tr->is.calls;
	msg.in_call = tr->is.in_call;
	msg.signal = (ProtobufCBinaryData){ sizeof(tr->is.signal), (uint8_t *)&tr->is.signal };
	msg.debug = debug;
	msg.n_debug = r > 0 ? ARCH_DEBUG_REGS : 0;
	return image_put(d->out, KIND_ptrace, (uint32_t)th->tid, &msg.base);
}

const struct dump_aspect dump_ptrace = {
	.scope = SCOPE_THREAD,
	.take = ptrace_take,
};
