/* What only the tracer of a thread sees, kept until there is time to write it. */
#pragma once

#include "dump/dump.h"

/* What is peeked of every thread besides, at asks[dump_naspects]. */
struct thread_peeked {
	uint64_t rseq;
	uint32_t rseq_size, rseq_sig, rseq_flags;
	size_t size; /* without the zeros at the end */
	unsigned char xstate[];
};

/* th->asks are there, with room for what is mostly peeked; before the freeze, if TH is known then. -ENOMEM. */
int peek_prepare(struct thread *th);
/* Zeros for ask->peeked, without the locks of malloc(3) where there is room; NULL: no memory. */
void *peek_room(struct thread *th, size_t size);
/* th->asks are no more, nor what was peeked. */
void peek_done(struct thread *th);
