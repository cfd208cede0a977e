#include "lib/bpf_iter.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/bpf.h"
#include "lib/cleanup.h"
#include "lib/fd.h"

#define READ_SIZE 65536

/* ---- writing ---- */

void iter_add(struct iter_program *p, struct bpf_insn insn)
{
	p->failed |= p->n == ITER_INSNS;
	if (!p->failed)
		p->insns[p->n++] = insn;
}

static uint8_t width(uint32_t size)
{
	return size >= 8 ? BPF_DW : size >= 4 ? BPF_W : size >= 2 ? BPF_H : BPF_B;
}

static void load(struct iter_program *p, uint8_t dst, uint8_t src, int16_t at, uint32_t size)
{
	iter_add(p, (struct bpf_insn){ .code = (uint8_t)(BPF_LDX | BPF_MEM | width(size)),
	                               .dst_reg = dst,
	                               .src_reg = src,
	                               .off = at });
}

void iter_load(struct iter_program *p, uint8_t dst, uint8_t src, uint32_t at, uint32_t size)
{
	p->failed |= at > INT16_MAX || !size;
	load(p, dst, src, (int16_t)at, size);
}

/* Where a word of the record is, from the end of the stack. */
static int16_t word_at(const struct iter_program *p, size_t word)
{
	return (int16_t)(((int)word - (int)p->words) * 8);
}

void iter_store(struct iter_program *p, uint8_t reg, size_t to)
{
	iter_add(p, (struct bpf_insn){ .code = BPF_STX | BPF_MEM | BPF_DW,
	                               .dst_reg = 10,
	                               .src_reg = reg,
	                               .off = word_at(p, to) });
}

static void alu(struct iter_program *p, int op, uint8_t dst, int value)
{
	iter_add(p, (struct bpf_insn){ .code = (uint8_t)(BPF_ALU64 | op | BPF_K),
	                               .dst_reg = dst,
	                               .imm = value });
}

static void alu_with(struct iter_program *p, int op, uint8_t dst, uint8_t src)
{
	iter_add(p, (struct bpf_insn){ .code = (uint8_t)(BPF_ALU64 | op | BPF_X),
	                               .dst_reg = dst,
	                               .src_reg = src });
}

static void address_of(struct iter_program *p, uint8_t dst, int16_t at)
{
	alu_with(p, BPF_MOV, dst, 10);
	alu(p, BPF_ADD, dst, at);
}

void iter_set(struct iter_program *p, uint8_t dst, int value)
{
	alu(p, BPF_MOV, dst, value);
}

void iter_mask(struct iter_program *p, uint8_t reg, int mask)
{
	alu(p, BPF_AND, reg, mask);
}

static void call(struct iter_program *p, int function)
{
	iter_add(p, (struct bpf_insn){ .code = BPF_JMP | BPF_CALL, .imm = function });
}

/* bpf_probe_read_kernel(to the stack at TO, SIZE, r3), which leaves r1 to r5 undone */
static void read_kernel(struct iter_program *p, int16_t to, uint32_t size)
{
	address_of(p, 1, to);
	iter_set(p, 2, (int)size);
	call(p, BPF_FUNC_probe_read_kernel);
}

void iter_copy(struct iter_program *p, size_t to, uint8_t src, uint32_t at, uint32_t size)
{
	p->failed |= to + size / 8 > p->words;
	alu_with(p, BPF_MOV, 3, src);
	alu(p, BPF_ADD, 3, (int)at);
	read_kernel(p, word_at(p, to), size);
}

/* By way of the word below the record. */
void iter_peek(struct iter_program *p, uint8_t dst, uint8_t src, uint32_t at, uint32_t size)
{
	int16_t below = (int16_t)(word_at(p, 0) - 8);

	p->failed |= !size;
	size = size < 8 ? size : 8;
	alu_with(p, BPF_MOV, 3, src);
	alu(p, BPF_ADD, 3, (int)at);
	read_kernel(p, below, size);
	load(p, dst, 10, below, size);
}

void iter_load_field(struct iter_program *p, uint8_t dst, uint8_t src, const char *name,
                     const char *path)
{
	struct place place = btf_place(p->btf, name, path);
	bool typed = src == 6 || src == 8;

	(typed && !place.pointer ? iter_load : iter_peek)(p, dst, src, place.at, place.size);
}

void iter_load_bit(struct iter_program *p, uint8_t bit)
{
	alu_with(p, BPF_MOV, 2, bit);
	alu(p, BPF_RSH, 2, 6);
	alu(p, BPF_LSH, 2, 3);
	alu_with(p, BPF_ADD, 3, 2);
	iter_peek(p, 2, 3, 0, 8);
	alu_with(p, BPF_MOV, 3, bit);
	alu(p, BPF_AND, 3, 63);
	alu_with(p, BPF_RSH, 2, 3);
	alu(p, BPF_AND, 2, 1);
}

static void add_skip(struct iter_program *p, struct bpf_insn jump)
{
	p->failed |= p->nskip == sizeof(p->skip) / sizeof(p->skip[0]);
	if (!p->failed)
		p->skip[p->nskip++] = p->n;
	iter_add(p, jump);
}

void iter_skip_unless_same(struct iter_program *p, uint8_t a, uint8_t b)
{
	add_skip(p, (struct bpf_insn){
			    .code = BPF_JMP | BPF_JNE | BPF_X, .dst_reg = a, .src_reg = b });
}

void iter_skip_if_none(struct iter_program *p, uint8_t reg)
{
	add_skip(p, (struct bpf_insn){ .code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = reg });
}

void iter_begin(struct iter_program *p, const struct btf *b, size_t words, enum iter_over over)
{
	*p = (struct iter_program){
		.btf = b, .over = over, .words = words, .failed = words > ITER_WORDS
	};
	/* ctx->task; ctx->meta->seq; the end of the iteration has no task */
	iter_load(p, 6, 1, 8, 8);
	iter_load(p, 7, 1, 0, 8);
	iter_load(p, 7, 7, 0, 8);
	/* ctx->fd, ctx->file; ctx->vma */
	if (over == ITER_FILE)
		iter_load(p, 9, 1, 16, 4);
	if (over != ITER_TASK) {
		iter_load(p, 8, 1, over == ITER_FILE ? 24 : 16, 8);
		iter_skip_if_none(p, 8);
	}
	iter_skip_if_none(p, 6);
}

void iter_store_number(struct iter_program *p, int level, size_t to)
{
	struct place numbers = btf_place(p->btf, "pid", "numbers");
	struct place nr = btf_place(p->btf, "upid", "nr");
	const struct btf_type *upid = btf_struct(p->btf, "upid");

	iter_load_field(p, 2, 6, "task_struct", "thread_pid");
	if (!upid || !numbers.found)
		p->failed = true;
	else if (level < 0)
		iter_load_field(p, 2, 2, "pid", "level");
	else
		iter_peek(p, 2, 2, numbers.at + (uint32_t)level * upid->size + nr.at, nr.size);
	iter_store(p, 2, to);
}

/* bpf_seq_write(seq, the record, its size): of what is too much for the buffer the kernel makes another try. */
void iter_write(struct iter_program *p, size_t n)
{
	alu_with(p, BPF_MOV, 1, 7);
	address_of(p, 2, word_at(p, 0));
	iter_set(p, 3, (int)n * 8);
	call(p, BPF_FUNC_seq_write);
}

static void finish(struct iter_program *p)
{
	iter_write(p, p->words);
	for (size_t i = 0; i < p->nskip; i++)
		p->insns[p->skip[i]].off = (int16_t)(p->n - p->skip[i] - 1);
	iter_set(p, 0, 0);
	iter_add(p, (struct bpf_insn){ .code = BPF_JMP | BPF_EXIT });
}

/*
 * The kernel lets only programs of a free licence look at its structures: these instructions may be used
 * under the MIT licence or the GPL, too.
 */
int iter_load_program(struct iter_program *p)
{
	static const char *const over[] = { [ITER_TASK] = "bpf_iter_task",
		                            [ITER_FILE] = "bpf_iter_task_file",
		                            [ITER_MAPPING] = "bpf_iter_task_vma" };
	union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_TRACING,
		                .insns = (uintptr_t)p->insns,
		                .license = (uintptr_t) "Dual MIT/GPL",
		                .expected_attach_type = BPF_TRACE_ITER,
		                .attach_btf_id = btf_function(p->btf, over[p->over]) };

	finish(p);
	attr.insn_cnt = (uint32_t)p->n;
	if (p->n == ITER_INSNS)
		return -E2BIG;
	return p->failed || !attr.attach_btf_id ? -EOPNOTSUPP : bpf_load(&attr);
}

/* ---- reading ---- */

/* struct bpf_iter_link_info of 6.1 */
int iter_open(int program, pid_t tid, pid_t pid)
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

int iter_own_level(const struct btf *b)
{
	struct iter_program p;
	auto_close int program = -1, iter = -1;
	uint64_t level;

	iter_begin(&p, b, 1, ITER_TASK);
	iter_store_number(&p, -1, 0);
	program = iter_load_program(&p);
	iter = program < 0 ? program : iter_open(program, gettid(), 0);
	if (iter < 0)
		return iter;
	return read(iter, &level, sizeof(level)) == sizeof(level) ? (int)level : -EOPNOTSUPP;
}

ssize_t iter_read_all(int program, void **ret)
{
	auto_close int iter = iter_open(program, 0, 0);
	auto_free char *all = NULL;
	size_t got = 0, size = 0;

	if (iter < 0)
		return iter;
	while (got == size) {
		char *more = realloc(all, size = 2 * size + READ_SIZE);
		ssize_t n;

		if (!more)
			return -ENOMEM;
		all = more;
		n = read_most(iter, all + got, size - got);
		if (n < 0)
			return n;
		got += (size_t)n;
	}
	*ret = take_ptr(all);
	return (ssize_t)got;
}
