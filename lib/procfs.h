/*
 * The texts of /proc/PID: maps, smaps, stat, and the "Key:\tvalue" lines of
 * status and fdinfo. Parsers take text and need no process; readers take PROC,
 * a descriptor of /proc/PID. Nothing here logs.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* ---- maps and smaps ---- */

/* VmFlags of smaps: the mnemonics of fs/proc/task_mmu.c, bit by bit. */
/* clang-format off */
#define VM_FLAGS(X)                                                                         \
	X(rd) X(wr) X(ex) X(sh) X(mr) X(mw) X(me) X(ms) X(gd) X(pf) X(lo) X(io) X(sr) X(rr) \
	X(dc) X(de) X(ac) X(nr) X(ht) X(sf) X(ar) X(wf) X(dd) X(sd) X(mm) X(hg) X(nh) X(mg) \
	X(um) X(uw) X(ui) X(bt) X(mt) X(ss) X(sl) X(lf) X(dp) X(gu) X(nl)
/* clang-format on */

enum vm_flag_bit {
#define X(name) VMF_BIT_##name,
	VM_FLAGS(X)
#undef X
};

/* VMF(gd): the mapping grows down. A mnemonic that we do not know sets VMF_UNKNOWN, a flag without one VMF_UNNAMED. */
#define VMF(name)   (UINT64_C(1) << VMF_BIT_##name)
#define VMF_UNKNOWN (UINT64_C(1) << 63)
#define VMF_UNNAMED (UINT64_C(1) << 62)

struct map_line {
	uint64_t start, end, offset;
	uint32_t prot; /* PROT_* */
	bool shared;
	dev_t dev;
	uint64_t ino;
	const char *name; /* as in maps: newlines as \012; not terminated */
	size_t len;       /* of the name, 0 for anonymous memory */
	uint64_t flags;   /* VMF(...), smaps only: else 0 */
	uint32_t pkey;    /* protection key, smaps only: else 0 */
};

/*
 * Parse the first mapping of TEXT, which is maps or smaps; LAST: no more text
 * will follow. Returns the bytes that the mapping took, 0 when more text is
 * needed (with LAST: TEXT is empty), -EPROTO when it is not as the kernel
 * writes it. The name points into TEXT.
 */
ssize_t map_parse(const char *text, size_t size, bool last, struct map_line *ret);

/*
 * Call FN for every mapping, in order of address; what it returns below zero
 * ends the walk and is returned. The line is valid during the call. smaps is
 * 6 times as slow as maps. The memory needed does not depend on the number of
 * mappings.
 */
typedef int map_fn(const struct map_line *line, void *arg);
int maps_each(int proc, map_fn *fn, void *arg);
int smaps_each(int proc, map_fn *fn, void *arg);

/*
 * The line that begins at AT alone, terminated: sscanf(3) measures all of its string at each call. false: SIZE is too
 * little for it.
 */
bool line_cut(const char *at, char *buf, size_t size);

/* ---- key: value ---- */

/* The value of the first line "KEY:", without blanks around it, not terminated; NULL: no such key. */
const char *key_value(const char *text, const char *key, size_t *ret_len);

/* Of the text of /proc/PID/status: its number in its own pid namespace; 0: that is not told. */
pid_t status_inner_pid(const char *status);

/*
 * The number that this value starts with, in base 8, 10 or 16 (there with or
 * without 0x). False and *RET untouched: no such key, no number, a negative
 * one or one beyond 64 bits.
 */
bool key_u64(const char *text, const char *key, int base, uint64_t *ret);

/* Number after KEY in fdinfo text ("eventfd-count:  2a"). */
static inline bool fdinfo_u64(const char *fdinfo, const char *key, int base, uint64_t *ret)
{
	return key_u64(fdinfo, key, base, ret);
}

/* Number after KEY in the text of status ("Seccomp:\t2"). */
static inline bool status_u64(const char *status, const char *key, int base, uint64_t *ret)
{
	return key_u64(status, key, base, ret);
}

/* ---- stat ---- */

/* Numbers of fields as in proc(5). */
/* clang-format off */
enum stat_field {
	STAT_PPID = 4, STAT_PGRP, STAT_SESSION, STAT_TTY_NR, STAT_TPGID, STAT_FLAGS,
	STAT_UTIME = 14, STAT_STIME, STAT_PRIORITY = 18, STAT_NICE, STAT_NUM_THREADS,
	STAT_STARTTIME = 22, STAT_VSIZE, STAT_RSS,
	STAT_STARTCODE = 26, STAT_ENDCODE, STAT_STARTSTACK,
	STAT_EXIT_SIGNAL = 38, STAT_PROCESSOR, STAT_RT_PRIORITY, STAT_POLICY,
	STAT_START_DATA = 45, STAT_END_DATA, STAT_START_BRK,
	STAT_ARG_START, STAT_ARG_END, STAT_ENV_START, STAT_ENV_END, STAT_EXIT_CODE,
	STAT_FIELDS
};
/* clang-format on */

struct proc_stat {
	pid_t pid;
	char comm[64];               /* 15 bytes of a program, more of a kernel thread */
	char state;                  /* R S D T t Z X I */
	uint64_t field[STAT_FIELDS]; /* by stat_field; negative ones in two's complement */
};

/* -EPROTO when the text is not as the kernel writes it. COMM may hold blanks and parentheses. */
int stat_parse(const char *text, struct proc_stat *ret);

/* PATH below PROC: "stat" or "task/TID/stat". */
int stat_read(int proc, const char *path, struct proc_stat *ret);
