#define _GNU_SOURCE
#include "lib/kmem.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "lib/bpf.h"
#include "lib/cleanup.h"

/* What the program is run with; it writes its answer there. */
struct question {
	uint64_t value;  /* out */
	uint64_t at;     /* 0: where the task is that asks */
	int64_t problem; /* out */
};

#define AT(field) ((int16_t)offsetof(struct question, field))

int kmem_open(const struct btf *b, struct kmem *ret)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 6, .src_reg = 1 },
		{ .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 3, .src_reg = 6, .off = AT(at) },
		{ .code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = 3, .off = 4 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_get_current_task },
		{ .code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = 6, .off = AT(value) },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K },
		{ .code = BPF_JMP | BPF_EXIT },
		/* probe_read_kernel(on the stack, 8, at) */
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 1, .src_reg = 10 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 1, .imm = -8 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2, .imm = 8 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_probe_read_kernel },
		{ .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 1, .src_reg = 10, .off = -8 },
		{ .code = BPF_STX | BPF_MEM | BPF_DW,
		  .dst_reg = 6,
		  .src_reg = 1,
		  .off = AT(value) },
		{ .code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = 6, .off = AT(problem) },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	/* The kernel asks for a free licence: these instructions may be used under the MIT licence or the GPL, too. */
	union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_SYSCALL,
		                .insns = (uintptr_t)insns,
		                .insn_cnt = ARRAY_SIZE(insns),
		                .license = (uintptr_t) "Dual MIT/GPL",
		                .prog_flags = BPF_F_SLEEPABLE };
	int r = b ? (int)bpf_load(&attr) : -EOPNOTSUPP;

	*ret = (struct kmem){ .btf = b, .program = r < 0 ? -1 : r };
	return r < 0 ? r : 0;
}

void kmem_done(struct kmem *k)
{
	closep(&k->program);
	k->program = -1;
}

static int ask(const struct kmem *k, struct question *q)
{
	union bpf_attr attr = { .test = { .prog_fd = (uint32_t)k->program,
		                          .ctx_in = (uintptr_t)q,
		                          .ctx_size_in = sizeof(*q) } };
	long r = bpf_call(BPF_PROG_RUN, &attr);

	return r < 0 ? (int)r : q->problem < 0 ? (int)q->problem : 0;
}

/* Whole words are read: none of them reaches into another page. */
int kmem_read(const struct kmem *k, uint64_t at, const struct place *place, uint64_t *ret)
{
	uint64_t from = at + place->at;
	struct question q = { .at = from & ~UINT64_C(7) };
	unsigned shift = 8 * (unsigned)(from & 7);
	int r;

	if (!at || !place->found || !place->size || place->size > 8 - (from & 7))
		return -EFAULT;
	r = ask(k, &q);
	if (r < 0)
		return r;
	*ret = q.value >> shift;
	if (place->size < 8)
		*ret &= (UINT64_C(1) << 8 * place->size) - 1;
	return 0;
}

int kmem_copy(const struct kmem *k, uint64_t at, void *buf, size_t size)
{
	uint8_t *to = buf;

	while (size) {
		size_t skip = at & 7, n = 8 - skip < size ? 8 - skip : size;
		struct question q = { .at = at - skip };
		int r = at < 8 ? -EFAULT : ask(k, &q);

		if (r < 0)
			return r;
		memcpy(to, (const uint8_t *)&q.value + skip, n);
		to += n, at += n, size -= n;
	}
	return 0;
}

int kmem_file(const struct kmem *k, int fd, uint64_t *ret)
{
	const struct place files = btf_place(k->btf, "task_struct", "files"),
			   table = btf_place(k->btf, "files_struct", "fdt"),
			   array = btf_place(k->btf, "fdtable", "fd"),
			   slot = { .found = true, .at = (uint32_t)fd * 8, .size = 8 };
	struct question task = {};
	uint64_t at = 0;
	int r = ask(k, &task);

	if (r == 0)
		r = kmem_read(k, task.value, &files, &at);
	if (r == 0)
		r = kmem_read(k, at, &table, &at);
	if (r == 0)
		r = kmem_read(k, at, &array, &at);
	return r < 0 ? r : kmem_read(k, at, &slot, ret);
}

void kmem_failed(struct kmem_reader *r, int e)
{
	if (!r->error && e < 0)
		r->error = e;
}

uint64_t kmem_get_at(struct kmem_reader *r, const struct place *place, uint64_t at)
{
	uint64_t value = 0;
	int e = place->size ? kmem_read(r->k, at, place, &value) : -EOPNOTSUPP;

	kmem_failed(r, e);
	return e < 0 ? 0 : value;
}

uint64_t kmem_get(struct kmem_reader *r, const char *type, const char *path, uint64_t at)
{
	const struct place place = btf_place(r->k->btf, type, path);

	return kmem_get_at(r, &place, at);
}

uint64_t kmem_private(struct kmem_reader *r, int fd)
{
	uint64_t file = 0;
	int e = kmem_file(r->k, fd, &file);

	kmem_failed(r, e);
	return e < 0 ? 0 : kmem_get(r, "file", "private_data", file);
}

uint64_t kmem_sock(struct kmem_reader *r, int fd)
{
	return kmem_get(r, "socket", "sk", kmem_private(r, fd));
}

struct place kmem_place(struct kmem_reader *r, const char *type, const char *path)
{
	const struct place place = btf_place(r->k->btf, type, path);

	if (!place.found)
		kmem_failed(r, -EOPNOTSUPP);
	return place;
}
