/*
 * What only the tracer of a thread sees, kept until there is time to write it:
 * while the target stands still, nothing is done that can be done later.
 */
#include <errno.h>
#include <string.h>

#include "dump/dump.h"
#include "dump/stages.h"
#include "lib/log.h"

/* Its size without the zeros at the end: most of it is, as a rule. */
static size_t used(const unsigned char *data, size_t n)
{
	uint64_t word = 0;

	for (; n >= sizeof(word); n -= sizeof(word)) {
		memcpy(&word, data + n - sizeof(word), sizeof(word));
		if (word)
			break;
	}
	while (n > 0 && !data[n - 1])
		n--;
	return n;
}

static int peek_own(const struct thread *th, struct ask *ask)
{
	unsigned char xstate[ARCH_XSTATE_MAX];
	ssize_t n = arch_xstate_get(th->tid, xstate, sizeof(xstate));
	struct thread_peeked *seen;

	if (n < 0)
		return fail((int)n, "%s: thread %d: read the extended state", task_name(th->task),
		            th->tid);
	n = (ssize_t)used(xstate, (size_t)n);
	seen = calloc(1, sizeof(*seen) + (size_t)n);
	if (!seen)
		return -ENOMEM;
	seen->size = (size_t)n;
	memcpy(seen->xstate, xstate, (size_t)n);
	seen->rseq = th->tracee.rseq.area;
	seen->rseq_size = th->tracee.rseq.size;
	seen->rseq_sig = th->tracee.rseq.signature;
	seen->rseq_flags = th->tracee.rseq.flags;
	ask->peeked = seen;
	return 0;
}

int peek_thread(struct dump *d, struct thread *th)
{
	int r = peek_own(th, &th->asks[dump_naspects]);

	for (size_t i = 0; r == 0 && i < dump_naspects; i++) {
		const struct dump_aspect *aspect = dump_aspects[i].aspect;

		if (aspect->peek)
			r = aspect->peek(d, th, &th->asks[i]);
	}
	return r;
}
