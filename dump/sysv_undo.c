/*
 * What semaphores get added when a process ends (semop(2), SEM_UNDO): the kernel
 * shows semadj nowhere. But it does say whether a process has a list of them at
 * all, and what is in it can be found out by calls that fail.
 *
 * - kcmp(KCMP_SYSVSEM) compares the lists of two tasks, and that of a task with "none"
 *   (dump/share_bare.c). A process without a list has nothing to undo. Most are such.
 *
 * - semadj is between -32768 and 32767, and an operation that would take it out
 *   of there fails with ERANGE (ipc/sem.c, perform_atomic_semop_slow()). The operations
 *   of one semop(2) are tried one after the other and taken back if any of them
 *   fails, under the lock of the set. So: +c with SEM_UNDO, -c without moves semadj down by
 *   c and leaves the value alone; some of these, and then an operation that
 *   can never be done at once, -32768 with IPC_NOWAIT. If the call answers EAGAIN, semadj
 *   went all the way; if ERANGE, it was too close to its end. Nothing is changed
 *   either way. Half the range at a time, that finds semadj in 16 calls; one
 *   call tells of 40 semaphores that all have none, which is nearly always so.
 *
 * The calls are made in the process itself, while it stands still. What they
 * leave behind is an empty list for the set, which its end will find empty (the
 * set's otime changes then).
 *
 * A set that the process may not alter (EACCES) is none that it has altered.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dump/share.h"
#include "dump/sysv.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/sysv.h"

#define STEP     16384 /* however high the value, it fits up or down */
#define ADJ_MIN  (-32768)
#define ADJ_MAX  32767
#define NEVER    (-32768) /* below any value: waits, or would */
#define OPS_EACH 12       /* for one semaphore: down by 32768, up by 65535 */
#define OPS_MAX  500      /* SEMOPM, unless kernel.sem says less */

/* A process to ask. */
struct asking {
	struct dump *d;
	struct task *task;
	uint64_t at; /* room for OPS_MAX operations, in its memory */
	struct sembuf ops[OPS_MAX];
	size_t n;
};

static size_t ops_limit(void)
{
	struct seminfo info;

	if (semctl(0, 0, IPC_INFO, &info) < 0 || info.semopm > OPS_MAX)
		return OPS_MAX;
	return (size_t)info.semopm;
}

static void op_add(struct asking *a, unsigned num, int op, int flags)
{
	a->ops[a->n++] =
		(struct sembuf){ (unsigned short)num, (short)op, (short)(flags | IPC_NOWAIT) };
}

/* Move the semadj of semaphore NUM, whose value is VALUE, by BY; the value is as before. */
static void semadj_move(struct asking *a, unsigned num, int value, int by)
{
	while (by) {
		int step = abs(by) < STEP ? abs(by) : STEP, op = by < 0 ? step : -step;
		/* value + op and back again must be values, too */
		bool first = op > 0 ? value + op <= ADJ_MAX : value >= -op;

		op_add(a, num, first ? op : -op, first ? SEM_UNDO : 0);
		op_add(a, num, first ? -op : op, first ? 0 : SEM_UNDO);
		by += by < 0 ? step : -step;
	}
}

/* Could all of it be done? 1, 0, or -errno. */
static int try_ops(struct asking *a, const struct sem_set *set)
{
	uint64_t args[6] = { (uint64_t)set->semid, a->at };
	int64_t result;
	int r;

	op_add(a, 0, NEVER, 0);
	args[2] = a->n;
	r = pwrite_full(a->task->mem, a->ops, a->n * sizeof(*a->ops), (off_t)a->at);
	a->n = 0;
	if (r == 0)
		r = parasite_call(&a->task->parasite, SYS_semop, args, &result);
	if (r < 0)
		return r;
	return result == -EAGAIN ? 1 : result == -ERANGE ? 0 : result < 0 ? (int)result : -EPROTO;
}

static int undo_add(struct asking *a, const struct sem_set *set, unsigned num, int adjust)
{
	struct sem_undo *undo = array_add(&a->d->sysv->undos);

	if (!undo)
		return -ENOMEM;
	*undo = (struct sem_undo){ a->task, set->semid, num, adjust };
	return 0;
}

/* The semadj of one semaphore: the greatest that it is not below. */
static int semadj_find(struct asking *a, const struct sem_set *set, unsigned num)
{
	int low = ADJ_MIN, high = ADJ_MAX;

	while (low < high) {
		int middle = low + (high - low + 1) / 2, r;

		semadj_move(a, num, set->value[num], ADJ_MIN - middle);
		r = try_ops(a, set);
		if (r < 0)
			return r;
		if (r)
			low = middle;
		else
			high = middle - 1;
	}
	return low ? undo_add(a, set, num, low) : 0;
}

/* Is there anything to undo among COUNT semaphores from FIRST on? 1, 0, -errno. */
static int any_semadj(struct asking *a, const struct sem_set *set, unsigned first, unsigned count)
{
	int r;

	for (unsigned num = first; num < first + count; num++) {
		semadj_move(a, num, set->value[num], ADJ_MIN);
		semadj_move(a, num, set->value[num], ADJ_MAX - ADJ_MIN);
	}
	r = try_ops(a, set);
	return r < 0 ? r : !r;
}

static int ask_about_set(struct asking *a, const struct sem_set *set)
{
	unsigned many = (unsigned)(ops_limit() - 1) / OPS_EACH, n = (unsigned)set->ds.sem_nsems;

	if (!many)
		return fail(-ENOTSUP,
		            "%s: may have something to undo (SEM_UNDO) in %s, which cannot be "
		            "found out "
		            "unless kernel.sem allows %d operations per call",
		            task_name(a->task), sysv_name(SYSV_SEM, set->semid, 0), OPS_EACH + 1);
	for (unsigned first = 0; first < n; first += many) {
		unsigned count = n - first < many ? n - first : many;
		int r = any_semadj(a, set, first, count);

		for (unsigned num = first; r == 1 && num < first + count; num++) {
			r = any_semadj(a, set, num, 1);
			if (r == 1)
				r = semadj_find(a, set, num);
			r = r < 0 ? r : 1;
		}
		if (r == -EACCES || r == -EIDRM || r == -EINVAL)
			return 0;
		if (r < 0)
			return fail(r, "%s: ask what it has to undo (SEM_UNDO) in %s",
			            task_name(a->task), sysv_name(SYSV_SEM, set->semid, 0));
	}
	return 0;
}

int sysv_undo_ask(struct dump *d, struct task *t, struct script *s, uint64_t *ret_at)
{
	int r;

	*ret_at = 0;
	if (!d->sysv->sets.n)
		return 0;
	/* A list that several processes share is the first one's (dump/share.h). */
	r = t->shares[TABLE_SYSVSEM] == t ? table_has(d, task_tid(t), TABLE_SYSVSEM) : 0;
	if (r < 0)
		return fail(r, "%s: has it semaphore operations to undo?", task_name(t));
	if (r == 0)
		return 0;
	/* Only the thread that the arena was made for may be asked, and it has a list of its own. */
	if (mm_of(t) != t)
		return fail(-ENOTSUP,
		            "%s: may have semaphore operations to undo (SEM_UNDO), and shares its "
		            "memory with %s, not supported by this version",
		            task_name(t), task_name(mm_of(t)));
	*ret_at = script_alloc(s, sizeof(((struct asking *)NULL)->ops));
	return 0;
}

/* Nobody has operated on it since it was made (otime), so that nobody has anything to undo: it is left alone. */
static bool is_fresh(const struct sem_set *set)
{
	struct semid_ds ds;

	return semctl(set->semid, 0, IPC_STAT, (union semun){ .buf = &ds }) == 0 && !ds.sem_otime;
}

int sysv_undo_talk(struct dump *d, struct task *t, uint64_t at)
{
	auto_free struct asking *a = at ? calloc(1, sizeof(*a)) : NULL;

	if (!at)
		return 0;
	if (!a)
		return -ENOMEM;
	a->d = d, a->task = t, a->at = at;
	array_each (set, &d->sysv->sets) {
		int r = is_fresh(set) ? 0 : sysv_sem_values(set);

		if (r == 0 && set->value)
			r = ask_about_set(a, set);
		if (r == -EIDRM || r == -EINVAL || r == -EACCES)
			r = 0;
		if (r < 0)
			return r;
	}
	return 0;
}
