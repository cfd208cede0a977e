/*
 * The arena in another address space. Two mappings, since a program may forbid
 * memory that is writable and executable (PR_SET_MDWE): the blob's page r-x,
 * filled through /proc/PID/mem, the rest rw-.
 *
 * Only mmap and munmap run outside of the arena, on a system call instruction
 * of the program's own vDSO; everything else runs in the blob, which can always
 * go on by itself.
 */
#include "parasite/inject.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "lib/fd.h"

#define ALL_SIGNALS  (~0UL)
#define SIGNAL(sig)  (1UL << ((sig)-1))
#define SYSCALL_STOP (SIGTRAP | 0x80) /* PTRACE_O_TRACESYSGOOD */

/* System calls of ours must not be dispatched to the program. */
static int hold_dispatch(struct tracee *t)
{
	return t->dispatch.mode ? tracee_set_dispatch(t, &(struct dispatch){}) : 0;
}

/* Go on to the next entry or exit of a system call; traps of a group-stop are passed over. */
static int step_syscall(struct tracee *t)
{
	for (;;) {
		int status, r;

		if (ptrace(PTRACE_SYSCALL, t->tid, NULL, NULL) < 0)
			return -errno;
		r = tracee_wait(t, &status);
		if (r < 0)
			return r;
		if (WSTOPSIG(status) == SYSCALL_STOP)
			return 0;
		if (status >> 16 == PTRACE_EVENT_STOP)
			continue;
		if (WSTOPSIG(status) != SIGSTOP)
			return -EFAULT; /* a fault of our own making */
		t->pending_stop = SIGSTOP;
	}
}

int tracee_syscall(struct tracee *t, uint64_t insn, uint32_t nr, const uint64_t args[6],
                   int64_t *ret_result)
{
	struct arch_regs regs = t->regs;
	int r;

	arch_regs_for_syscall(&regs, insn, nr, args);
	t->changed = true;
	r = hold_dispatch(t);
	if (r == 0)
		r = tracee_set_mask(t, ALL_SIGNALS);
	if (r == 0)
		r = arch_regs_set(t->tid, &regs);
	if (r == 0)
		r = step_syscall(t); /* entry */
	if (r == 0)
		r = step_syscall(t); /* exit */
	if (r == 0)
		r = arch_regs_get(t->tid, &regs);
	if (r < 0)
		return r;
	*ret_result = arch_regs_result(&regs);
	return 0;
}

static int remote_mmap(struct parasite *p, uint64_t at, size_t size, int prot)
{
	const uint64_t args[6] = { at,
		                   size,
		                   (uint64_t)prot,
		                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
		                           MAP_FIXED_NOREPLACE,
		                   (uint64_t)-1,
		                   0 };
	int64_t result;
	int r = tracee_syscall(p->host, p->syscall_insn, SYS_mmap, args, &result);

	if (r < 0)
		return r;
	return result < 0 && result >= -4095 ? (int)result : 0;
}

static int remote_munmap(struct parasite *p)
{
	const uint64_t args[6] = { p->arena->base, p->arena->size };
	int64_t result;
	int r = tracee_syscall(p->host, p->syscall_insn, SYS_munmap, args, &result);

	return r < 0 ? r : (int)result;
}

int parasite_inject(struct parasite *p, struct tracee *host, struct arena *arena, int mem,
                    uint64_t syscall_insn)
{
	int r;

	*p = (struct parasite){
		.host = host, .arena = arena, .mem = mem, .syscall_insn = syscall_insn
	};
	r = remote_mmap(p, arena->base, ARENA_BLOB, PROT_READ | PROT_EXEC);
	if (r == 0)
		r = remote_mmap(p, arena->base + ARENA_BLOB, arena->size - ARENA_BLOB,
		                PROT_READ | PROT_WRITE);
	if (r == 0)
		r = pwrite_full(mem, arena->local, arena->used, (off_t)arena->base);
	if (r < 0)
		parasite_cure(p);
	return r;
}

int parasite_start(struct parasite *p, struct tracee *t, const struct script *s)
{
	const struct script_head *head = script_at(s, s->head);
	struct arch_regs regs = t->regs;
	int r;

	arch_regs_for_blob(&regs, p->arena->base, s->head, s->stack);
	t->changed = true;
	r = hold_dispatch(t);
	if (r == 0)
		r = arch_regs_set(t->tid, &regs);
	if (r == 0)
		r = tracee_set_mask(t, ALL_SIGNALS & ~SIGNAL(head->signal));
	if (r == 0 && ptrace(PTRACE_CONT, t->tid, NULL, NULL) < 0)
		r = -errno;
	return r;
}

/* Is this stop the one that the blob asked for? */
static bool is_our_stop(const struct tracee *t, const siginfo_t *si, uint32_t signal)
{
	return si->si_signo == (int)signal && si->si_code == SI_TKILL;
}

int parasite_finish(struct parasite *p, struct tracee *t, const struct script *s)
{
	const struct script_head *head = script_at(s, s->head);

	for (;;) {
		siginfo_t si = {};
		int status, r = tracee_wait(t, &status);

		if (r < 0)
			return r;
		if (status >> 16 == 0) {
			if (ptrace(PTRACE_GETSIGINFO, t->tid, NULL, &si) < 0)
				return -errno;
			if (is_our_stop(t, &si, head->signal))
				return 0;
			if (si.si_signo == SIGSTOP)
				t->pending_stop = SIGSTOP;
			else if (si.si_signo == (int)head->signal)
				t->late_signal =
					si; /* the program's own: given to it at the release */
			else
				return -EFAULT;
		}
		if (ptrace(PTRACE_CONT, t->tid, NULL, NULL) < 0)
			return -errno;
	}
}

int parasite_collect(struct parasite *p)
{
	return pread_full(p->mem, p->arena->local, p->arena->used, (off_t)p->arena->base);
}

int parasite_cure(struct parasite *p)
{
	int r;

	if (!p->host)
		return 0;
	r = remote_munmap(p);
	p->host = NULL;
	return r;
}

uint32_t parasite_signal(uint64_t caught, uint64_t pending)
{
	/* Ignored by default, or (last resort) rarely handled. Never SIGCONT: it takes pending stops away. */
	static const uint32_t choice[] = { SIGURG, SIGWINCH, SIGCHLD };

	for (size_t i = 0; i < ARRAY_SIZE(choice); i++)
		if (!((caught | pending) & SIGNAL(choice[i])))
			return choice[i];
	for (size_t i = 0; i < ARRAY_SIZE(choice); i++)
		if (!(pending & SIGNAL(choice[i])))
			return choice[i];
	return SIGURG;
}
