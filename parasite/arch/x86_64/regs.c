/*
 * Registers of a stopped thread and the ways in which an interrupted system
 * call goes on (arch/x86/kernel/signal.c, arch_do_signal_or_restart()):
 * orig_rax >= 0 says that the thread was in a call, a negative rax of the
 * -ERESTART family how the kernel will restart it.
 */
#include "parasite/arch/x86_64/arch.h"

#include <cpuid.h>
#include <elf.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

#include "lib/array.h"

/* include/linux/errno.h; never seen by programs */
#define ERESTARTSYS           512
#define ERESTARTNOINTR        513
#define ERESTARTNOHAND        514
#define ERESTART_RESTARTBLOCK 516

#define XFEATURE_PKRU 9

#define USER_CS64    0x33
#define EFLAGS_PLAIN 0x202 /* interrupts on, nothing else */

int arch_regs_get(pid_t tid, struct arch_regs *ret)
{
	return ptrace(PTRACE_GETREGS, tid, NULL, &ret->gp) < 0 ? -errno : 0;
}

int arch_regs_set(pid_t tid, const struct arch_regs *regs)
{
	return ptrace(PTRACE_SETREGS, tid, NULL, &regs->gp) < 0 ? -errno : 0;
}

ssize_t arch_xstate_get(pid_t tid, void *buf, size_t size)
{
	struct iovec iov = { .iov_base = buf, .iov_len = size };

	if (ptrace(PTRACE_GETREGSET, tid, (void *)NT_X86_XSTATE, &iov) < 0)
		return -errno;
	return (ssize_t)iov.iov_len;
}

/* The kernel takes nothing but its full size: fewer bytes give EFAULT. */
int arch_xstate_set(pid_t tid, const void *buf, size_t size)
{
	char full[ARCH_XSTATE_MAX];
	struct iovec iov = { .iov_base = full, .iov_len = sizeof(full) };

	if (ptrace(PTRACE_GETREGSET, tid, (void *)NT_X86_XSTATE, &iov) < 0)
		return -errno;
	if (size > iov.iov_len)
		return -EINVAL;
	memset(full, 0, sizeof(full));
	memcpy(full, buf, size);
	return ptrace(PTRACE_SETREGSET, tid, (void *)NT_X86_XSTATE, &iov) < 0 ? -errno : 0;
}

uint64_t arch_xstate_used(const void *state, size_t size)
{
	uint64_t bv;

	if (size < 512 + sizeof(bv))
		return 0;
	memcpy(&bv, (const char *)state + 512, sizeof(bv));
	return bv;
}

/* PKRU holds two bits for each key: no access, no writes (Intel SDM, vol. 3A, 4.6.2). */
int arch_denies_plain_memory(pid_t tid)
{
	uint32_t size = 0, at = 0, c, d, pkru = 0;
	char state[ARCH_XSTATE_MAX];
	ssize_t n = arch_xstate_get(tid, state, sizeof(state));

	if (n < 0)
		return (int)n;
	__cpuid_count(0xd, XFEATURE_PKRU, size, at, c, d);
	if (arch_xstate_used(state, (size_t)n) & 1u << XFEATURE_PKRU &&
	    at + sizeof(pkru) <= (size_t)n)
		memcpy(&pkru, state + at, sizeof(pkru));
	return (pkru & 3) != 0;
}

/* XTILECFG and XTILEDATA: the kernel allocates them at the first tile instruction only. */
uint64_t arch_xstate_to_touch(uint64_t used)
{
	return used & (3UL << 17);
}

bool arch_regs_compat(const struct arch_regs *regs)
{
	return regs->gp.cs != USER_CS64;
}

bool arch_in_syscall(const struct arch_regs *regs, long *ret_nr)
{
	*ret_nr = (long)regs->gp.orig_rax;
	return *ret_nr >= 0;
}

uint64_t arch_syscall_arg(const struct arch_regs *regs)
{
	return regs->gp.rdi;
}

/* Calls that return EINTR for a bare stop (signal(7)) and lose nothing by a second try. */
static const uint16_t reissued[] = {
	SYS_epoll_wait,     SYS_epoll_pwait, SYS_epoll_pwait2,    SYS_rt_sigtimedwait,
	SYS_semop,          SYS_semtimedop,  SYS_recvfrom,        SYS_recvmsg,
	SYS_recvmmsg,       SYS_sendto,      SYS_sendmsg,         SYS_sendmmsg,
	SYS_accept,         SYS_accept4,     SYS_connect,         SYS_read,
	SYS_readv,          SYS_write,       SYS_writev,          SYS_io_getevents,
	SYS_io_pgetevents,  SYS_msgrcv,      SYS_msgsnd,          SYS_futex,
	SYS_io_uring_enter, SYS_nanosleep,   SYS_clock_nanosleep, SYS_poll,
	SYS_ppoll,          SYS_select,      SYS_pselect6,
};

static bool is_reissued(long nr)
{
	for (size_t i = 0; i < ARRAY_SIZE(reissued); i++)
		if (reissued[i] == nr)
			return true;
	return false;
}

bool arch_restart_interrupted(struct arch_regs *regs)
{
	long nr;

	if (!arch_in_syscall(regs, &nr) || (long)regs->gp.rax != -EINTR || !is_reissued(nr))
		return false;
	regs->gp.rax = (unsigned long)-ERESTARTNOHAND;
	return true;
}

bool arch_in_restart(const struct arch_regs *regs)
{
	long nr;

	return arch_in_syscall(regs, &nr) && nr == SYS_restart_syscall;
}

/* nanosleep(request, remain), clock_nanosleep(clock, ...): a clock is small, that of a process negative. */
static bool is_clock(uint64_t arg)
{
	return (int32_t)arg < 0 ? arg >> 32 == 0 || arg >> 32 == UINT32_MAX : arg < 4096;
}

/*
 * wchan is the innermost function outside of the scheduler, which do_nanosleep() is part of: where
 * hrtimer_nanosleep_restart() has jumped there, only the entry of the system call is left.
 */
long arch_restarted_call(const struct arch_regs *regs, const char *wchan)
{
	if (strstr(wchan, "futex"))
		return SYS_futex;
	if (strstr(wchan, "poll"))
		return SYS_poll;
	if (!strstr(wchan, "nanosleep") && !strstr(wchan, "nsleep") && !strstr(wchan, "syscall"))
		return 0;
	return is_clock(regs->gp.rdi) && regs->gp.rsi <= TIMER_ABSTIME ? SYS_clock_nanosleep
	                                                               : SYS_nanosleep;
}

void arch_set_call(struct arch_regs *regs, long nr)
{
	regs->gp.orig_rax = (unsigned long)nr;
}

bool arch_restart_anew(struct arch_regs *regs)
{
	long nr;

	if (!arch_in_syscall(regs, &nr) || (long)regs->gp.rax != -ERESTART_RESTARTBLOCK)
		return false;
	regs->gp.rax = (unsigned long)-ERESTARTNOHAND;
	return true;
}

bool arch_is_restarted(const struct arch_regs *regs)
{
	long nr, said = (long)regs->gp.rax;

	return arch_in_syscall(regs, &nr) &&
	       (said == -ERESTARTSYS || said == -ERESTARTNOINTR || said == -ERESTARTNOHAND ||
	        said == -ERESTART_RESTARTBLOCK);
}

/* There rax says ENOSYS, which stays if a tracer takes the call away (arch/x86/entry/entry_64.S). */
void arch_regs_at_entry(struct arch_regs *regs)
{
	if ((long)regs->gp.rax == -ERESTART_RESTARTBLOCK)
		regs->gp.orig_rax = SYS_restart_syscall;
	regs->gp.rax = (unsigned long)-ENOSYS;
}

void arch_regs_for_blob(struct arch_regs *regs, uint64_t entry, uint64_t head, uint64_t stack)
{
	regs->gp.rip = entry;
	regs->gp.rsp = stack;
	regs->gp.rdi = head;
	regs->gp.rax = 0;
	regs->gp.orig_rax = (unsigned long)-1; /* not in a call: nothing to restart */
	regs->gp.eflags = EFLAGS_PLAIN;
}

void arch_regs_for_syscall(struct arch_regs *regs, uint64_t insn, uint32_t nr,
                           const uint64_t args[6])
{
	regs->gp.rip = insn;
	regs->gp.rax = nr;
	regs->gp.orig_rax = (unsigned long)-1;
	regs->gp.eflags = EFLAGS_PLAIN;
	regs->gp.rdi = args[0];
	regs->gp.rsi = args[1];
	regs->gp.rdx = args[2];
	regs->gp.r10 = args[3];
	regs->gp.r8 = args[4];
	regs->gp.r9 = args[5];
}

int64_t arch_regs_result(const struct arch_regs *regs)
{
	return (int64_t)regs->gp.rax;
}

/*
 * Without ptrace the blob itself must do what the kernel would have done on
 * the way out: repeat the call, or continue it through its restart block, which
 * no call of a script replaces.
 */
void arch_leave_from(struct arch_leave *leave, const struct arch_regs *regs, uint64_t sigmask)
{
	long nr;

	*leave = (struct arch_leave){ .gp = regs->gp, .sigmask = sigmask };
	if (!arch_in_syscall(regs, &nr))
		return;
	switch ((long)regs->gp.rax) {
	case -ERESTARTSYS:
	case -ERESTARTNOINTR:
	case -ERESTARTNOHAND:
		leave->gp.rax = (unsigned long)nr;
		leave->gp.rip -= ARCH_SYSCALL_SIZE;
		break;
	case -ERESTART_RESTARTBLOCK:
		leave->gp.rax = SYS_restart_syscall;
		leave->gp.rip -= ARCH_SYSCALL_SIZE;
		break;
	default:
		break;
	}
}

uint64_t arch_ip(const struct arch_regs *regs)
{
	return regs->gp.rip;
}

uint64_t arch_sp(const struct arch_regs *regs)
{
	return regs->gp.rsp;
}

/* sp, ip, flags, and the segments cs, gs, fs and ss in one word: fs and gs are 0 in 64-bit code. */
bool arch_is_frame(const uint64_t *at, uint64_t *ret_sp)
{
	*ret_sp = at[-3];
	return *at == (UINT64_C(0x2b) << 48 | USER_CS64);
}

void arch_set_ip(struct arch_regs *regs, uint64_t ip)
{
	regs->gp.rip = ip;
}

ssize_t arch_find_syscall(const void *code, size_t size)
{
	const unsigned char *p = memmem(code, size, "\x0f\x05", ARCH_SYSCALL_SIZE);

	return p ? p - (const unsigned char *)code : -1;
}

void arch_enter_blob(uint64_t entry, uint64_t head, uint64_t stack)
{
	__asm__ volatile("movq %0, %%rsp\n\tjmpq *%1"
	                 :
	                 : "r"(stack), "r"(entry), "D"(head)
	                 : "memory");
	__builtin_unreachable();
}

/* ---- debug registers ---- */

#define DEBUG_REG(i) ((void *)(offsetof(struct user, u_debugreg) + (i) * sizeof(long)))

int arch_debug_get(pid_t tid, uint64_t ret[ARCH_DEBUG_REGS])
{
	for (size_t i = 0; i < ARCH_DEBUG_REGS; i++) {
		errno = 0;
		ret[i] = (uint64_t)ptrace(PTRACE_PEEKUSER, tid, DEBUG_REG(i), NULL);
		if (errno)
			return -errno;
	}
	return ret[7] || ret[0] || ret[1] || ret[2] || ret[3];
}

/* Addresses first: dr7, which says what they are for, needs them. dr4 and dr5 are none. */
int arch_debug_set(pid_t tid, const uint64_t regs[ARCH_DEBUG_REGS])
{
	for (size_t i = 0; i < ARCH_DEBUG_REGS; i++)
		if (i != 4 && i != 5 && regs[i] &&
		    ptrace(PTRACE_POKEUSER, tid, DEBUG_REG(i), regs[i]) < 0)
			return -errno;
	return 0;
}
