/*
 * Switches of a thread, dump half: only the thread itself is told.
 *
 * PR_GET_IO_FLUSHER needs CAP_SYS_RESOURCE as PR_SET_IO_FLUSHER does. Where the
 * thread may not ask, its flags in stat tell; restoring it needs the same
 * capability, so that it is only reported.
 */
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "dump/dump.h"
#include "lib/kernel.h"
#include "lib/log.h"
#include "proto/prctl.pb-c.h"

#define SPECULATIONS    3 /* PR_SPEC_STORE_BYPASS, _INDIRECT_BRANCH, _L1D_FLUSH */
#define ASK_PERSONALITY 0xffffffffu

enum { OP_PERSONALITY, OP_TSC, OP_CPUID, OP_MCE_KILL, OP_IO_FLUSHER, OP_SPECULATION };

/* include/linux/sched.h: PF_MEMALLOC_NOIO | PF_LOCAL_THROTTLE (kernel/sys.c: PR_IO_FLUSHER) */
#define PR_IO_FLUSHER 0x00180000

static int prctl_look(struct dump *d, struct task *t)
{
	struct proc_stat st;
	int r = stat_read(t->proc, "stat", &st);

	if (r < 0)
		return fail(r, "%s: read /proc/%d/stat", task_name(t), t->pid);
	if ((st.field[STAT_FLAGS] & PR_IO_FLUSHER) == PR_IO_FLUSHER &&
	    !own_capability(CAP_SYS_RESOURCE))
		lose("%s: is an I/O flusher (PR_SET_IO_FLUSHER), which only CAP_SYS_RESOURCE may "
		     "set again",
		     task_name(t));
	return 0;
}

static int prctl_ask(struct dump *d, struct thread *th, struct script *s, struct ask *ret)
{
	ret->at = script_alloc(s, sizeof(int));
	ret->first = script_call(s, SYS_personality, ASK_PERSONALITY);
	script_ask(s, SYS_prctl, PR_GET_TSC, ret->at);
	arch_cpuid_ask(s);
	script_ask(s, SYS_prctl, PR_MCE_KILL_GET);
	script_ask(s, SYS_prctl, PR_GET_IO_FLUSHER);
	for (int i = 0; i < SPECULATIONS; i++)
		script_ask(s, SYS_prctl, PR_GET_SPECULATION_CTRL, i);
	return 0;
}

/* Answers are not negative; a kernel that does not know the question is at its default. */
static uint32_t answer(const struct script *s, const struct ask *ask, int op, uint32_t plain)
{
	int64_t result = script_result(s, ask->first + (size_t)op);

	return result < 0 ? plain : (uint32_t)result;
}

static int prctl_take(struct dump *d, struct thread *th, const struct script *s,
                      const struct ask *ask)
{
	const int *tsc = script_at(s, ask->at);
	Img__Prctl msg = IMG__PRCTL__INIT;
	uint32_t speculation[SPECULATIONS];

	msg.personality = answer(s, ask, OP_PERSONALITY, 0);
	msg.tsc_faults = *tsc == PR_TSC_SIGSEGV;
	msg.cpuid_faults = answer(s, ask, OP_CPUID, 1) == 0;
	msg.mce_kill = answer(s, ask, OP_MCE_KILL, PR_MCE_KILL_DEFAULT);
	msg.io_flusher = answer(s, ask, OP_IO_FLUSHER, 0) == 1;
	for (int i = 0; i < SPECULATIONS; i++) {
		speculation[i] = answer(s, ask, OP_SPECULATION + i, 0);
		if (!(speculation[i] & PR_SPEC_PRCTL))
			speculation[i] = 0;
	}
	msg.n_speculation = SPECULATIONS;
	msg.speculation = speculation;
	return image_put(d->out, KIND_prctl, (uint32_t)th->tid, &msg.base);
}

const struct dump_aspect dump_prctl = {
	.scope = SCOPE_THREAD,
	.look = prctl_look,
	.ask = prctl_ask,
	.alike = true,
	.late = true,
	.take = prctl_take,
};
