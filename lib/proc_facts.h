/*
 * What the kernel knows of all processes of this system, told at once (lib/bpf_iter.h), where each of them would
 * have to be asked by several system calls. For root, or with CAP_BPF and CAP_PERFMON; whoever uses it must do
 * without where the kernel does not tell.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/btf.h"

/* FACT(number, field of task_struct, or what that points to, and a field of that) */
#define PROC_FACTS(FACT)                                      \
	FACT(EXECS, "self_exec_id", "", "")                   \
	FACT(MM, "mm", "", "")                                \
	FACT(MM_SEQ, "mm", "mm_struct", "mm_lock_seq")        \
	FACT(MM_FLAGS, "mm", "mm_struct", "flags")            \
	FACT(EXE, "mm", "mm_struct", "exe_file")              \
	FACT(CWD, "fs", "fs_struct", "pwd.dentry")            \
	FACT(CWD_MNT, "fs", "fs_struct", "pwd.mnt")           \
	FACT(ROOT, "fs", "fs_struct", "root.dentry")          \
	FACT(ROOT_MNT, "fs", "fs_struct", "root.mnt")         \
	FACT(CGROUPS, "cgroups", "", "")                      \
	FACT(OOM, "signal", "signal_struct", "oom_score_adj") \
	FACT(TIMERS, "signal", "signal_struct", "posix_timers")

#define PROC_LIMITS_N 16 /* resources, RLIM_NLIMITS of the kernel */
#define PROC_AUXV_N \
	64 /* words that are enough for what it keeps of auxv; behind the last there are zeros */

enum proc_fact {
	PROC_AUXV,                          /* all of them */
	PROC_PID = PROC_AUXV + PROC_AUXV_N, /* in our pid namespace */
#define FACT(number, field, type, path) PROC_##number,
	PROC_FACTS(FACT)
#undef FACT
		PROC_LIMITS, /* all of them, the soft and the hard one of each */
	PROC_WORDS = PROC_LIMITS + 2 * PROC_LIMITS_N,
};

struct proc_facts {
	uint64_t v[PROC_WORDS];
};

/* One descriptor of a process: those of one process stand in a row, by number. */
struct open_fact {
	uint64_t pid; /* in our pid namespace */
	uint64_t fd;
	uint64_t file;     /* the open file description: an address */
	uint64_t cloexec;  /* 1: close-on-exec */
	uint64_t locks;    /* 0: nobody has locked that file, or leased it */
	uint64_t lists[3]; /* for that */
};

/* What asks: descriptors. */
struct proc_asks {
	int processes, opens;
	uint32_t lists[3]; /* where lists of locks begin */
};

/*
 * OPENS: also of descriptors. -errno; -EOPNOTSUPP: this kernel has not all of it. Takes some milliseconds; B may go
 * afterwards.
 */
int proc_asks_open(const struct btf *b, struct proc_asks *ret, bool opens);
void proc_asks_done(struct proc_asks *asks);

/* Of the process PID. -ESRCH: there is none. */
int proc_facts_of(const struct proc_asks *asks, pid_t pid, struct proc_facts *ret);
/* Of everybody, in fresh memory; how many. -errno. */
ssize_t proc_facts_read(const struct proc_asks *asks, struct proc_facts **ret);
ssize_t open_facts_read(const struct proc_asks *asks, struct open_fact **ret);

/*
 * Have the mappings of a process stayed as they were between these two? The kernel counts whenever somebody may have
 * changed them (mm_lock_seq, since 6.4); execve(2) makes new ones.
 */
bool proc_same_maps(const struct proc_facts *a, const struct proc_facts *b);
