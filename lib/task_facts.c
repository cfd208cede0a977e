#include "lib/task_facts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <unistd.h>

#include "lib/bpf_iter.h"
#include "lib/cleanup.h"
#include "lib/fd.h"

/*
 * enum syscall_work_bit of linux/thread_info.h, since 5.11. All tasks have TRACEPOINT while somebody traces the
 * system calls of the machine, and whoever is forked meanwhile may keep it: it says nothing of the task.
 */
#define WORK_TRACEPOINT (1 << 1)
#define WORK_TRACE      (UINT64_C(1) << 2)
#define WORK_EMU        (UINT64_C(1) << 3)
#define WORK_DISPATCH   (UINT64_C(1) << 5)

/* include/linux/ptrace.h of the kernel */
#define PT_PTRACED   0x00000001u
#define PT_SEIZED    0x00010000u
#define OPTION_SHIFT 3
#define OPTIONS      (0xffu | PTRACE_O_EXITKILL | PTRACE_O_SUSPEND_SECCOMP)

/* ---- asking ---- */

int task_facts_of(int fd, pid_t tid, struct task_facts *ret)
{
	auto_close int iter = iter_open(fd, tid, 0);
	int r = iter < 0 ? iter : read_full(iter, ret, sizeof(*ret));

	return r == -ENODATA ? -ESRCH : r;
}

ssize_t task_facts_all(int fd, pid_t pid, struct task_facts *ret, size_t max)
{
	auto_close int iter = iter_open(fd, 0, pid);
	ssize_t n = iter < 0 ? iter : read_most(iter, ret, max * sizeof(*ret));

	return n < 0 ? n : n / (ssize_t)sizeof(*ret);
}

int task_facts_compare(const struct task_facts *a, const struct task_facts *b, bool same_process)
{
	enum task_fact first = same_process ? FACT_CRED : FACT_FLAGS;

	_Static_assert(FACT_CRED < FACT_REAL_CRED && FACT_REAL_CRED + 1 == FACT_FLAGS &&
	                       FACT_FLAGS < FACT_PENDING && FACT_PENDING + 1 == FACT_SAS_SP,
	               "order of facts");
	return memcmp(&a->v[first], &b->v[first], (FACT_SAS_SP - first) * sizeof(a->v[0]));
}

/* ---- the program ---- */

uint32_t task_facts_store(struct iter_program *p, size_t to)
{
	static const char *const paths[FACTS] = {
#define FACT(number, path) [FACT_##number] = (path),
		TASK_FACTS(FACT)
#undef FACT
	};
	uint32_t found = FACT_BIT(TID) | FACT_BIT(COMM_END);

	for (size_t i = 0; i < FACTS; i++) {
		struct place place = {};

		if (!paths[i])
			continue;
		place = btf_place(p->btf, "task_struct", paths[i]);
		if (place.at + place.size > INT16_MAX || place.size < 4)
			place.size = 0;
		found |= place.size ? UINT32_C(1) << i : 0;
		if (place.size)
			(place.pointer ? iter_peek : iter_load)(p, 2, 6, place.at, place.size);
		else
			iter_set(p, 2, 0);
		if (i == FACT_WORK)
			iter_mask(p, 2, ~WORK_TRACEPOINT);
		iter_store(p, 2, to + i);
		if (i == FACT_COMM && place.size)
			iter_load(p, 2, 6, place.at + 8, 8);
		if (i == FACT_COMM)
			iter_store(p, 2, to + FACT_COMM_END);
	}
	return found;
}

/* A record of each task. */
static int load(const struct btf *b, uint32_t wanted, int level)
{
	struct iter_program p;

	iter_begin(&p, b, FACTS, ITER_TASK);
	iter_store_number(&p, level, FACT_TID);
	return wanted & ~task_facts_store(&p, 0) ? -EOPNOTSUPP : iter_load_program(&p);
}

int task_facts_open(const struct btf *b, uint32_t wanted)
{
	auto_close int fd = load(b, wanted, -1);
	struct task_facts own;
	int r = fd < 0 ? fd : task_facts_of(fd, gettid(), &own);

	return r < 0 ? r : load(b, wanted, (int)own.v[FACT_TID]);
}

int task_facts_tracing(const struct task_facts *facts, uint32_t *ret_options, bool *ret_seized)
{
	uint64_t flags = facts->v[FACT_PTRACE];

	if (!(flags & PT_PTRACED))
		return -ESRCH;
	/* A bit of a later kernel: what it means is not known. */
	if (flags & ~(uint64_t)(PT_PTRACED | PT_SEIZED | OPTIONS << OPTION_SHIFT))
		return -EOPNOTSUPP;
	*ret_options = (uint32_t)(flags >> OPTION_SHIFT) & OPTIONS;
	*ret_seized = flags & PT_SEIZED;
	return 0;
}

bool task_facts_calls_traced(const struct task_facts *facts)
{
	return facts->v[FACT_WORK] & WORK_TRACE;
}

bool task_facts_calls_emulated(const struct task_facts *facts)
{
	return facts->v[FACT_WORK] & WORK_EMU;
}

bool task_facts_dispatched(const struct task_facts *facts)
{
	return facts->v[FACT_WORK] & WORK_DISPATCH;
}

/* linux/sched/jobctl.h */
#define JOBCTL_TRAP_STOP   (UINT64_C(1) << 19)
#define JOBCTL_TRAP_NOTIFY (UINT64_C(1) << 20)
#define JOBCTL_LISTENING   (UINT64_C(1) << 22)

bool task_facts_listens(const struct task_facts *facts)
{
	return facts->v[FACT_JOBCTL] & JOBCTL_LISTENING;
}

bool task_facts_trap_waits(const struct task_facts *facts)
{
	return facts->v[FACT_JOBCTL] & (JOBCTL_TRAP_STOP | JOBCTL_TRAP_NOTIFY);
}
