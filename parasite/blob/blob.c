/*
 * The blob: runs a script inside a task. Freestanding, one page, no data, no
 * library, no floating point (the FPU state of the thread stays untouched).
 *
 * At dump it ends at OP_STOP, where the tracer takes over; if there is none any
 * more, it loads the registers of the thread and is gone. At restore it ends
 * there too, and a failure tells the coordinator and ends the task.
 */
#include <stddef.h>
#include <stdint.h>

#include <asm-generic/signal-defs.h>
#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/futex.h>

#include "parasite/arch/arch.h"
#include "parasite/script.h"

long blob_syscall(long nr, const uint64_t args[6]);
long blob_clone(uint64_t args, uint64_t size, uint64_t child);
void blob_touch(uint64_t xfeatures);
uint64_t blob_main(struct script_head *h);

#define CALL(nr, ...) blob_syscall(nr, (const uint64_t[6]){ __VA_ARGS__ })
#define ERROR_MAX     4095

static int is_error(long r)
{
	return r < 0 && r >= -ERROR_MAX;
}

/* Repeat a read or write until args[2] bytes are through; args[3] is the offset of pread64 and pwrite64. */
static long run_full(const struct op *op)
{
	uint64_t args[6];
	uint64_t left = op->args[2];

	for (int i = 0; i < 6; i++)
		args[i] = op->args[i];
	while (left) {
		long n;

		args[2] = left;
		n = blob_syscall(op->nr, args);
		if (n == -EINTR || n == -EAGAIN)
			continue;
		if (n < 0)
			return n;
		if (n == 0)
			return -ENODATA;
		args[1] += (uint64_t)n;
		args[3] += (uint64_t)n;
		left -= (uint64_t)n;
	}
	return (long)op->args[2];
}

/* What lies in the arena behind the blob; it may use vector registers, which are nobody's at restore. */
static long run_mover(const struct op *op)
{
	long (*function)(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t) =
		(long (*)(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t))op->args[0];

	return function(op->args[1], op->args[2], op->args[3], op->args[4], op->args[5]);
}

static void futex_wake(uint32_t *word)
{
	CALL(__NR_futex, (uint64_t)word, FUTEX_WAKE, 0x7fffffff);
}

/* Arrive, wake the coordinator if last, wait until it opens the barrier. */
static long run_barrier(struct shared *sh, uint64_t n)
{
	uint32_t arrived = __atomic_add_fetch(&sh->arrived[n], 1, __ATOMIC_SEQ_CST);
	uint32_t stage;

	if (arrived == __atomic_load_n(&sh->expected[n], __ATOMIC_SEQ_CST))
		futex_wake(&sh->arrived[n]);
	while ((stage = __atomic_load_n(&sh->stage, __ATOMIC_SEQ_CST)) <= n)
		CALL(__NR_futex, (uint64_t)&sh->stage, FUTEX_WAIT, stage);
	return 0;
}

/*
 * A signal that is ignored when nobody traces, and a stop when somebody does. If the tracer died before it had set the
 * mask, the program may have it blocked, and must not find it later.
 */
static long run_stop(const struct script_head *h)
{
	const uint64_t set = h->signal ? (uint64_t)1 << (h->signal - 1) : 0;
	long pid = CALL(__NR_getpid, 0);
	long tid = CALL(__NR_gettid, 0);

	CALL(__NR_rt_sigprocmask, SIG_UNBLOCK, (uint64_t)&set, 0, sizeof(set));
	return CALL(__NR_tgkill, (uint64_t)pid, (uint64_t)tid, h->signal);
}

/*
 * The number of a thread that has just ended, or of a zombie that its parent
 * has not reaped yet (init may be busy with others), is taken for a moment: try for a second.
 */
static long run_clone(const struct op *op)
{
	uint64_t pause[2] = { 0, 1000000 };
	long r;

	for (int i = 0; i < 1000; i++) {
		r = blob_clone(op->args[0], op->args[1], op->args[2]);
		if (r != -EEXIST)
			break;
		CALL(__NR_nanosleep, (uint64_t)pause);
	}
	return r;
}

/* An answer becomes an argument. */
static long run_fetch(struct op *op, uint64_t value)
{
	op[1 + op->args[2]].args[op->args[1]] = value;
	return 0;
}

static long run_copy(const struct op *op)
{
	*(uint64_t *)op->args[1] = *(const uint64_t *)op->args[0];
	return 0;
}

static long run_op(const struct script_head *h, struct op *op)
{
	switch (op->code) {
	case OP_FULL:
		return run_full(op);
	case OP_MOVER:
		return run_mover(op);
	case OP_CLONE:
		return run_clone(op);
	case OP_BARRIER:
		return run_barrier((struct shared *)h->shared, op->args[0]);
	case OP_TOUCH:
		blob_touch(op->args[0]);
		return 0;
	case OP_FETCH:
		return run_fetch(op, *(const uint64_t *)op->args[0]);
	case OP_RESULT:
		return run_fetch(op, (uint64_t)(op - op->args[0])->result);
	case OP_COPY:
		return run_copy(op);
	case OP_STOP:
		return run_stop(h);
	case OP_REPEAT:
		return 0;
	default:
		return blob_syscall(op->nr, op->args);
	}
}

static int as_expected(const struct op *op)
{
	if (op->expect == EXPECT_ANY)
		return 1;
	return op->expect == EXPECT_VALUE ? op->result == op->want : !is_error(op->result);
}

/* Tell the coordinator; the whole restore ends here. */
static void give_up(struct shared *sh)
{
	uint32_t nobody = 0;
	long tid = CALL(__NR_gettid, 0);

	__atomic_compare_exchange_n(&sh->failed, &nobody, (uint32_t)tid, 0, __ATOMIC_SEQ_CST,
	                            __ATOMIC_SEQ_CST);
	for (int i = 0; i < BARRIERS; i++)
		futex_wake(&sh->arrived[i]);
	CALL(__NR_exit_group, 1);
}

/* How many ops to go back behind this one. */
static uint32_t repeats(struct op *op)
{
	if (op->code != OP_REPEAT || !op->args[1])
		return 0;
	op->args[1]--;
	return (uint32_t)op->args[0] + 1;
}

uint64_t blob_main(struct script_head *h)
{
	struct op *ops = (struct op *)h->ops;

	for (uint32_t i = 0; i < h->count; i++) {
		h->at = i;
		ops[i].result = run_op(h, &ops[i]);
		if (as_expected(&ops[i])) {
			i -= repeats(&ops[i]);
			continue;
		}
		h->error = ops[i].result ? ops[i].result : -ENODATA;
		if (h->shared)
			give_up((struct shared *)h->shared);
		run_stop(h);
		break;
	}
	if (!h->error)
		h->at = h->count;
	if (!h->leave)
		CALL(__NR_exit_group, 1);
	return h->leave;
}
