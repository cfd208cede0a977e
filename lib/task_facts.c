#include "lib/task_facts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <unistd.h>

#include "lib/bpf.h"
#include "lib/btf.h"
#include "lib/cleanup.h"
#include "lib/fd.h"

/* include/linux/ptrace.h of the kernel */
#define PT_PTRACED   0x00000001u
#define PT_SEIZED    0x00010000u
#define OPTION_SHIFT 3
#define OPTIONS      (0xffu | PTRACE_O_EXITKILL | PTRACE_O_SUSPEND_SECCOMP)

/* ---- asking ---- */

/* struct bpf_iter_link_info of 6.1: one thread, or all of a process; 0: not that. */
static int iterate(int program, pid_t tid, pid_t pid)
{
	const uint32_t info[4] = { (uint32_t)tid, (uint32_t)pid };
	union bpf_attr link = { .link_create = { .prog_fd = (uint32_t)program,
		                                 .attach_type = BPF_TRACE_ITER,
		                                 .iter_info = (uintptr_t)info,
		                                 .iter_info_len = sizeof(info) } };
	auto_close int fd = (int)bpf_call(BPF_LINK_CREATE, &link);
	union bpf_attr iter = { .iter_create = { .link_fd = (uint32_t)fd } };

	return fd < 0 ? fd : (int)bpf_call(BPF_ITER_CREATE, &iter);
}

int task_facts_of(int fd, pid_t tid, struct task_facts *ret)
{
	auto_close int iter = iterate(fd, tid, 0);
	int r = iter < 0 ? iter : read_full(iter, ret, sizeof(*ret));

	return r == -ENODATA ? -ESRCH : r;
}

ssize_t task_facts_all(int fd, pid_t pid, struct task_facts *ret, size_t max)
{
	auto_close int iter = iterate(fd, 0, pid);
	size_t size = max * sizeof(*ret), got = 0;

	if (iter < 0)
		return iter;
	while (got < size) {
		ssize_t n = read(iter, (char *)ret + got, size - got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return (ssize_t)(got / sizeof(*ret));
}

/* ---- the program ---- */

#define RECORD ((int)sizeof(struct task_facts))

struct program {
	struct bpf_insn insns[16 + 4 * FACTS];
	size_t n;
};

static void add(struct program *p, struct bpf_insn insn)
{
	p->insns[p->n++] = insn;
}

/* BPF_LDX or BPF_STX of SIZE bytes. */
static struct bpf_insn move(int class, int size, uint8_t dst, uint8_t src, int off)
{
	return (struct bpf_insn){ .code = (uint8_t)(class | BPF_MEM | (size == 8 ? BPF_DW : BPF_W)),
		                  .dst_reg = dst,
		                  .src_reg = src,
		                  .off = (int16_t)off };
}

/* r2, and so *TO of the record on the stack, which ends at r10. */
static void store(struct program *p, enum task_fact to)
{
	add(p, move(BPF_STX, 8, 10, 2, (int)(to - FACTS) * 8));
}

/* From the task, which is r6. */
static void store_field(struct program *p, const struct place *place, size_t half,
                        enum task_fact to)
{
	if (place->size)
		add(p, move(BPF_LDX, place->size >= 8 ? 8 : 4, 2, 6, (int)(place->at + half)));
	else
		add(p, (struct bpf_insn){ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2 });
	store(p, to);
}

/* From what one of its fields points to: 32 bits at AT of it. */
static void store_behind(struct program *p, const struct place *pointer, uint32_t at,
                         enum task_fact to)
{
	add(p, move(BPF_LDX, 8, 2, 6, (int)pointer->at));
	add(p, move(BPF_LDX, 4, 2, 2, (int)at));
	store(p, to);
}

/*
 * A thread has a number in each pid namespace that it is seen from. Which one is ours, where nothing is known yet, that
 * says: instead of a number it tells how deep down the thread lives, which of ourselves is what is looked for.
 */
static int store_number(struct program *p, const struct btf *b, int level)
{
	struct place pid = btf_place(b, "task_struct", "thread_pid");
	struct place deep = btf_place(b, "pid", "level");
	struct place numbers = btf_place(b, "pid", "numbers");
	struct place nr = btf_place(b, "upid", "nr");
	const struct btf_type *upid = btf_struct(b, "upid");

	if (!upid || !pid.size || !deep.size || !numbers.found || nr.size != 4)
		return -EOPNOTSUPP;
	store_behind(p, &pid,
	             level < 0 ? deep.at : numbers.at + (uint32_t)level * upid->size + nr.at,
	             FACT_TID);
	return 0;
}

/* Bits of what there is. */
static uint32_t store_fields(struct program *p, const struct btf *b)
{
	static const char *const paths[FACTS] = {
#define FACT(number, path) [FACT_##number] = (path),
		TASK_FACTS(FACT)
#undef FACT
	};
	const struct btf_type *thread = btf_struct(b, "task_struct");
	uint32_t found = FACT_BIT(TID) | FACT_BIT(COMM_END);

	for (size_t i = 0; i < FACTS; i++) {
		struct place place = {};

		if (!paths[i] || !thread)
			continue;
		place = btf_place_in(b, thread, paths[i]);
		if (place.at + place.size > INT16_MAX || place.size < 4)
			place.size = 0;
		found |= place.size ? UINT32_C(1) << i : 0;
		store_field(p, &place, 0, (enum task_fact)i);
		if (i == FACT_COMM)
			store_field(p, &place, 8, FACT_COMM_END);
	}
	return found;
}

/*
 * A record of each task, to whoever reads the iterator. The kernel lets only programs of a free licence
 * look at its structures: these instructions may be used under the MIT licence or the GPL, too.
 */
static int load(const struct btf *b, uint32_t wanted, int level)
{
	struct program p = {};
	union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_TRACING,
		                .insns = (uintptr_t)p.insns,
		                .license = (uintptr_t) "Dual MIT/GPL",
		                .expected_attach_type = BPF_TRACE_ITER,
		                .attach_btf_id = btf_function(b, "bpf_iter_task") };
	size_t jump;
	int r;

	if (!attr.attach_btf_id)
		return -EOPNOTSUPP;

	/* r6 = ctx->task; r7 = ctx->meta->seq; the end of the iteration has no task */
	add(&p, move(BPF_LDX, 8, 6, 1, 8));
	add(&p, move(BPF_LDX, 8, 7, 1, 0));
	add(&p, move(BPF_LDX, 8, 7, 7, 0));
	jump = p.n;
	add(&p, (struct bpf_insn){ .code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 6 });
	r = store_number(&p, b, level);
	if (r < 0 || wanted & ~store_fields(&p, b))
		return -EOPNOTSUPP;
	/* bpf_seq_write(seq, the record, its size) */
	add(&p,
	    (struct bpf_insn){ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 1, .src_reg = 7 });
	add(&p,
	    (struct bpf_insn){ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10 });
	add(&p,
	    (struct bpf_insn){ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -RECORD });
	add(&p,
	    (struct bpf_insn){ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = RECORD });
	add(&p, (struct bpf_insn){ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_seq_write });
	p.insns[jump].off = (int16_t)(p.n - jump - 1);
	add(&p, (struct bpf_insn){ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0 });
	add(&p, (struct bpf_insn){ .code = BPF_JMP | BPF_EXIT });
	attr.insn_cnt = (uint32_t)p.n;
	return (int)bpf_call(BPF_PROG_LOAD, &attr);
}

static int load_both(const struct btf *b, uint32_t wanted)
{
	auto_close int fd = load(b, wanted, -1);
	struct task_facts own;
	int r = fd < 0 ? fd : task_facts_of(fd, gettid(), &own);

	return r < 0 ? r : load(b, wanted, (int)own.v[FACT_TID]);
}

int task_facts_open(uint32_t wanted)
{
	auto_(btf_done) struct btf b = {};
	int r = btf_open(&b);

	return r < 0 ? r : load_both(&b, wanted);
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

/* enum syscall_work_bit of linux/thread_info.h, since 5.11. */
#define WORK_TRACE    (UINT64_C(1) << 2)
#define WORK_EMU      (UINT64_C(1) << 3)
#define WORK_DISPATCH (UINT64_C(1) << 5)

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

bool task_facts_trap_waits(const struct task_facts *facts)
{
	return facts->v[FACT_JOBCTL] & (JOBCTL_TRAP_STOP | JOBCTL_TRAP_NOTIFY);
}
