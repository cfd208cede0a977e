/*
 * Debuggers of the tree, restore half: everybody is what it was, and stands in crtool's hands. A
 * tracee is let go first, parked (parasite/tracing.h), and its tracer attaches to it, which is let go later.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ptrace.h>

#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "parasite/tracing.h"
#include "proto/ptrace.pb-c.h"
#include "restore/restore.h"

#define OPTIONS (0xffu | PTRACE_O_EXITKILL)
#define DEEP    64 /* tracers of tracers */

static struct rthread *find_thread(const struct restore *r, uint32_t tid)
{
	struct rtask *t = rtask_find(r, (pid_t)tid);

	if (t && t->role == ROLE_TASK)
		return t->threads.v[0].img ? t->threads.v : NULL;
	array_each (any, &r->tasks)
		array_each (th, &any->threads)
			if (th->img && th->tid == (pid_t)tid)
				return th;
	return NULL;
}

static const Img__Ptrace *record_of(const struct restore *r, pid_t tid)
{
	return (const Img__Ptrace *)aspect_record(r, KIND_ptrace, (uint32_t)tid);
}

static int ptrace_check(struct restore *r, uint32_t owner, const ProtobufCMessage *base)
{
	const Img__Ptrace *msg = (const Img__Ptrace *)base;
	siginfo_t si;

	if (msg->options & ~OPTIONS)
		return fail(-EBADMSG, "thread %u: traced with options 0x%x", owner, msg->options);
	if (msg->signal.len != sizeof(si))
		return fail(-EBADMSG, "thread %u: traced at a signal of %zu bytes", owner,
		            msg->signal.len);
	memcpy(&si, msg->signal.data, sizeof(si));
	if (si.si_signo < 1 || si.si_signo > 64 || si.si_signo == SIGKILL)
		return fail(-EBADMSG, "thread %u: traced at signal %d", owner, si.si_signo);
	if (msg->at > TRACING_AT_EXIT || (msg->at && msg->runs) || (msg->calls && !msg->runs) ||
	    (msg->in_call && !msg->calls))
		return fail(-EBADMSG, "thread %u: traced at no place that there is", owner);
	if (msg->n_debug && msg->n_debug != ARCH_DEBUG_REGS)
		return fail(-EBADMSG, "thread %u: has %zu debug registers", owner, msg->n_debug);
	return 0;
}

/* Whoever traces is in the tree, and not traced by those that it traces. */
static int check_tracer(const struct restore *r, const struct rthread *th)
{
	const struct rthread *by = th;
	size_t steps = 0;

	for (const Img__Ptrace *msg; (msg = record_of(r, by->tid)); steps++) {
		const struct rthread *next = find_thread(r, msg->tracer);

		if (!next || next->task == by->task || steps == DEEP)
			return fail(-EBADMSG, "%s: thread %d: is traced by %u, which cannot be",
			            rtask_name(by->task), by->tid, msg->tracer);
		by = next;
	}
	return 0;
}

static int ptrace_plan(struct restore *r)
{
	array_each (t, &r->tasks)
		array_each (th, &t->threads) {
			int ret = record_of(r, th->tid) ? check_tracer(r, th) : 0;

			if (ret == 0 && record_of(r, th->tid) && (!th->img || t->img->stop_signal))
				ret = fail(-EBADMSG, "%s: thread %d is traced, and cannot be",
				           rtask_name(t), th->tid);
			if (ret < 0)
				return ret;
		}
	return 0;
}

/* ---- all stand ---- */

/* A system call instruction of T, at OFFSET of its vDSO; 0: it has none. */
static uint64_t syscall_insn(const struct rtask *t, int64_t offset)
{
	t = t->shares[TABLE_VM];
	return t->vdso && offset >= 0 ? t->vdso + (uint64_t)offset : 0;
}

static void describe(const struct rthread *th, const Img__Ptrace *msg, uint64_t insn,
                     struct tracing *ret)
{
	*ret = (struct tracing){ .pid = th->task->pid,
		                 .tid = th->tid,
		                 .insn = insn,
		                 .options = msg->options,
		                 .seized = msg->seized,
		                 .collected = msg->collected,
		                 .at = (enum tracing_at)msg->at,
		                 .runs = msg->runs,
		                 .calls = msg->calls,
		                 .in_call = msg->in_call,
		                 .sigmask = th->img->sigmask };
	memcpy(&ret->signal, msg->signal.data, sizeof(ret->signal));
	memcpy(&ret->regs, th->img->regs.data, sizeof(ret->regs));
}

static int park(struct rthread *th, const Img__Ptrace *msg, int64_t offset)
{
	struct tracee *tracee = &th->tracee;
	uint64_t insn = syscall_insn(th->task, offset);
	int ret = insn ? 0 : -ENOTSUP;

	if (ret == 0 && msg->n_debug)
		ret = arch_debug_set(th->tid, msg->debug);
	if (ret < 0)
		return ret;
	tracing_park(&tracee->regs, insn);
	tracee->sigmask = ~UINT64_C(0);
	tracee->changed = true;
	return tracee_release(tracee);
}

/* The arena of the restore is gone everywhere: there is room for a small one. */
static int attach(const struct restore *r, struct rthread *by, struct tracing *what, int64_t offset)
{
	struct arena arena = {};
	struct parasite parasite = {};
	auto_close int mem = -1;
	char path[32];
	uint64_t room;
	int ret = arena_init(&arena, r->arena.base, TRACING_ARENA), end;

	snprintf(path, sizeof(path), "/proc/%d/mem", by->tid);
	mem = open(path, O_RDWR | O_CLOEXEC);
	if (mem < 0 && ret == 0)
		ret = -errno;
	room = ret == 0 ? tracing_room(&arena) : 0;
	if (ret == 0)
		ret = parasite_inject(&parasite, &by->tracee, &arena, mem,
		                      syscall_insn(by->task, offset), 0, 0);
	if (ret == 0)
		ret = tracing_attach(&parasite, room, what);
	end = parasite_cure(&parasite);
	arena_done(&arena);
	return ret < 0 ? ret : end;
}

static int trace_thread(const struct restore *r, struct rthread *th, int64_t offset)
{
	const Img__Ptrace *msg = record_of(r, th->tid);
	struct rthread *by = find_thread(r, msg->tracer);
	struct tracing what;
	int ret;

	describe(th, msg, syscall_insn(th->task, offset), &what);
	ret = park(th, msg, offset);
	if (ret == 0)
		ret = attach(r, by, &what, offset);
	return ret < 0 ? fail(ret, "%s: have its tracer, thread %d of %s, attach to thread %d",
	                      rtask_name(th->task), by->tid, rtask_name(by->task), th->tid)
	               : 0;
}

/* How many trace TH, and those who do: who is traced over more steps is let go first. */
static size_t depth(const struct restore *r, const struct rthread *th)
{
	const Img__Ptrace *msg;
	size_t n = 0;

	for (; (msg = record_of(r, th->tid)); n++)
		th = find_thread(r, msg->tracer);
	return n;
}

static int trace_depth(struct restore *r, size_t n, int64_t offset)
{
	array_each (t, &r->tasks)
		array_each (th, &t->threads) {
			int ret = record_of(r, th->tid) && depth(r, th) == n
			                  ? trace_thread(r, th, offset)
			                  : 0;

			if (ret < 0)
				return ret;
		}
	return 0;
}

static int ptrace_let_go(struct restore *r, int64_t offset)
{
	size_t deepest = 0;
	int ret = 0;

	array_each (t, &r->tasks)
		array_each (th, &t->threads) {
			size_t n = record_of(r, th->tid) ? depth(r, th) : 0;

			deepest = n > deepest ? n : deepest;
		}
	while (ret == 0 && deepest > 0)
		ret = trace_depth(r, deepest--, offset);
	return ret;
}

const struct restore_aspect restore_ptrace = {
	.check = ptrace_check,
	.plan = ptrace_plan,
	.let_go = ptrace_let_go,
};
