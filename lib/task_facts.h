/*
 * What the kernel knows of a thread and tells through no file: fields of its task_struct, read by an iterator of
 * bpf(2). Where they are is in /sys/kernel/btf/vmlinux (Documentation/bpf/btf.rst). For root, or with
 * CAP_BPF and CAP_PERFMON; whoever uses it must do without where the kernel does not tell.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/btf.h"

/* The fields, by their names in struct task_struct: FACT(number, path); TID is its number in our pid namespace. */
#define TASK_FACTS(FACT)                         \
	FACT(PTRACE, "ptrace")                   \
	FACT(JOBCTL, "jobctl")                   \
	FACT(NSPROXY, "nsproxy")                 \
	FACT(CRED, "cred")                       \
	FACT(REAL_CRED, "real_cred")             \
	FACT(FLAGS, "flags")                     \
	FACT(CPU_FLAGS, "thread_info.flags")     \
	FACT(WORK, "thread_info.syscall_work")   \
	FACT(ATOMIC_FLAGS, "atomic_flags")       \
	FACT(PERSONALITY, "personality")         \
	FACT(PDEATH_SIGNAL, "pdeath_signal")     \
	FACT(TIMER_SLACK, "timer_slack_ns")      \
	FACT(MEMPOLICY, "mempolicy")             \
	FACT(IO_URING, "io_uring")               \
	FACT(SECCOMP, "seccomp.mode")            \
	FACT(SECCOMP_FILTER, "seccomp.filter")   \
	FACT(PENDING, "pending.signal")          \
	FACT(SAS_SP, "sas_ss_sp")                \
	FACT(SAS_SIZE, "sas_ss_size")            \
	FACT(SAS_FLAGS, "sas_ss_flags")          \
	FACT(CLEAR_CHILD_TID, "clear_child_tid") \
	FACT(ROBUST_LIST, "robust_list")         \
	FACT(COMM, "comm")

enum task_fact {
	FACT_TID,
#define FACT(number, path) FACT_##number,
	TASK_FACTS(FACT)
#undef FACT
		FACT_COMM_END, /* the second half of it */
	FACTS,
};

#define FACT_BIT(number) (UINT32_C(1) << FACT_##number)
#define FACT_ALL         ((UINT32_C(1) << FACTS) - 1)

/* Numbers, addresses, the first 64 bits of a set; a name is 16 bytes from FACT_COMM on. */
struct task_facts {
	uint64_t v[FACTS];
};

/*
 * What asks: a descriptor, or -errno. -EOPNOTSUPP: this kernel has not all that are WANTED (FACT_BIT() of
 * each); what else it has not is told as 0. Takes some milliseconds. B may go afterwards.
 */
int task_facts_open(const struct btf *b, uint32_t wanted);

/*
 * For programs that tell of more (lib/bpf_iter.h): all but FACT_TID to the words from TO on. FACT_BIT() of those that
 * there are; the others are told as 0.
 */
struct iter_program;
uint32_t task_facts_store(struct iter_program *p, size_t to);

/* Of the thread TID. -ESRCH: there is none. */
int task_facts_of(int fd, pid_t tid, struct task_facts *ret);

/* Of all threads of the process PID, by their number in its list; at most MAX. How many, or -errno. */
ssize_t task_facts_all(int fd, pid_t pid, struct task_facts *ret, size_t max);

/*
 * An order of what scripts would be answered by two threads, and their status tells, but for what is of a thread alone:
 * alternate stack, robust list, name. Of two processes their credentials are objects of their own, and left out
 * (lib/proc_answers.h has what is in them).
 */
int task_facts_compare(const struct task_facts *a, const struct task_facts *b, bool same_process);

/*
 * How that thread is traced: the options (PTRACE_O_*) that its tracer has set, and whether it was seized
 * (PTRACE_SEIZE). -ESRCH: nobody traces it. -EOPNOTSUPP: in a way of later kernels.
 */
int task_facts_tracing(const struct task_facts *facts, uint32_t *ret_options, bool *ret_seized);

/* Who runs does so by PTRACE_SYSCALL; or by PTRACE_SYSEMU. With FACT_WORK. */
bool task_facts_calls_traced(const struct task_facts *facts);
bool task_facts_calls_emulated(const struct task_facts *facts);
/* Is system call user dispatch (prctl(2)) in force? With FACT_WORK. */
bool task_facts_dispatched(const struct task_facts *facts);
/* Will it stop for its tracer next, with FACT_JOBCTL? As who has just been born does. */
bool task_facts_trap_waits(const struct task_facts *facts);
/* Is it stopped by job control, as its tracer has left it to be (PTRACE_LISTEN)? With FACT_JOBCTL. */
bool task_facts_listens(const struct task_facts *facts);
