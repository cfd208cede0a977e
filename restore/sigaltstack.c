/*
 * Alternate signal stacks, restore half. The kernel refuses to change a stack
 * that the thread runs on (EPERM); a script runs on a stack of the arena, so
 * it can be set even where the thread will go on on it. A permission for large
 * register state (AMX) comes before: it is refused while a stack is too small.
 */
#include <signal.h>
#include <sys/syscall.h>

#include "proto/sigaltstack.pb-c.h"
#include "restore/restore.h"

static int sigaltstack_emit(struct restore *r, struct rthread *th, const ProtobufCMessage *base,
                            struct script *s)
{
	const Img__Sigaltstack *msg = (const Img__Sigaltstack *)base;
	const stack_t stack = {
		.ss_sp = (void *)msg->sp,
		.ss_flags = (int)msg->flags,
		.ss_size = msg->size,
	};

	script_call(s, SYS_sigaltstack, script_put(s, &stack, sizeof(stack)), 0);
	return 0;
}

const struct restore_aspect restore_sigaltstack = {
	.emit[PHASE_THREAD] = sigaltstack_emit,
};
