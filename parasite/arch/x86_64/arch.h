/*
 * x86-64. The register file is ptrace's struct user_regs_struct, whose tail
 * (rip, cs, eflags, rsp, ss) is an iret frame: the blob leaves by iretq, which
 * restores every register at once and needs no help from the kernel.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

struct arch_regs {
	struct user_regs_struct gp;
};

/* What the blob loads when it goes on by itself; entry.S knows the layout. */
struct arch_leave {
	struct user_regs_struct gp;
	uint64_t sigmask;
	uint64_t door; /* where to go for it, DOOR_UNDO; 0: iretq */
};

/* Largest extended state that NT_X86_XSTATE may have (with AMX: 11008 today). */
#define ARCH_XSTATE_MAX 16384

/* Registers of a stopped tracee. 0 or -errno. */
int arch_regs_get(pid_t tid, struct arch_regs *ret);
int arch_regs_set(pid_t tid, const struct arch_regs *regs);

/*
 * Extended state (x87 to AMX), as NT_X86_XSTATE: returns its size in bytes.
 * Setting accepts a shorter state and fills it up with zeros.
 */
ssize_t arch_xstate_get(pid_t tid, void *buf, size_t size);
int arch_xstate_set(pid_t tid, const void *buf, size_t size);

/* XFEATURE bits that STATE really uses (XSTATE_BV). */
uint64_t arch_xstate_used(const void *state, size_t size);

/*
 * Breakpoints and watchpoints of a stopped tracee (dr0 to dr7), which stay when its tracer
 * lets it go. 1: some are in use; 0: none; -errno.
 */
#define ARCH_DEBUG_REGS 8
int arch_debug_get(pid_t tid, uint64_t ret[ARCH_DEBUG_REGS]);
int arch_debug_set(pid_t tid, const uint64_t regs[ARCH_DEBUG_REGS]);

/* Features that must be touched by the thread itself before they can be set (AMX). */
uint64_t arch_xstate_to_touch(uint64_t used);

/* True for a task that runs 32-bit code. */
bool arch_regs_compat(const struct arch_regs *regs);

/* In a system call (not interrupted user code)? Its number in *ret_nr. */
bool arch_in_syscall(const struct arch_regs *regs, long *ret_nr);
/*
 * Was a call interrupted that the kernel had already continued once after an interruption
 * (restart_syscall(2))? Then its number is lost: what it waits in (/proc/PID/wchan) tells it.
 * 0: WCHAN belongs to no call that is continued so.
 */
bool arch_in_restart(const struct arch_regs *regs);
long arch_restarted_call(const struct arch_regs *regs, const char *wchan);
/* From here on it is call NR that was interrupted. */
void arch_set_call(struct arch_regs *regs, long nr);
/* The first argument of that. */
uint64_t arch_syscall_arg(const struct arch_regs *regs);

/*
 * A call that the freeze interrupted goes on unseen: where the kernel would
 * return EINTR for the bare stop (signal(7): epoll_wait, sigtimedwait, semop,
 * sockets with a time-out ...), ask it to restart the call unless a handler
 * runs (ERESTARTNOHAND). True if REGS changed.
 */
bool arch_restart_interrupted(struct arch_regs *regs);

/* The same in a restored task: the restart block is gone, so the call starts anew. */
bool arch_restart_anew(struct arch_regs *regs);

/* Does the kernel make the call anew that they are at the end of? */
bool arch_is_restarted(const struct arch_regs *regs);
/* If it does: at the entry of that call, with everything before it done. */
void arch_regs_at_entry(struct arch_regs *regs);

/* Registers for running the blob at ENTRY with HEAD on STACK, from those of the thread. */
void arch_regs_for_blob(struct arch_regs *regs, uint64_t entry, uint64_t head, uint64_t stack);

#define ARCH_SYSCALL_SIZE 2 /* of the instruction */

/* Registers for one system call at the instruction INSN; its result afterwards. */
void arch_regs_for_syscall(struct arch_regs *regs, uint64_t insn, uint32_t nr,
                           const uint64_t args[6]);
int64_t arch_regs_result(const struct arch_regs *regs);

/* What to load when the thread goes on without ptrace: restarts are already carried out. */
void arch_leave_from(struct arch_leave *leave, const struct arch_regs *regs, uint64_t sigmask);

/* The instruction pointer, to move a thread out of an rseq section. */
uint64_t arch_ip(const struct arch_regs *regs);
void arch_set_ip(struct arch_regs *regs, uint64_t ip);
uint64_t arch_sp(const struct arch_regs *regs);

/*
 * May the word at AT be part of the frame of a signal handler (struct sigcontext)? The ARCH_FRAME_WORDS before it are
 * read. *RET_SP: the stack pointer of what was interrupted.
 */
#define ARCH_FRAME_WORDS 3
bool arch_is_frame(const uint64_t *at, uint64_t *ret_sp);

/* Offset of a system call instruction in SIZE bytes of CODE, or -1. */
ssize_t arch_find_syscall(const void *code, size_t size);

/* XCR0 (what the system saves) and the cpuid words that programs choose code by. */
uint64_t arch_xfeatures(void);
size_t arch_cpu_features(uint32_t *words, size_t max);
/* The name of the first feature of WANT that HAVE lacks, or NULL. */
const char *arch_cpu_feature_missing(const uint32_t *want, const uint32_t *have, size_t n);

/* How many protection keys a process can have, that of plain memory included, pkeys(7); 0: none. */
unsigned arch_pkeys(void);
/* Does the stopped thread keep itself from memory that has no key of its own? 1 or 0, -errno. */
int arch_denies_plain_memory(pid_t tid);

/* ---- the door (door.c) ---- */

#define ARCH_DOOR_SIZE 512

struct arch_door_of {
	uint64_t base, size; /* of the arena; {}: none */
	uint64_t blob;       /* bytes at its start that stay executable */
	uint32_t signal;     /* that stops who is traced and does nothing else; 0: no stop */
};

/*
 * Bytes for executable memory of a program. A thread that nobody traces any more comes back from
 * there to LEAVE, whichever way it went in, and the arena is gone, unless it could not be mapped.
 */
void arch_door_build(char buf[ARCH_DOOR_SIZE], const struct arch_leave *leave,
                     const struct arch_door_of *of);

enum arch_door {
	DOOR_MAP,   /* mmap, its arguments in the registers, then mprotect; a stop */
	DOOR_UNMAP, /* munmap, likewise; a stop */
	DOOR_CALL,  /* any call */
	DOOR_UNDO,  /* out at once; no arguments */
};

/* Where a thread goes into DOOR. All but DOOR_UNDO begin with a system call instruction. */
uint64_t arch_door(uint64_t door, enum arch_door way);

/* How the calls of DOOR_MAP and DOOR_UNMAP ended, at the stop: a result or -errno. */
int64_t arch_door_result(const struct arch_regs *regs);

/* Where a door may be in SIZE bytes of vDSO CODE: they hold nothing, or an old door. */
bool arch_door_place(const void *code, size_t size, size_t *ret_offset);

/* ---- memory (vdso.c) ---- */

/* Where user space ends: 47 bits less the guard page; 5-level addresses are only given to who asks. */
#define ARCH_USER_END UINT64_C(0x7ffffffff000)

/*
 * The call that maps the vDSO with its data, the data beginning at AT. It
 * needs an address space without a vDSO.
 */
uint32_t arch_vdso_call(uint64_t at, uint64_t ret_args[6]);
/* Leave everything behind and run the blob at ENTRY; for a child that was just forked. */
__attribute__((noreturn)) void arch_enter_blob(uint64_t entry, uint64_t head, uint64_t stack);

/* ---- what arch_prctl(2) keeps ---- */

struct script;

/* Append the question whether the thread may execute cpuid: the result is 1, 0, or -errno. */
size_t arch_cpuid_ask(struct script *s);
/* Append the call that forbids it. */
void arch_cpuid_forbid(struct script *s);

/* Append the question for a local descriptor table; above 0 there is one. 16 bytes of scratch. */
size_t arch_ldt_ask(struct script *s, uint64_t scratch);

/*
 * Append the question for the XFEATUREs that the process may use; the answer
 * goes to 8 bytes at AT, the result is an error where there are none to ask for.
 */
void arch_xcomp_ask(struct script *s, uint64_t at);
/* Those that crtool may use, and every process that it forks. */
uint64_t arch_xcomp_own(void);
/* Does this CPU have any that must be asked for? */
bool arch_xcomp_varies(void);
/* Append the calls that permit those of WANT. */
void arch_xcomp_permit(struct script *s, uint64_t want);

/* A jump to the address TO, in a function whose registers are those of a caller. */
#define ARCH_JUMP_SIZE 12
void arch_put_jump(void *at, uint64_t to);

/* program.c: an executable file that ends at once, with status 0. */
#define ARCH_PROGRAM_SIZE 136
void arch_program_build(char buf[ARCH_PROGRAM_SIZE]);
