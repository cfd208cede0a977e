/*
 * The arena in another address space. Two mappings, since a program may forbid
 * memory that is writable and executable (PR_SET_MDWE): the blob's page r-x,
 * filled through /proc/PID/mem, the rest rw-.
 *
 * Only the calls that map and unmap run outside of the arena, in a door in the
 * program's own vDSO (parasite/arch), through which a thread comes back by itself
 * should the tracer die; everything else runs in the blob, which can do so, too.
 * Registers are set before anything else is changed: from then on it is undone by
 * those registers. A vDSO without room for a door has a system call instruction.
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

#ifndef SYS_USER_DISPATCH
#define SYS_USER_DISPATCH 2 /* asm-generic/siginfo.h */
#endif

/* System calls of ours must not be dispatched to the program. */
static int hold_dispatch(struct tracee *t)
{
	return t->dispatch.mode ? tracee_set_dispatch(t, &(struct dispatch){}) : 0;
}

/*
 * All signals are blocked but those. And but the SIGSYS of dispatch that cannot be held: who blocks it loses his
 * handler by it, but as it is he only stops.
 */
static int set_mask_but(struct tracee *t, uint64_t open)
{
	if (t->dispatch_hidden)
		open |= SIGNAL(SIGSYS) & ~t->sigmask;
	return tracee_set_mask(t, ALL_SIGNALS & ~open);
}

/*
 * It has stopped for SI in code of ours. What others send is given to it at the release, one of SIGNAL as of the rest;
 * -ENOTSUP: a call of ours was dispatched to the program, -EFAULT: a fault of our own making.
 */
static int keep_signal(struct tracee *t, const siginfo_t *si, uint32_t signal)
{
	bool dispatched = si->si_signo == SIGSYS && si->si_code == SYS_USER_DISPATCH;

	if (si->si_signo == SIGSTOP)
		t->pending_stop = SIGSTOP;
	else if (t->dispatch_hidden && dispatched)
		return -ENOTSUP;
	else if (si->si_signo == (int)signal || (t->dispatch_hidden && si->si_signo == SIGSYS))
		t->late_signal = *si;
	else
		return -EFAULT;
	return 0;
}

static int hold_signals(struct tracee *t)
{
	int r = t->held ? 0 : set_mask_but(t, 0);

	t->held = r == 0;
	return r;
}

/* Go on to the next entry or exit of a system call; traps of a group-stop are passed over. */
static int step_syscall(struct tracee *t)
{
	for (;;) {
		siginfo_t si;
		int status, r;

		if (ptrace(PTRACE_SYSCALL, t->tid, NULL, NULL) < 0)
			return -errno;
		t->running = true;
		r = tracee_wait(t, &status);
		if (r < 0)
			return r;
		if (WSTOPSIG(status) == SYSCALL_STOP)
			return 0;
		if (status >> 16 == PTRACE_EVENT_STOP)
			continue;
		if (ptrace(PTRACE_GETSIGINFO, t->tid, NULL, &si) < 0)
			return -errno;
		r = keep_signal(t, &si, 0);
		if (r < 0)
			return r;
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
		r = arch_regs_set(t->tid, &regs);
	if (r == 0)
		r = hold_signals(t);
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

static int remote_call(struct parasite *p, uint64_t insn, uint32_t nr, const uint64_t args[6])
{
	int64_t result;
	int r = tracee_syscall(p->host, insn, nr, args, &result);

	if (r < 0)
		return r;
	return result < 0 && result >= -4095 ? (int)result : 0;
}

/* Is this stop the one that the blob, or the door, asked for? 1, 0, or -errno. */
static int is_our_stop(struct tracee *t, const siginfo_t *si, uint32_t signal)
{
	return si->si_signo == (int)signal ? tracee_has_sent(t, si) : 0;
}

static int go_on(struct tracee *t)
{
	if (ptrace(PTRACE_CONT, t->tid, NULL, NULL) < 0)
		return -errno;
	t->running = true;
	return 0;
}

/* It runs, in code of ours, to where that stops it by SIGNAL. */
static int wait_our_stop(struct tracee *t, uint32_t signal)
{
	for (;;) {
		siginfo_t si = {};
		int status, r = tracee_wait(t, &status);

		if (r < 0)
			return r;
		if (status >> 16 == 0) {
			if (ptrace(PTRACE_GETSIGINFO, t->tid, NULL, &si) < 0)
				return -errno;
			r = is_our_stop(t, &si, signal);
			if (r > 0)
				return 0;
			r = r < 0 ? r : keep_signal(t, &si, signal);
		}
		if (r == 0)
			r = go_on(t);
		if (r < 0)
			return r;
	}
}

int tracee_launch(struct tracee *t, uint64_t entry, uint64_t arg, uint64_t stack)
{
	struct arch_regs regs = t->regs;
	int r;

	arch_regs_for_blob(&regs, entry, arg, stack);
	r = arch_regs_set(t->tid, &regs);
	if (r == 0)
		r = hold_signals(t);
	return r < 0 ? r : go_on(t);
}

static int hold_all_but(struct tracee *t, uint32_t signal)
{
	t->held = false;
	return set_mask_but(t, SIGNAL(signal));
}

/* Through the door, with one stop. */
static int enter_door(struct parasite *p, enum arch_door way, uint32_t nr, const uint64_t args[6])
{
	struct tracee *t = p->host;
	struct arch_regs regs = t->regs;
	int r;

	arch_regs_for_syscall(&regs, arch_door(p->door, way), nr, args);
	t->changed = true;
	r = hold_dispatch(t);
	if (r == 0)
		r = arch_regs_set(t->tid, &regs);
	if (r == 0)
		r = hold_all_but(t, p->signal);
	if (r == 0)
		r = go_on(t);
	p->on_its_way = r == 0;
	return r;
}

/* -errno: what the first call in it that failed said. */
static int leave_door(struct parasite *p)
{
	struct arch_regs regs;
	int64_t result = 0;
	int r = wait_our_stop(p->host, p->signal);

	p->on_its_way = false;
	if (r == 0)
		r = arch_regs_get(p->host->tid, &regs);
	if (r == 0)
		result = arch_door_result(&regs);
	return result < 0 && result >= -4095 ? (int)result : r;
}

/* The instruction for a call, in the door if there is one. */
static uint64_t insn_of(const struct parasite *p, enum arch_door way)
{
	return p->door ? arch_door(p->door, way) : p->syscall_insn;
}

/* Of what stops by a signal; else all of it is done when it is waited for. */
static bool has_door(const struct parasite *p)
{
	return p->door && p->signal;
}

/* All of it as the blob needs it, then the rest as the scripts do: never writable and executable. */
static int map_arena(struct parasite *p, bool begin)
{
	const uint64_t insn = insn_of(p, DOOR_MAP);
	const uint64_t all[6] = { p->arena->base,
		                  p->arena->size,
		                  PROT_READ | PROT_EXEC,
		                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE,
		                  (uint64_t)-1,
		                  0 };
	const uint64_t rest[6] = { p->arena->base + p->arena->code, p->arena->size - p->arena->code,
		                   PROT_READ | PROT_WRITE };
	int r;

	if (begin)
		return has_door(p) ? enter_door(p, DOOR_MAP, SYS_mmap, all) : 0;
	if (p->on_its_way)
		return leave_door(p);
	r = remote_call(p, insn, SYS_mmap, all);
	return r < 0 ? r : remote_call(p, insn, SYS_mprotect, rest);
}

static int unmap_arena(struct parasite *p, bool begin)
{
	const uint64_t args[6] = { p->arena->base, p->arena->size };

	if (!p->arena->size)
		return 0;
	if (begin || (has_door(p) && !p->on_its_way)) {
		int r = has_door(p) ? enter_door(p, DOOR_UNMAP, SYS_munmap, args) : 0;

		if (r < 0 || begin)
			return r;
	}
	return p->on_its_way ? leave_door(p)
	                     : remote_call(p, insn_of(p, DOOR_UNMAP), SYS_munmap, args);
}

/* Where /proc/PID/mem does not write into code there is none. */
static void open_door(struct parasite *p, uint64_t at)
{
	char code[ARCH_DOOR_SIZE];
	struct arch_leave leave;

	arch_leave_from(&leave, &p->host->regs, p->host->sigmask);
	arch_door_build(code, &leave,
	                &(struct arch_door_of){ .base = p->shared ? 0 : p->arena->base,
	                                        .size = p->shared ? 0 : p->arena->size,
	                                        .blob = p->arena->size ? p->arena->code : 0,
	                                        .signal = p->signal });
	if (at && pwrite_full(p->mem, code, sizeof(code), (off_t)at) == 0)
		p->door = at;
}

static void close_door(struct parasite *p)
{
	static const char zeros[ARCH_DOOR_SIZE];

	if (p->door)
		pwrite_full(p->mem, zeros, sizeof(zeros), (off_t)p->door);
	p->door = 0;
}

/* R of map_arena(). If its first call was dispatched to the program, nothing is there that calls must undo. */
static int mapped(struct parasite *p, int r)
{
	if (r == -ENOTSUP && tracee_put_back(p->host) == 0) {
		close_door(p);
		p->host = NULL;
	}
	return r;
}

int parasite_inject_begin(struct parasite *p, struct tracee *host, struct arena *arena, int mem,
                          uint64_t syscall_insn, uint64_t door, uint32_t signal)
{
	*p = (struct parasite){ .host = host,
		                .arena = arena,
		                .mem = mem,
		                .syscall_insn = syscall_insn,
		                .signal = signal };
	open_door(p, door);
	return mapped(p, map_arena(p, true));
}

int parasite_inject_end(struct parasite *p)
{
	int r = mapped(p, map_arena(p, false));

	return r < 0 ? r
	             : pwrite_full(p->mem, p->arena->local, p->arena->used, (off_t)p->arena->base);
}

int parasite_inject(struct parasite *p, struct tracee *host, struct arena *arena, int mem,
                    uint64_t syscall_insn, uint64_t door, uint32_t signal)
{
	int r = parasite_inject_begin(p, host, arena, mem, syscall_insn, door, signal);

	if (r == 0)
		r = parasite_inject_end(p);
	if (r < 0)
		parasite_cure(p);
	return r;
}

void parasite_visit(struct parasite *p, struct tracee *host, struct arena *arena, int mem,
                    uint64_t syscall_insn, uint64_t door)
{
	*p = (struct parasite){
		.host = host, .arena = arena, .mem = mem, .syscall_insn = syscall_insn
	};
	open_door(p, door);
}

int parasite_start(struct parasite *p, struct tracee *t, const struct script *s)
{
	struct arch_regs regs = t->regs;
	int r;

	arch_regs_for_blob(&regs, p->arena->base, s->head, s->stack);
	t->changed = true;
	r = hold_dispatch(t);
	if (r == 0)
		r = arch_regs_set(t->tid, &regs);
	if (r == 0)
		r = hold_all_but(t, script_signal(s));
	return r < 0 ? r : go_on(t);
}

int parasite_finish(struct parasite *p, struct tracee *t, const struct script *s)
{
	return wait_our_stop(t, script_signal(s));
}

static int stand_in_door(struct parasite *p)
{
	struct arch_regs regs = p->host->regs;

	if (!p->door)
		return 0;
	p->host->changed = true;
	arch_regs_for_syscall(&regs, arch_door(p->door, DOOR_UNDO), SYS_munmap,
	                      (const uint64_t[6]){});
	return arch_regs_set(p->host->tid, &regs);
}

/* The results are safe, and so is the host, which need not go through the blob any more. */
int parasite_collect(struct parasite *p)
{
	int r;

	if (p->shared && p->door)
		open_door(p, p->door);
	r = stand_in_door(p);
	if (r < 0)
		return r;
	return pread_full(p->mem, p->arena->local + p->arena->code, p->arena->used - p->arena->code,
	                  (off_t)(p->arena->base + p->arena->code));
}

int parasite_move(struct parasite *p, struct tracee *host)
{
	uint64_t door = p->door;
	int r = p->host == host ? 0 : tracee_put_back(p->host);

	if (r < 0 || p->host == host)
		return r;
	close_door(p);
	p->host = host;
	p->signal = 0; /* that is another's */
	open_door(p, door);
	return stand_in_door(p);
}

int parasite_rest(struct parasite *p)
{
	int r = tracee_put_back(p->host);

	if (r == 0)
		close_door(p);
	return r;
}

int parasite_rouse(struct parasite *p, uint64_t door)
{
	if (p->door)
		return 0;
	p->signal = 0;
	open_door(p, door);
	return stand_in_door(p);
}

int parasite_call(struct parasite *p, uint32_t nr, const uint64_t args[6], int64_t *ret_result)
{
	return tracee_syscall(p->host, insn_of(p, DOOR_CALL), nr, args, ret_result);
}

int parasite_cure_begin(struct parasite *p)
{
	return p->host ? unmap_arena(p, true) : 0;
}

int parasite_cure(struct parasite *p)
{
	int r, put;

	if (!p->host)
		return 0;
	p->on_its_way &= p->host->running; /* or somebody has halted it */
	r = unmap_arena(p, false);
	put = tracee_put_back(p->host);
	if (put == 0)
		close_door(p);
	if (r == 0)
		p->host = NULL; /* else it is tried again */
	return r < 0 ? r : put;
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
