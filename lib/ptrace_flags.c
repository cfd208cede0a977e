/*
 * Which options a tracer has set is known to the kernel alone: task_struct.ptrace, which an
 * iterator of bpf(2) may read. Where in task_struct it is, and which number the
 * iterator over tasks has, is in /sys/kernel/btf/vmlinux (Documentation/bpf/btf.rst).
 */
#include "lib/ptrace_flags.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/btf.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/array.h"
#include "lib/bpf.h"
#include "lib/cleanup.h"
#include "lib/fd.h"

#define VMLINUX     "/sys/kernel/btf/vmlinux"
#define KIND_DECL   17
#define KIND_ENUM64 19

/* include/linux/ptrace.h of the kernel */
#define PT_PTRACED   0x00000001u
#define PT_SEIZED    0x00010000u
#define OPTION_SHIFT 3
#define OPTIONS      (0xffu | PTRACE_O_EXITKILL | PTRACE_O_SUSPEND_SECCOMP)

/* What is wanted of all types. */
struct places {
	uint32_t iterator; /* number of the function that stands for iterators over tasks */
	uint32_t ptrace;   /* offset in struct task_struct; 0: not found */
};

struct btf {
	const char *types, *end, *strings;
	size_t strings_len;
};

/* ---- types ---- */

/* What follows the head of a type. */
static size_t type_rest(const struct btf_type *t)
{
	size_t n = BTF_INFO_VLEN(t->info);

	switch (BTF_INFO_KIND(t->info)) {
	case BTF_KIND_INT:
	case BTF_KIND_VAR:
	case KIND_DECL:
		return sizeof(uint32_t);
	case BTF_KIND_ARRAY:
		return sizeof(struct btf_array);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		return n * sizeof(struct btf_member);
	case BTF_KIND_ENUM:
		return n * sizeof(struct btf_enum);
	case BTF_KIND_FUNC_PROTO:
		return n * sizeof(struct btf_param);
	case BTF_KIND_DATASEC:
		return n * sizeof(struct btf_var_secinfo);
	case KIND_ENUM64:
		return n * 3 * sizeof(uint32_t);
	default:
		return 0;
	}
}

static bool is_called(const struct btf *b, uint32_t name, const char *what)
{
	return name < b->strings_len && !strcmp(b->strings + name, what);
}

static void find_member(const struct btf *b, const struct btf_type *t, struct places *ret)
{
	const struct btf_member *m = (const struct btf_member *)(t + 1);

	for (uint32_t i = 0; i < BTF_INFO_VLEN(t->info); i++)
		if (is_called(b, m[i].name_off, "ptrace"))
			ret->ptrace = (BTF_INFO_KFLAG(t->info) ? BTF_MEMBER_BIT_OFFSET(m[i].offset)
			                                       : m[i].offset) /
			              8;
}

static void find_places(const struct btf *b, struct places *ret)
{
	uint32_t id = 1;

	for (const char *p = b->types; p + sizeof(struct btf_type) <= b->end; id++) {
		const struct btf_type *t = (const struct btf_type *)p;

		p += sizeof(*t) + type_rest(t);
		if (p > b->end)
			return;
		if (BTF_INFO_KIND(t->info) == BTF_KIND_FUNC &&
		    is_called(b, t->name_off, "bpf_iter_task"))
			ret->iterator = id;
		if (BTF_INFO_KIND(t->info) == BTF_KIND_STRUCT &&
		    is_called(b, t->name_off, "task_struct"))
			find_member(b, t, ret);
	}
}

/* Is TEXT what it says it is? */
static int parse(const char *text, size_t len, struct places *ret)
{
	const struct btf_header *head = (const struct btf_header *)text;
	struct btf b;

	if (len < sizeof(*head) || head->magic != BTF_MAGIC || head->hdr_len > len ||
	    (uint64_t)head->type_off + head->type_len > len - head->hdr_len ||
	    (uint64_t)head->str_off + head->str_len > len - head->hdr_len)
		return -EPROTO;
	b.types = text + head->hdr_len + head->type_off;
	b.end = b.types + head->type_len;
	b.strings = text + head->hdr_len + head->str_off;
	b.strings_len = head->str_len;
	find_places(&b, ret);
	return ret->iterator && ret->ptrace && ret->ptrace <= INT16_MAX ? 0 : -EOPNOTSUPP;
}

/* Some megabytes. */
static int read_places(struct places *ret)
{
	auto_close int fd = open(VMLINUX, O_RDONLY | O_CLOEXEC);
	auto_free char *text = NULL;
	struct stat st;
	int r = fd < 0 || fstat(fd, &st) < 0 ? -errno : 0;

	if (r == 0)
		text = calloc(1, (size_t)st.st_size + 1);
	if (r == 0 && !text)
		r = -ENOMEM;
	if (r == 0)
		r = read_full(fd, text, (size_t)st.st_size);
	return r < 0 ? r : parse(text, (size_t)st.st_size, ret);
}

/* ---- the program ---- */

/*
 * Four bytes of one task, to whoever reads the iterator. The kernel lets only programs of a free licence
 * look at its structures: these instructions may be used under the MIT licence or the GPL, too.
 */
static int load(const struct places *places)
{
	const struct bpf_insn program[] = {
		/* r6 = ctx->task; r1 = ctx->meta->seq */
		{ .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 6, .src_reg = 1, .off = 8 },
		{ .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 1, .src_reg = 1 },
		{ .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 1, .src_reg = 1 },
		/* the end of the iteration has none */
		{ .code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 6, .off = 6 },
		{ .code = BPF_LDX | BPF_MEM | BPF_W,
		  .dst_reg = 2,
		  .src_reg = 6,
		  .off = (int16_t)places->ptrace },
		{ .code = BPF_STX | BPF_MEM | BPF_W, .dst_reg = 10, .src_reg = 2, .off = -4 },
		/* bpf_seq_write(seq, the stack, 4) */
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -4 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = 4 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_seq_write },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_TRACING,
		                .insn_cnt = ARRAY_SIZE(program),
		                .insns = (uintptr_t)program,
		                .license = (uintptr_t) "Dual MIT/GPL",
		                .expected_attach_type = BPF_TRACE_ITER,
		                .attach_btf_id = places->iterator };

	return (int)bpf_call(BPF_PROG_LOAD, &attr);
}

/* struct bpf_iter_link_info of 6.1: the one task TID. */
static int iterate(int program, pid_t tid)
{
	const uint32_t info[4] = { (uint32_t)tid };
	union bpf_attr link = { .link_create = { .prog_fd = (uint32_t)program,
		                                 .attach_type = BPF_TRACE_ITER,
		                                 .iter_info = (uintptr_t)info,
		                                 .iter_info_len = sizeof(info) } };
	auto_close int fd = (int)bpf_call(BPF_LINK_CREATE, &link);
	union bpf_attr iter = { .iter_create = { .link_fd = (uint32_t)fd } };

	return fd < 0 ? fd : (int)bpf_call(BPF_ITER_CREATE, &iter);
}

int ptrace_flags_open(void)
{
	struct places places = {};
	int r = read_places(&places);

	return r < 0 ? r : load(&places);
}

int ptrace_flags(int fd, pid_t tid, uint32_t *ret_options, bool *ret_seized)
{
	auto_close int iter = iterate(fd, tid);
	uint32_t flags = 0;
	int r = iter < 0 ? iter : read_full(iter, &flags, sizeof(flags));

	if (r < 0)
		return r;
	if (!(flags & PT_PTRACED))
		return -ESRCH;
	/* A bit of a later kernel: what it means is not known. */
	if (flags & ~(PT_PTRACED | PT_SEIZED | OPTIONS << OPTION_SHIFT))
		return -EOPNOTSUPP;
	*ret_options = flags >> OPTION_SHIFT & OPTIONS;
	*ret_seized = flags & PT_SEIZED;
	return 0;
}
