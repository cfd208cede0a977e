/*
 * Counting the system calls of one process without tracing it: a program of bpf(2) at the raw
 * tracepoint sys_enter, which sends the signal at the Nth. So crtool meets nobody that users would not
 * have there: it has no tracer, its children and what it restores know nothing of it, and the
 * signal comes from within the call, which is made yet.
 */
#pragma once

#include <linux/bpf.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/user.h>
#include <unistd.h>

/* Shared with the program. */
struct count {
	int64_t made, at;
	uint64_t nr, arg; /* of the call AT */
	uint64_t
		tgid; /* whose calls are counted, as it is called in our pid namespace; 0: nobody's */
	uint64_t signal; /* 0: none */
};

static long count_bpf(int command, union bpf_attr *attr)
{
	return syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static int count_map(struct count **ret)
{
	union bpf_attr attr = { .map_type = BPF_MAP_TYPE_ARRAY,
		                .key_size = 4,
		                .value_size = sizeof(struct count),
		                .max_entries = 1,
		                .map_flags = BPF_F_MMAPABLE };
	int fd = (int)count_bpf(BPF_MAP_CREATE, &attr);
	void *shared = fd < 0 ? MAP_FAILED
	                      : mmap(NULL, sizeof(struct count), PROT_READ | PROT_WRITE, MAP_SHARED,
	                             fd, 0);

	if (shared == MAP_FAILED)
		return -1;
	*ret = shared;
	return fd;
}

#define AT(field) ((int16_t)offsetof(struct count, field))
#define LOAD(dst, src, offset)                                                          \
	{                                                                               \
		.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = (dst), .src_reg = (src), \
		.off = (offset)                                                         \
	}
#define STORE(dst, src, offset)                                                         \
	{                                                                               \
		.code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = (dst), .src_reg = (src), \
		.off = (offset)                                                         \
	}
#define MOVE(dst, src)                                                                  \
	{                                                                               \
		.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = (dst), .src_reg = (src) \
	}
#define SET(dst, value)                                                               \
	{                                                                             \
		.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = (dst), .imm = (value) \
	}
#define ADD(dst, value)                                                               \
	{                                                                             \
		.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = (dst), .imm = (value) \
	}
#define CALL(function)                                        \
	{                                                     \
		.code = BPF_JMP | BPF_CALL, .imm = (function) \
	}
#define WIDE(dst, kind, value)                            \
	{ .code = BPF_LD | BPF_IMM | BPF_DW,              \
	  .dst_reg = (dst),                               \
	  .src_reg = (kind),                              \
	  .imm = (int32_t)(value) },                      \
	{                                                 \
		.imm = (int32_t)((uint64_t)(value) >> 32) \
	}
/* To the end, which is FURTHER on. */
#define OUT_UNLESS_EQUAL(a, b, further)                                            \
	{                                                                          \
		.code = BPF_JMP | BPF_JNE | BPF_X, .dst_reg = (a), .src_reg = (b), \
		.off = (further)                                                   \
	}
#define OUT_UNLESS_ZERO(a, further)                                                 \
	{                                                                           \
		.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = (a), .off = (further) \
	}
#define OUT_IF_ZERO(a, further)                                                     \
	{                                                                           \
		.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = (a), .off = (further) \
	}

/* Of the tracepoint: the registers of the caller, the number of the call. */
static int count_program(int map)
{
	struct stat ns = {};
	int known = stat("/proc/self/ns/pid", &ns);
	const uint64_t dev = (uint64_t)major(ns.st_dev) << 20 | minor(ns.st_dev);
	const struct bpf_insn insns[] = {
		MOVE(6, 1),
		WIDE(1, 0, dev),
		WIDE(2, 0, ns.st_ino),
		MOVE(3, 10),
		ADD(3, -8),
		SET(4, 8),
		CALL(BPF_FUNC_get_ns_current_pid_tgid),
		OUT_UNLESS_ZERO(0, 23),
		WIDE(7, BPF_PSEUDO_MAP_VALUE, map),
		{ .code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 1, .src_reg = 10, .off = -4 },
		LOAD(2, 7, AT(tgid)),
		OUT_UNLESS_EQUAL(1, 2, 18),
		SET(1, 1),
		{ .code = BPF_STX | BPF_ATOMIC | BPF_DW,
		  .dst_reg = 7,
		  .src_reg = 1,
		  .off = AT(made),
		  .imm = BPF_ADD | BPF_FETCH },
		ADD(1, 1),
		LOAD(2, 7, AT(at)),
		OUT_UNLESS_EQUAL(1, 2, 13),
		LOAD(1, 6, 8),
		STORE(7, 1, AT(nr)),
		MOVE(1, 10),
		ADD(1, -8),
		SET(2, 8),
		LOAD(3, 6, 0),
		ADD(3, offsetof(struct user_regs_struct, rdi)),
		CALL(BPF_FUNC_probe_read_kernel),
		LOAD(1, 10, -8),
		STORE(7, 1, AT(arg)),
		LOAD(1, 7, AT(signal)),
		OUT_IF_ZERO(1, 1),
		CALL(BPF_FUNC_send_signal),
		SET(0, 0),
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_RAW_TRACEPOINT,
		                .insns = (uintptr_t)insns,
		                .insn_cnt = sizeof(insns) / sizeof(insns[0]),
		                .license = (uintptr_t) "Dual MIT/GPL" };

	return known < 0 ? -1 : (int)count_bpf(BPF_PROG_LOAD, &attr);
}

/* From now on calls are counted, of who is told in the result. NULL: not here. */
static struct count *count_begin(void)
{
	union bpf_attr attr = { .raw_tracepoint = { .name = (uintptr_t) "sys_enter" } };
	struct count *c = NULL;
	int map = count_map(&c);
	int program = map < 0 ? -1 : count_program(map);

	if (program < 0)
		return NULL;
	attr.raw_tracepoint.prog_fd = (uint32_t)program;
	return count_bpf(BPF_RAW_TRACEPOINT_OPEN, &attr) < 0 ? NULL : c;
}
