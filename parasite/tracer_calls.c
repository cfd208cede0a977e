#include "parasite/tracer_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/procfs.h"

#define NT_PRSTATUS 1
#define STOPPED     (WSTOPPED | WEXITED | WNOWAIT | __WALL)

/* linux/ptrace.h, which sys/ptrace.h does not like */
#define EVENTMSG_SYSCALL_ENTRY 1
#define EVENTMSG_SYSCALL_EXIT  2

int64_t tracer_call(struct parasite *p, uint32_t nr, const uint64_t args[6])
{
	int64_t result = 0;
	int r = parasite_call(p, nr, args, &result);

	return r < 0 ? r : result;
}

int trace(struct parasite *p, int request, pid_t tid, uint64_t addr, uint64_t data)
{
	return (int)CALL(p, SYS_ptrace, (uint64_t)request, (uint64_t)tid, addr, data);
}

int trace_regset(struct parasite *p, uint64_t room, int request, pid_t tid)
{
	return trace(p, request, tid, NT_PRSTATUS, AT(room, regs_iov));
}

void room_begin(struct tracer_room *r, uint64_t room)
{
	*r = (struct tracer_room){
		.regs_iov = { (void *)AT(room, regs), sizeof(r->regs) },
		.local = { (void *)AT(room, byte), 1 },
		.sigchld = SIGNAL(SIGCHLD),
	};
}

int room_write(const struct parasite *p, uint64_t room, const struct tracer_room *r)
{
	return pwrite_full(p->mem, r, sizeof(*r), (off_t)room);
}

int room_read(const struct parasite *p, uint64_t room, struct tracer_room *ret)
{
	return pread_full(p->mem, ret, sizeof(*ret), (off_t)room);
}

int trace_state(struct parasite *p, uint64_t room, pid_t tid, const struct arch_regs *regs,
                uint64_t sigmask)
{
	struct tracer_room want;
	int r;

	room_begin(&want, room);
	want.regs = *regs;
	want.sigmask = sigmask;
	r = room_write(p, room, &want);
	if (r == 0)
		r = trace(p, PTRACE_SETSIGMASK, tid, KERNEL_SIGS, AT(room, sigmask));
	return r < 0 ? r : trace_regset(p, room, PTRACE_SETREGSET, tid);
}

int trace_siginfo(struct parasite *p, uint64_t room, pid_t tid, siginfo_t *ret)
{
	int r = trace(p, PTRACE_GETSIGINFO, tid, 0, AT(room, signal));

	return r < 0 ? r : pread_full(p->mem, ret, sizeof(*ret), (off_t)AT(room, signal));
}

/* Without PTRACE_O_TRACESYSGOOD the first of the two: no signal has that code. */
bool is_call_stop(const siginfo_t *si)
{
	return si->si_signo == SIGTRAP &&
	       (si->si_code == SIGTRAP || si->si_code == (SIGTRAP | 0x80));
}

int trace_side(struct parasite *p, uint64_t room, pid_t tid, enum tracing_at *ret)
{
	uint64_t message = 0;
	int r = trace(p, PTRACE_GETEVENTMSG, tid, 0, AT(room, message));

	if (r >= 0)
		r = pread_full(p->mem, &message, sizeof(message), (off_t)AT(room, message));
	if (r < 0)
		return r;
	if (message != EVENTMSG_SYSCALL_ENTRY && message != EVENTMSG_SYSCALL_EXIT)
		return -EOPNOTSUPP;
	*ret = message == EVENTMSG_SYSCALL_ENTRY ? TRACING_AT_ENTRY : TRACING_AT_EXIT;
	return 0;
}

int trace_await(struct parasite *p, uint64_t room, pid_t tid, siginfo_t *ret)
{
	int64_t r = CALL(p, SYS_waitid, P_PID, (uint64_t)tid, AT(room, stop), STOPPED);
	siginfo_t si;

	if (r == 0)
		r = pread_full(p->mem, &si, sizeof(si), (off_t)AT(room, stop));
	if (r < 0)
		return r == -ECHILD ? -ESRCH : (int)r;
	return si.si_code == CLD_TRAPPED || si.si_code == CLD_STOPPED
	               ? trace_siginfo(p, room, tid, ret)
	               : -ESRCH;
}

int trace_collect(struct parasite *p, pid_t tid)
{
	int64_t r = CALL(p, SYS_wait4, (uint64_t)tid, 0, WNOHANG | __WALL, 0);

	return r < 0 ? (int)r : 0;
}

bool tracer_has_news(const struct parasite *p)
{
	auto_free char *status = NULL;
	uint64_t own = 0, shared = 0;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/status", p->host->tid);
	if (file_read(AT_FDCWD, path, &status) <= 0)
		return true;
	status_u64(status, "SigPnd", 16, &own);
	status_u64(status, "ShdPnd", 16, &shared);
	return (own | shared) & SIGNAL(SIGCHLD);
}

void tracer_drop_news(struct parasite *p, uint64_t room)
{
	struct tracer_room want;

	room_begin(&want, room);
	if (room_write(p, room, &want) == 0)
		CALL(p, SYS_rt_sigtimedwait, AT(room, sigchld), 0, AT(room, none), KERNEL_SIGS);
}
