/* While the target stands still, nothing is done that can be done later. */
#include "dump/peek.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dump/stages.h"
#include "lib/log.h"

#define ROOM      ((size_t)1024)
#define ALIGN     ((size_t)16)
#define ASKS_SIZE (((dump_naspects + 1) * sizeof(struct ask) + ALIGN - 1) & ~(ALIGN - 1))

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

/* ---- room: hands that peek at once would wait for each other in malloc(3) ---- */

int peek_prepare(struct thread *th)
{
	if (!th->asks)
		th->asks = calloc(1, ASKS_SIZE + ROOM);
	return th->asks ? 0 : -ENOMEM;
}

static unsigned char *room_of(const struct thread *th)
{
	return (unsigned char *)th->asks + ASKS_SIZE;
}

void *peek_room(struct thread *th, size_t size)
{
	size_t at = th->peeked;

	size = (size + ALIGN - 1) & ~(ALIGN - 1);
	if (size > ROOM - at)
		return calloc(1, size);
	th->peeked += size;
	return room_of(th) + at;
}

void peek_done(struct thread *th)
{
	for (size_t i = 0; th->asks && i <= dump_naspects; i++) {
		uintptr_t at = (uintptr_t)th->asks[i].peeked;

		if (at - (uintptr_t)room_of(th) >= ROOM)
			free(th->asks[i].peeked);
	}
	free(th->asks);
	th->asks = NULL;
	th->peeked = 0;
}

/* ---- */

static int peek_own(struct thread *th, struct ask *ask)
{
	unsigned char xstate[ARCH_XSTATE_MAX];
	ssize_t n = arch_xstate_get(th->tid, xstate, sizeof(xstate));
	struct thread_peeked *seen;

	if (n < 0)
		return fail((int)n, "%s: thread %d: read the extended state", task_name(th->task),
		            th->tid);
	n = (ssize_t)used(xstate, (size_t)n);
	seen = peek_room(th, sizeof(*seen) + (size_t)n);
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
