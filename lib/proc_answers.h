/*
 * What a process would answer if it were asked from inside by a script, and what its status tells of its rights, told
 * by the kernel of all at once (lib/bpf_iter.h): what two processes of one thread have in common, they answer alike.
 * For root, or with CAP_BPF and CAP_PERFMON; whoever uses it must do without where the kernel does not tell.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/kernel.h"
#include "lib/task_facts.h"

/* ANSWER(number, field of task_struct, or what that points to, and a field of that, may a kernel be without?) */
/* These it has alone, ... */
#define PROC_ANSWERS_OWN(ANSWER)                                                   \
	ANSWER(BRK, "mm", "mm_struct", "brk", false)                               \
	ANSWER(CHILDREN, "children.next", "", "", false)                           \
	ANSWER(TRACED, "ptraced.next", "", "", false)                              \
	ANSWER(UNDO, "sysvsem.undo_list", "", "", true)                            \
	ANSWER(PENDING, "signal", "signal_struct", "shared_pending.signal", false) \
	ANSWER(REAL, "signal", "signal_struct", "real_timer.state", false)

/* ... others may have these, too. */
#define PROC_ANSWERS_COMMON(ANSWER)                                               \
	ANSWER(REAL_INTERVAL, "signal", "signal_struct", "it_real_incr", false)   \
	ANSWER(SUBREAPER, "signal", "signal_struct", "is_child_subreaper", false) \
	ANSWER(MM_FLAGS, "mm", "mm_struct", "flags", false)                       \
	ANSWER(DEF_FLAGS, "mm", "mm_struct", "def_flags", false)                  \
	ANSWER(LDT, "mm", "mm_struct", "context.ldt", true)                       \
	ANSWER(MEMBARRIER, "mm", "mm_struct", "membarrier_state.counter", true)   \
	ANSWER(SECUREBITS, "cred", "cred", "securebits", false)                   \
	ANSWER(THREAD_KEYRING, "cred", "cred", "thread_keyring", true)            \
	ANSWER(PROCESS_KEYRING, "cred", "cred", "process_keyring", true)

#define PROC_ANSWERS(ANSWER) PROC_ANSWERS_OWN(ANSWER) PROC_ANSWERS_COMMON(ANSWER)

enum proc_answer {
#define ANSWER(number, field, type, path, may_lack) ANSWER_##number,
	PROC_ANSWERS(ANSWER)
#undef ANSWER
		ANSWER_LANDLOCK, /* its domain; 0: it is in none */
	ANSWER_ITIMERS,          /* of CPU time: each expires, and again */
	ANSWERS = ANSWER_ITIMERS + 4,
};

/* In words: what is in its credentials (cred.h) from its user to its capabilities, of unlike length; the rest. */
enum proc_right {
	RIGHT_CRED,
	RIGHT_GROUPS = RIGHT_CRED + 13,
	RIGHT_USER_NS,
	RIGHT_UMASK,
	RIGHTS,
};

struct proc_answers {
	struct kernel_sigaction actions[KERNEL_NSIG];
	uint64_t rights[RIGHTS];
	struct task_facts task; /* of its leader */
	uint64_t v[ANSWERS];    /* CHILDREN, TRACED: 1: there are some, 0: none */
};

/* What asks. */
struct proc_answers_ask {
	int program;
	uint32_t children, traced; /* where these lists begin */
};

/* -errno; -EOPNOTSUPP: this kernel has not all of it. Takes some milliseconds; B may go afterwards. */
int proc_answers_open(const struct btf *b, struct proc_answers_ask *ret);
void proc_answers_done(struct proc_answers_ask *ask);

/* Of everybody who has memory, in fresh memory; how many. -errno. */
ssize_t proc_answers_read(const struct proc_answers_ask *ask, struct proc_answers **ret);

/* Has it children, timers that run or whatever else only itself can tell about? */
bool proc_answers_special(const struct proc_answers *a);
/* An order of all that are not special. 0: they answer alike, but for what lib/task_facts.h has, and ANSWER_BRK. */
int proc_answers_compare(const struct proc_answers *a, const struct proc_answers *b);
