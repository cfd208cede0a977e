/*
 * What lies on the stacks of a stopped thread. A signal handler may run on another stack than what it has
 * interrupted (sigaltstack(2)): the frame that the kernel has made for it tells where that was.
 */
#include <stdlib.h>
#include <sys/uio.h>

#include "lib/array.h"
#include "parasite/inject.h"

#define PAGE   4096u
#define BLOCK  (64 * PAGE)  /* is read at once */
#define MOST   (32 * BLOCK) /* of one stack */
#define STACKS 64

struct stacks {
	struct stack {
		uint64_t from, seen; /* it has been looked at up to there */
	} v[STACKS];
	size_t n;
};

/* From AT on, by pages: what lies behind the stack cannot be read. The number of bytes, or -1. */
static ssize_t read_block(pid_t tid, uint64_t at, uint64_t *words)
{
	struct iovec local = { words, BLOCK }, pages[BLOCK / PAGE + 1];
	const uint64_t end = at + BLOCK;
	size_t n = 0;

	for (uint64_t next; at < end; at = next, n++) {
		next = (at | (PAGE - 1)) + 1;
		if (next > end)
			next = end;
		pages[n] = (struct iovec){ (void *)at, next - at };
	}
	return process_vm_readv(tid, &local, 1, pages, n, 0);
}

/* Has SP been looked at as part of one of the first N? */
static bool is_seen(const struct stacks *s, size_t n, uint64_t sp)
{
	for (size_t i = 0; i < n; i++)
		if (sp >= s->v[i].from && sp < s->v[i].seen)
			return true;
	return false;
}

/* False: there is no room for it. */
static bool add(struct stacks *s, uint64_t sp)
{
	sp &= ~UINT64_C(7);
	if (is_seen(s, s->n, sp))
		return true;
	if (s->n == STACKS)
		return false;
	s->v[s->n++] = (struct stack){ sp, sp };
	return true;
}

/*
 * Is a number between START and START + SIZE on it? Others that frames on it lead to are added; what looks like a frame
 * need not be one, so only that of the thread itself has to be readable.
 */
static bool look_at(pid_t tid, struct stacks *s, struct stack *stack, uint64_t *words,
                    uint64_t start, uint64_t size)
{
	const uint64_t end = stack->from + MOST;
	ssize_t n = BLOCK;

	while (n == BLOCK && stack->seen < end) {
		/* The frames that begin at the end of the block before are in this one. */
		uint64_t at = stack->seen == stack->from ? stack->seen
		                                         : stack->seen - ARCH_FRAME_WORDS * 8;

		n = read_block(tid, at, words);
		if (n < 0)
			return stack == s->v && stack->seen == stack->from;
		for (size_t i = 0; i < (size_t)n / 8; i++) {
			uint64_t sp;

			if (words[i] - start < size ||
			    (i >= ARCH_FRAME_WORDS && arch_is_frame(&words[i], &sp) && !add(s, sp)))
				return true;
		}
		stack->seen = at + (uint64_t)n;
	}
	return false;
}

bool tracee_comes_back(const struct tracee *t, uint64_t start, uint64_t size)
{
	struct stacks stacks = {};
	uint64_t *words = malloc(BLOCK);
	bool found = !words || !add(&stacks, arch_sp(&t->regs));

	for (size_t i = 0; i < stacks.n && !found; i++)
		found = !is_seen(&stacks, i, stacks.v[i].from) &&
		        look_at(t->tid, &stacks, &stacks.v[i], words, start, size);
	free(words);
	return found;
}
