/*
 * A debugger and what it traces. It finds all of it as it was: registers, mask, signal, what wait(2)
 * has still to tell, its options, a watchpoint.
 *
 *	ptrace traceme [WORD]...   a child that asked for it
 *	ptrace attach [WORD]...    by PTRACE_ATTACH
 *	ptrace seize [WORD]...     by PTRACE_SEIZE
 *
 *	untold    wait(2) has not told of the stop
 *	pending   and SIGCHLD waits
 *	stop      at SIGSTOP instead of SIGUSR1
 *	sleep     in nanosleep(2), which goes on
 *	watch     with a watchpoint
 *	threads   a second thread is traced, too
 *	chain     the debugger is traced itself, and stands at a signal
 *	plain     without options
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "zdtm.h"

#define OPTIONS (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_EXITKILL)
#define THREADS 2
#define CODE    3
#define DR7_ONE 0xd0101 /* dr0, writes of four bytes */

struct state {
	struct user_regs_struct regs;
	struct user_fpregs_struct fp;
	uint64_t mask;
	siginfo_t si;
	unsigned long dr7;
};

static char **words;
static int sig = SIGUSR1;
static struct shared {
	pid_t tid[THREADS];
	int go, watched;
} * shared;

static bool is(const char *name)
{
	for (char **word = words; *word; word++)
		if (!strcmp(*word, name))
			return true;
	return false;
}

static size_t traced(void)
{
	return is("threads") ? 2 : 1;
}

static void *second(void *arg)
{
	shared->tid[1] = gettid();
	__atomic_store_n(&shared->go, 1, __ATOMIC_SEQ_CST);
	for (;;)
		pause();
	return NULL;
}

/* ---- the tracee ---- */

static void block(int which)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, which);
	check(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
}

static void nothing(int which)
{
}

static void tracee(void)
{
	pthread_t t;
	pid_t pid;

	if (is("threads"))
		check(pthread_create(&t, NULL, second, NULL) == 0);
	else
		__atomic_store_n(&shared->go, 1, __ATOMIC_SEQ_CST);
	block(SIGWINCH);
	check(signal(SIGUSR1, nothing) != SIG_ERR);
	shared->tid[0] = getpid();
	if (is("traceme"))
		check(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
	while (__atomic_load_n(&shared->go, __ATOMIC_SEQ_CST) < 2)
		zdtm_nap();
	if (is("sleep"))
		check(nanosleep(&(struct timespec){ .tv_nsec = 500000000 }, NULL) == 0);
	else
		raise(sig);
	shared->watched = 1;
	if (!is("plain")) {
		pid = fork();
		if (pid == 0)
			_exit(0);
		check(pid > 0 && waitpid(pid, NULL, 0) == pid);
	}
	_exit(CODE);
}

/* ---- its tracer ---- */

static void expect(pid_t tid, int status)
{
	int got;

	check(waitpid(tid, &got, __WALL) == tid);
	if (got != status)
		fprintf(stderr, "%d: status 0x%x, not 0x%x\n", tid, got, status);
	check(got == status);
}

/* It stands, also if that cannot be told by wait(2), which would take it. */
static void reach_stop(pid_t tid)
{
	siginfo_t si;

	while (ptrace(PTRACE_GETSIGINFO, tid, NULL, &si) < 0) {
		check(errno == ESRCH);
		zdtm_nap();
	}
}

static unsigned long options(void)
{
	return is("plain") ? 0 : OPTIONS;
}

static void attach(pid_t tid)
{
	if (is("traceme"))
		return;
	if (is("seize")) {
		check(ptrace(PTRACE_SEIZE, tid, NULL, options()) == 0);
		return;
	}
	check(ptrace(PTRACE_ATTACH, tid, NULL, NULL) == 0);
	expect(tid, SIGSTOP << 8 | 0x7f);
	check(ptrace(PTRACE_SETOPTIONS, tid, NULL, options()) == 0);
	check(ptrace(PTRACE_CONT, tid, NULL, NULL) == 0);
}

/* The second one does not stop by itself. */
static void stop_second(pid_t pid)
{
	attach(shared->tid[1]);
	check(syscall(SYS_tgkill, pid, shared->tid[1], SIGSTOP) == 0);
	expect(shared->tid[1], SIGSTOP << 8 | 0x7f);
}

static void await_sleep(pid_t pid)
{
	char path[32], text[64] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/syscall", pid);
	for (;;) {
		f = fopen(path, "re");
		check(f && fgets(text, sizeof(text), f));
		fclose(f);
		if (strtol(text, NULL, 10) == SYS_clock_nanosleep ||
		    strtol(text, NULL, 10) == SYS_nanosleep)
			break;
		zdtm_nap();
	}
	check(syscall(SYS_tgkill, pid, pid, sig) == 0);
}

static void watch(pid_t pid)
{
	unsigned long at = (unsigned long)&shared->watched;

	check(ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, u_debugreg[0]), at) == 0);
	check(ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, u_debugreg[7]), DR7_ONE) == 0);
}

static void set_up(pid_t pid)
{
	while (!__atomic_load_n(&shared->go, __ATOMIC_SEQ_CST) || !shared->tid[0])
		zdtm_nap();
	attach(pid);
	if (is("threads"))
		stop_second(pid);
	__atomic_store_n(&shared->go, 2, __ATOMIC_SEQ_CST);
	if (is("sleep"))
		await_sleep(pid);
	if (is("untold"))
		reach_stop(pid);
	else
		expect(pid, sig << 8 | 0x7f);
	if (is("traceme"))
		check(ptrace(PTRACE_SETOPTIONS, pid, NULL, options()) == 0);
	if (is("watch"))
		watch(pid);
}

static void look(pid_t tid, struct state *s)
{
	memset(s, 0, sizeof(*s));
	check(ptrace(PTRACE_GETREGS, tid, NULL, &s->regs) == 0);
	check(ptrace(PTRACE_GETFPREGS, tid, NULL, &s->fp) == 0);
	check(ptrace(PTRACE_GETSIGMASK, tid, sizeof(s->mask), &s->mask) == 0);
	check(ptrace(PTRACE_GETSIGINFO, tid, NULL, &s->si) == 0);
	s->dr7 = (unsigned long)ptrace(PTRACE_PEEKUSER, tid, offsetof(struct user, u_debugreg[7]),
	                               0);
}

static void compare(const struct state *a, const struct state *b)
{
	unsigned long ax = b->regs.rax;

	/* A call that would go on where it was begins anew after a restore. */
	check(a->regs.rip == b->regs.rip && a->regs.rsp == b->regs.rsp);
	check(a->regs.rax == ax || (is("sleep") && a->regs.rax == -516ul && ax == -514ul));
	check(a->regs.orig_rax == b->regs.orig_rax && a->regs.rbx == b->regs.rbx);
	check(a->regs.eflags == b->regs.eflags && a->regs.fs_base == b->regs.fs_base);
	check(!memcmp(&a->fp, &b->fp, sizeof(a->fp)));
	check(a->mask == b->mask);
	check(!memcmp(&a->si, &b->si, sizeof(a->si)));
	check(a->dr7 == b->dr7);
}

/* Is the tracer told of system calls as it wants to be? */
static void see_call(pid_t pid)
{
	int want = SIGTRAP | (is("plain") ? 0 : 0x80);

	check(ptrace(PTRACE_SYSCALL, pid, NULL, 0) == 0);
	expect(pid, want << 8 | 0x7f);
}

static void see_watched(pid_t pid)
{
	check(ptrace(PTRACE_CONT, pid, NULL, 0) == 0);
	expect(pid, SIGTRAP << 8 | 0x7f);
	check(shared->watched == 1);
}

/* It forks, and the tracer gets to know. */
static void see_fork(pid_t pid)
{
	unsigned long child = 0;

	check(ptrace(PTRACE_CONT, pid, NULL, 0) == 0);
	expect(pid, PTRACE_EVENT_FORK << 16 | SIGTRAP << 8 | 0x7f);
	check(ptrace(PTRACE_GETEVENTMSG, pid, NULL, &child) == 0 && child);
	expect((pid_t)child,
	       is("seize") ? PTRACE_EVENT_STOP << 16 | SIGTRAP << 8 | 0x7f : SIGSTOP << 8 | 0x7f);
	check(ptrace(PTRACE_DETACH, child, NULL, 0) == 0);
	check(ptrace(PTRACE_CONT, pid, NULL, 0) == 0);
	expect(pid, SIGCHLD << 8 | 0x7f);
}

static void drop_news(void)
{
	const struct timespec none = {};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigtimedwait(&set, NULL, &none);
}

static bool has_news(void)
{
	sigset_t set;

	check(sigpending(&set) == 0);
	return sigismember(&set, SIGCHLD);
}

static void go_on(pid_t pid, const struct state *before)
{
	struct state now;
	int status;

	check(has_news() == is("pending"));
	for (size_t i = 0; i < traced(); i++) {
		look(shared->tid[i], &now);
		compare(&before[i], &now);
	}
	if (is("untold"))
		expect(pid, sig << 8 | 0x7f);
	check(waitpid(-1, &status, WNOHANG | __WALL) == 0);
	if (is("watch"))
		see_watched(pid);
	else
		see_call(pid);
	if (!is("plain"))
		see_fork(pid);
	check(ptrace(PTRACE_CONT, pid, NULL, 0) == 0);
	if (is("threads"))
		expect(shared->tid[1], CODE << 8);
	expect(pid, CODE << 8);
}

static int debug(void)
{
	struct state before[THREADS];
	pid_t pid = fork();

	check(pid >= 0);
	if (pid == 0)
		tracee();
	block(SIGCHLD);
	set_up(pid);
	if (!is("pending"))
		drop_news();
	for (size_t i = 0; i < traced(); i++)
		look(shared->tid[i], &before[i]);
	if (is("chain")) /* the one who traces us lets us go on when all is done */
		raise(SIGUSR2);
	else
		zdtm_park();
	go_on(pid, before);
	return 0;
}

/* The debugger of the debugger. */
static int debug_debugger(void)
{
	struct state before, now;
	pid_t pid = fork();

	check(pid >= 0);
	if (pid == 0) {
		check(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
		_exit(debug());
	}
	for (int status;;) {
		check(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
		if (WSTOPSIG(status) == SIGUSR2)
			break;
		check(ptrace(PTRACE_CONT, pid, NULL, (long)WSTOPSIG(status)) == 0);
	}
	look(pid, &before);
	zdtm_park();
	look(pid, &now);
	compare(&before, &now);
	check(ptrace(PTRACE_CONT, pid, NULL, 0) == 0);
	for (int status;;) {
		check(waitpid(pid, &status, 0) == pid);
		if (WIFEXITED(status))
			break;
		check(ptrace(PTRACE_CONT, pid, NULL, (long)WSTOPSIG(status)) == 0);
	}
	return zdtm_pass();
}

int main(int argc, char **argv)
{
	check(argc >= 2);
	words = argv + 1;
	if (is("stop") || is("sleep"))
		sig = SIGSTOP;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
	              0);
	check(shared != MAP_FAILED);
	if (is("chain"))
		return debug_debugger();
	debug();
	return zdtm_pass();
}
