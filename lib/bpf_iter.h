/*
 * Programs for iterators of bpf(2), written instruction by instruction: the kernel calls them for each task, or
 * for each open file or mapping of each task, and they write a record to whoever reads the iterator. r6 is the task,
 * r7 where to write to. The record lies on the stack, which ends at r10.
 */
#pragma once

#include <linux/bpf.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/btf.h"

#define ITER_INSNS 1024
#define ITER_WORDS 60 /* of a record: the stack has 64, and one is for ourselves */

enum iter_over {
	ITER_TASK,    /* threads */
	ITER_FILE,    /* open descriptors: r8 is the file and r9 the number */
	ITER_MAPPING, /* mappings, of each thread: r8 is the vm_area_struct */
};

struct iter_program {
	const struct btf *btf;
	enum iter_over over;
	size_t words; /* of the record, 64 bits each */
	struct bpf_insn insns[ITER_INSNS];
	size_t n;
	size_t skip[4], nskip; /* jumps to the end, without a record */
	bool failed;           /* this kernel has something not, or there is no room */
};

/* WORDS: of a record. */
void iter_begin(struct iter_program *p, const struct btf *b, size_t words, enum iter_over over);

void iter_add(struct iter_program *p, struct bpf_insn insn);
/* DST = AT of what SRC points to, of SIZE bytes; of more than 8, the first 8. */
void iter_load(struct iter_program *p, uint8_t dst, uint8_t src, uint32_t at, uint32_t size);
/* The same from any address; r1 to r5 are undone, but for DST. */
void iter_peek(struct iter_program *p, uint8_t dst, uint8_t src, uint32_t at, uint32_t size);
/*
 * The same of a field of the structure NAME, which SRC is the address of. It must be there. Only numbers of the
 * task, the file or the mapping itself are loaded, all else is peeked at: to let a program load a pointer the kernel
 * looks through all its types, for a millisecond (kernel/bpf/btf.c, btf_nested_type_is_trusted()).
 */
void iter_load_field(struct iter_program *p, uint8_t dst, uint8_t src, const char *name,
                     const char *path);
/* DST = VALUE */
void iter_set(struct iter_program *p, uint8_t dst, int value);
/* REG &= MASK, as 64 bits with its sign. */
void iter_mask(struct iter_program *p, uint8_t reg, int mask);
/* REG to the word TO of the record. */
void iter_store(struct iter_program *p, uint8_t reg, size_t to);
/* r2 = bit number BIT, a register, of the set of 64 bit words at the address in r3; r1 to r5 are undone. */
void iter_load_bit(struct iter_program *p, uint8_t bit);
/*
 * SIZE bytes, a multiple of 8, at AT of what SRC points to, to the word TO of the record and behind; where nothing is
 * they are 0.
 */
void iter_copy(struct iter_program *p, size_t to, uint8_t src, uint32_t at, uint32_t size);
/* No record if these two registers differ; if this one is 0. */
void iter_skip_unless_same(struct iter_program *p, uint8_t a, uint8_t b);
void iter_skip_if_none(struct iter_program *p, uint8_t reg);
/* The first N words of the record are written now, and besides. */
void iter_write(struct iter_program *p, size_t n);

/*
 * A thread has a number in each pid namespace that it is seen from. LEVEL, that of ours: the number of the task to the
 * word TO. Below 0: how deep down the thread lives, which of ourselves is what is looked for.
 */
void iter_store_number(struct iter_program *p, int level, size_t to);

/* It is written; a descriptor of it, or -errno: -EOPNOTSUPP this kernel lacks something, -E2BIG we lack room. */
int iter_load_program(struct iter_program *p);

/* An iterator over one thread, all threads of a process, or (0, 0) everybody; -errno. */
int iter_open(int program, pid_t tid, pid_t pid);
/* How deep down our pid namespace is; -errno. */
int iter_own_level(const struct btf *b);
/* All that PROGRAM writes about everybody, in fresh memory. -errno. */
ssize_t iter_read_all(int program, void **ret);
