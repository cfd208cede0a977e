/*
 * Switches of a thread, restore half. Those that are as in crtool are left
 * alone; the personality comes when all memory is mapped, for it may make
 * every new mapping executable.
 */
#include <errno.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "lib/log.h"
#include "proto/prctl.pb-c.h"
#include "restore/restore.h"

/* Tried: the capability counts in the first user namespace alone. */
static bool may_flush(void)
{
	int own = prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0);

	return own == 1 || (prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) == 0 &&
	                    prctl(PR_SET_IO_FLUSHER, 0, 0, 0, 0) == 0);
}

static int prctl_check(struct restore *r, uint32_t owner, const ProtobufCMessage *base)
{
	const Img__Prctl *msg = (const Img__Prctl *)base;

	if (msg->n_speculation > 64 || msg->mce_kill > PR_MCE_KILL_DEFAULT)
		return fail(-EBADMSG, "thread %u: switches", owner);
	if (msg->io_flusher && !may_flush())
		return fail(-EPERM,
		            "thread %u: is an I/O flusher (PR_SET_IO_FLUSHER), which needs "
		            "CAP_SYS_RESOURCE; crtool lacks that here",
		            owner);
	return 0;
}

static void emit_speculation(struct script *s, const Img__Prctl *msg)
{
	for (unsigned i = 0; i < msg->n_speculation; i++) {
		uint32_t want = msg->speculation[i];

		if (want && (int)want != prctl(PR_GET_SPECULATION_CTRL, i, 0, 0, 0))
			script_call(s, SYS_prctl, PR_SET_SPECULATION_CTRL, i,
			            want & ~(uint32_t)PR_SPEC_PRCTL);
	}
}

static int prctl_emit(struct restore *r, struct rthread *th, const ProtobufCMessage *base,
                      struct script *s)
{
	const Img__Prctl *msg = (const Img__Prctl *)base;

	if (msg->personality != (uint32_t)personality(0xffffffff))
		script_call(s, SYS_personality, msg->personality);
	if ((int)msg->mce_kill != prctl(PR_MCE_KILL_GET, 0, 0, 0, 0))
		script_call(s, SYS_prctl, PR_MCE_KILL, PR_MCE_KILL_SET, msg->mce_kill);
	if (msg->io_flusher)
		script_call(s, SYS_prctl, PR_SET_IO_FLUSHER, 1);
	emit_speculation(s, msg);
	if (msg->tsc_faults)
		script_call(s, SYS_prctl, PR_SET_TSC, PR_TSC_SIGSEGV);
	if (msg->cpuid_faults)
		arch_cpuid_forbid(s);
	return 0;
}

const struct restore_aspect restore_prctl = {
	.check = prctl_check,
	.emit[PHASE_LAST] = prctl_emit,
};
