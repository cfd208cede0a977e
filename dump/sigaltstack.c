/*
 * Alternate signal stacks, dump half: only sigaltstack(2) inside tells. Whether
 * the thread runs on it is not a state but a comparison with the stack pointer,
 * so SS_ONSTACK is not kept. A thread with SS_AUTODISARM that runs its handler
 * has none at this moment; the one to come back is in the signal frame.
 */
#include <signal.h>
#include <sys/syscall.h>

#include "dump/dump.h"
#include "lib/task_facts.h"
#include "proto/sigaltstack.pb-c.h"

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1U << 31) /* linux/signal.h */
#endif

static int sigaltstack_ask(struct dump *d, struct thread *th, struct script *s, struct ask *ret)
{
	ret->at = script_alloc(s, sizeof(stack_t));
	ret->first = script_call(s, SYS_sigaltstack, 0, ret->at);
	return 0;
}

/* As the kernel answers (do_sigaltstack() of kernel/signal.c). */
static const stack_t *known(const struct task_facts *facts, stack_t *ret)
{
	ret->ss_sp = (void *)facts->v[FACT_SAS_SP];
	ret->ss_size = facts->v[FACT_SAS_SIZE];
	ret->ss_flags =
		(int)(facts->v[FACT_SAS_FLAGS] & SS_AUTODISARM) | (ret->ss_size ? 0 : SS_DISABLE);
	return ret;
}

static int sigaltstack_take(struct dump *d, struct thread *th, const struct script *s,
                            const struct ask *ask)
{
	stack_t answer = *(const stack_t *)script_at(s, ask->at);
	const stack_t *stack = th->like ? known(th->facts, &answer) : &answer;
	Img__Sigaltstack msg = IMG__SIGALTSTACK__INIT;

	/* New threads have none; a leader would inherit that of crtool. */
	if ((stack->ss_flags & SS_DISABLE) && th->tid != th->task->pid)
		return 0;
	msg.sp = (uint64_t)stack->ss_sp;
	msg.size = stack->ss_size;
	msg.flags = (uint32_t)stack->ss_flags & ~(uint32_t)SS_ONSTACK;
	return image_put(d->out, KIND_sigaltstack, (uint32_t)th->tid, &msg.base);
}

const struct dump_aspect dump_sigaltstack = {
	.scope = SCOPE_THREAD,
	.ask = sigaltstack_ask,
	.alike = true,
	.late = true,
	.take = sigaltstack_take,
};
