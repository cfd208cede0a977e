#include "lib/task_facts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/btf.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
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
#define DEPTH_MAX   8 /* of types within types */

/* include/linux/ptrace.h of the kernel */
#define PT_PTRACED   0x00000001u
#define PT_SEIZED    0x00010000u
#define OPTION_SHIFT 3
#define OPTIONS      (0xffu | PTRACE_O_EXITKILL | PTRACE_O_SUSPEND_SECCOMP)

/* ---- types ---- */

struct btf {
	const char *types, *end, *strings;
	size_t strings_len;
	ARRAY(const struct btf_type *) by_id;
	uint32_t iterator; /* number of the function that stands for iterators over tasks */
	const struct btf_type *thread, *pid, *upid; /* struct task_struct, pid, upid */
};

/* Where something is in memory, in bytes. */
struct place {
	bool found;
	uint32_t at, size; /* size 0: none that we load */
};

static void btf_done(struct btf *b)
{
	array_done(&b->by_id);
}

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

/* The first LEN bytes of WHAT. */
static bool is_called_as(const struct btf *b, uint32_t name, const char *what, size_t len)
{
	return name < b->strings_len && !strncmp(b->strings + name, what, len) &&
	       !b->strings[name + len];
}

static bool is_called(const struct btf *b, uint32_t name, const char *what)
{
	return is_called_as(b, name, what, strlen(what));
}

static void note_struct(struct btf *b, const struct btf_type *t)
{
	if (is_called(b, t->name_off, "task_struct"))
		b->thread = t;
	else if (is_called(b, t->name_off, "pid"))
		b->pid = t;
	else if (is_called(b, t->name_off, "upid"))
		b->upid = t;
}

static int index_types(struct btf *b)
{
	uint32_t id = 1;

	if (!array_add(&b->by_id)) /* void */
		return -ENOMEM;
	for (const char *p = b->types; p + sizeof(struct btf_type) <= b->end; id++) {
		const struct btf_type *t = (const struct btf_type *)p,
				      **slot = array_add(&b->by_id);
		uint32_t kind = BTF_INFO_KIND(t->info);

		if (!slot)
			return -ENOMEM;
		*slot = t;
		p += sizeof(*t) + type_rest(t);
		if (p > b->end)
			return -EPROTO;
		if (kind == BTF_KIND_FUNC && is_called(b, t->name_off, "bpf_iter_task"))
			b->iterator = id;
		if (kind == BTF_KIND_STRUCT)
			note_struct(b, t);
	}
	return b->iterator && b->thread && b->pid && b->upid ? 0 : -EOPNOTSUPP;
}

static const struct btf_type *type_of(const struct btf *b, uint32_t id)
{
	return id < b->by_id.n ? b->by_id.v[id] : NULL;
}

/* Without names and qualifiers. */
static const struct btf_type *bare_type(const struct btf *b, uint32_t id)
{
	const struct btf_type *t = type_of(b, id);

	for (int i = 0; t && i < DEPTH_MAX; i++) {
		switch (BTF_INFO_KIND(t->info)) {
		case BTF_KIND_TYPEDEF:
		case BTF_KIND_VOLATILE:
		case BTF_KIND_CONST:
		case BTF_KIND_RESTRICT:
			t = type_of(b, t->type);
			continue;
		default:
			return t;
		}
	}
	return NULL;
}

static uint32_t size_of(const struct btf *b, const struct btf_type *t)
{
	const struct btf_array *a = (const struct btf_array *)(t + 1);
	const struct btf_type *of;

	switch (BTF_INFO_KIND(t->info)) {
	case BTF_KIND_PTR:
		return sizeof(uint64_t);
	case BTF_KIND_ARRAY:
		of = bare_type(b, a->type);
		return of && BTF_INFO_KIND(of->info) == BTF_KIND_INT ? a->nelems * of->size : 0;
	case BTF_KIND_INT:
	case BTF_KIND_ENUM:
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		return t->size;
	default:
		return 0;
	}
}

/* "a.b" below T, which begins at BASE; also within members that have no name. */
static struct place find_place(const struct btf *b, const struct btf_type *t, const char *path,
                               uint32_t base, int depth)
{
	const struct btf_member *m = (const struct btf_member *)(t + 1);
	size_t len = strcspn(path, ".");
	struct place none = {};

	if (depth > DEPTH_MAX ||
	    (BTF_INFO_KIND(t->info) != BTF_KIND_STRUCT && BTF_INFO_KIND(t->info) != BTF_KIND_UNION))
		return none;
	for (uint32_t i = 0; i < BTF_INFO_VLEN(t->info); i++) {
		bool packed = BTF_INFO_KFLAG(t->info);
		uint32_t bit = packed ? BTF_MEMBER_BIT_OFFSET(m[i].offset) : m[i].offset;
		const struct btf_type *of = bare_type(b, m[i].type);

		if (!of || (packed && BTF_MEMBER_BITFIELD_SIZE(m[i].offset)))
			continue;
		if (is_called_as(b, m[i].name_off, path, len))
			return path[len] ? find_place(b, of, path + len + 1, base + bit / 8,
			                              depth + 1)
			                 : (struct place){ true, base + bit / 8, size_of(b, of) };
		if (is_called(b, m[i].name_off, "")) {
			struct place p = find_place(b, of, path, base + bit / 8, depth + 1);

			if (p.found)
				return p;
		}
	}
	return none;
}

/* Is TEXT what it says it is? */
static int btf_parse(struct btf *b, const char *text, size_t len)
{
	const struct btf_header *head = (const struct btf_header *)text;

	if (len < sizeof(*head) || head->magic != BTF_MAGIC || head->hdr_len > len ||
	    (uint64_t)head->type_off + head->type_len > len - head->hdr_len ||
	    (uint64_t)head->str_off + head->str_len > len - head->hdr_len || !head->str_len ||
	    text[head->hdr_len + (size_t)head->str_off + head->str_len - 1])
		return -EPROTO;
	b->types = text + head->hdr_len + head->type_off;
	b->end = b->types + head->type_len;
	b->strings = text + head->hdr_len + head->str_off;
	b->strings_len = head->str_len;
	return index_types(b);
}

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
	struct place pid = find_place(b, b->thread, "thread_pid", 0, 0);
	struct place deep = find_place(b, b->pid, "level", 0, 0);
	struct place numbers = find_place(b, b->pid, "numbers", 0, 0);
	struct place nr = find_place(b, b->upid, "nr", 0, 0);

	if (!pid.size || !deep.size || !numbers.found || nr.size != 4)
		return -EOPNOTSUPP;
	store_behind(p, &pid,
	             level < 0 ? deep.at : numbers.at + (uint32_t)level * b->upid->size + nr.at,
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
	uint32_t found = FACT_BIT(TID) | FACT_BIT(COMM_END);

	for (size_t i = 0; i < FACTS; i++) {
		struct place place = {};

		if (!paths[i])
			continue;
		place = find_place(b, b->thread, paths[i], 0, 0);
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
		                .attach_btf_id = b->iterator };
	size_t jump;
	int r;

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

/* Some megabytes; mapped, where the kernel lets us (since 6.16). */
static int load_from(int fd, size_t size, uint32_t wanted)
{
	auto_(btf_done) struct btf b = {};
	auto_free char *text = NULL;
	void *map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	int r = 0;

	if (map == MAP_FAILED) {
		text = malloc(size);
		r = text ? read_full(fd, text, size) : -ENOMEM;
	}
	if (r == 0)
		r = btf_parse(&b, text ? text : map, size);
	if (r == 0)
		r = load_both(&b, wanted);
	if (map != MAP_FAILED)
		munmap(map, size);
	return r;
}

int task_facts_open(uint32_t wanted)
{
	auto_close int fd = open(VMLINUX, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	return load_from(fd, (size_t)st.st_size, wanted);
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
