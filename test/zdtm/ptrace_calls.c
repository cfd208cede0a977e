/*
 * A tracer of system calls, as strace is one: it sees the entry and the end of each, once, in turns.
 *
 *	ptrace_calls [WORD]...
 *
 *	epoll     its tracee waits in epoll_wait(2), instead of read(2), ...
 *	sleep     ... sleeps for a moment, again and again
 *	long      of two seconds
 *	compute   ... or calls nothing
 *	threads   a second thread sleeps, too
 *	entry     it stands at the entry of that call
 *	exit      it stands at the end of another one
 *	untold    and wait(2) has not told of it
 *	plain     without PTRACE_O_TRACESYSGOOD
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "zdtm.h"

#define CODE      3
#define THREADS   2
#define RESTARTED 512 /* ERESTARTSYS of the kernel, the first of its kind */

static char **words;
static int ends[2], polled;
static struct shared {
	pid_t tid[THREADS];
	int go, computes;
} * shared;

/* What the tracer knows of one. */
static struct known {
	pid_t tid;
	bool inside;
	long nr; /* of the call that it is in, or was in last */
} known[THREADS];

static bool is(const char *name)
{
	for (char **word = words; *word; word++)
		if (!strcmp(*word, name))
			return true;
	return false;
}

static int load(const int *at)
{
	return __atomic_load_n(at, __ATOMIC_SEQ_CST);
}

/* ---- the tracee ---- */

static void sleep_on(void)
{
	struct timespec moment = { .tv_nsec = 20000000 };

	if (is("long"))
		moment = (struct timespec){ .tv_sec = 2 };
	while (load(&shared->go) < 1)
		check(syscall(SYS_nanosleep, &moment, NULL) == 0);
}

static void *second(void *arg)
{
	__atomic_store_n(&shared->tid[1], gettid(), __ATOMIC_SEQ_CST);
	sleep_on();
	return NULL;
}

static void tracee(void)
{
	struct epoll_event event;
	pthread_t t;
	pid_t group;
	char c = 0;

	if (is("threads"))
		check(pthread_create(&t, NULL, second, NULL) == 0);
	__atomic_store_n(&shared->tid[0], getpid(), __ATOMIC_SEQ_CST);
	while (load(&shared->go) < 0)
		continue; /* until it is traced */
	group = (pid_t)syscall(SYS_getpgid, 0);
	check(group == syscall(SYS_getpgrp));
	__atomic_store_n(&shared->computes, 1, __ATOMIC_SEQ_CST);
	while (is("compute") && !load(&shared->go))
		continue;
	if (is("sleep"))
		sleep_on();
	if (is("epoll"))
		check(syscall(SYS_epoll_wait, polled, &event, 1, -1) == 1);
	check(read(ends[0], &c, 1) == 1 && c == 'x');
	if (is("threads"))
		check(pthread_join(t, NULL) == 0);
	_exit(CODE);
}

/* ---- its tracer ---- */

static struct known *known_of(pid_t tid)
{
	struct known *k = known[0].tid == tid ? &known[0] : &known[1];

	check(k->tid == tid);
	return k;
}

static int call_status(void)
{
	return (SIGTRAP | (is("plain") ? 0 : 0x80)) << 8 | 0x7f;
}

/* It is at the entry or the end of a call, as it must be. */
static void see(struct known *k)
{
	struct user_regs_struct regs;
	unsigned long side = 0;

	check(ptrace(PTRACE_GETEVENTMSG, k->tid, NULL, &side) == 0);
	check(ptrace(PTRACE_GETREGS, k->tid, NULL, &regs) == 0);
	if (side != (k->inside ? 2 : 1))
		fprintf(stderr, "%d: call %ld: side %lu\n", k->tid, (long)regs.orig_rax, side);
	check(side == (k->inside ? 2 : 1));
	if (k->inside) {
		check((long)regs.orig_rax == k->nr || k->nr == SYS_restart_syscall ||
		      (long)regs.orig_rax == SYS_restart_syscall);
		check((long)regs.rax != -EINTR &&
		      ((long)regs.rax > -RESTARTED || (long)regs.rax < -RESTARTED - 4));
	} else {
		check((long)regs.rax == -ENOSYS);
		k->nr = (long)regs.orig_rax;
	}
	k->inside = !k->inside;
}

static void go_on(pid_t tid)
{
	check(ptrace(PTRACE_SYSCALL, tid, NULL, 0) == 0);
}

/* The next of all stops; false: it was the end of one. */
static bool see_next(struct known **ret)
{
	int status;
	pid_t tid = waitpid(-1, &status, __WALL);

	check(tid > 0);
	*ret = known_of(tid);
	if (WIFEXITED(status)) {
		/* Once the process has ended, that is what is told of its other threads, too. */
		check(WEXITSTATUS(status) == CODE || (tid != known[0].tid && !status));
		return false;
	}
	if (status != call_status())
		fprintf(stderr, "%d: status 0x%x\n", tid, status);
	check(status == call_status());
	see(*ret);
	return true;
}

static long call_waited_in(void)
{
	return is("epoll") ? SYS_epoll_wait : is("sleep") ? SYS_nanosleep : SYS_read;
}

/* Until the first is at the entry of NR, or its end. */
static void follow_to(long nr, bool inside)
{
	struct known *k;

	for (;;) {
		check(see_next(&k));
		if (k == known && k->nr == nr && k->inside == inside)
			return;
		go_on(k->tid);
	}
}

static void attach(struct known *k, pid_t tid)
{
	int status;

	k->tid = tid;
	check(ptrace(PTRACE_SEIZE, tid, NULL, is("plain") ? 0 : PTRACE_O_TRACESYSGOOD) == 0);
	check(ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) == 0);
	check(waitpid(tid, &status, __WALL) == tid);
	if (status == call_status()) /* strace(1) does not know either in what it was */
		check(ptrace(PTRACE_SYSCALL, tid, NULL, 0) == 0 &&
		      waitpid(tid, &status, __WALL) == tid);
	check(status >> 16 == PTRACE_EVENT_STOP);
	go_on(tid);
}

/* It sleeps: at the entry of what that has interrupted, nothing tells which call it is. */
static void attach_asleep(struct known *k, pid_t tid)
{
	int status;

	attach(k, tid);
	do {
		check(waitpid(tid, &status, __WALL) == tid && status == call_status());
		see(k);
		go_on(tid);
	} while (k->inside);
}

/* It stands, and nobody has asked. */
static void await_stop(pid_t tid)
{
	siginfo_t si;

	check(waitid(P_PID, (id_t)tid, &si, WSTOPPED | WNOWAIT | __WALL) == 0);
}

/* To where it is when it is dumped. */
static void set_up(pid_t pid)
{
	bool stands = is("entry") || is("exit");

	if (is("exit") && is("untold")) {
		follow_to(SYS_getpgid, true);
		go_on(pid);
		await_stop(pid);
	} else if (is("exit")) {
		follow_to(SYS_getpgid, false);
	} else if (is("untold")) {
		follow_to(SYS_getpgrp, false);
		go_on(pid);
		await_stop(pid);
	} else if (is("compute")) {
		follow_to(SYS_getpgrp, false);
	} else {
		follow_to(call_waited_in(), true);
	}
	if (!stands)
		go_on(pid);
	while (is("compute") && !load(&shared->computes))
		zdtm_nap();
}

static void finish(pid_t pid)
{
	size_t left = is("threads") ? 2 : 1;
	struct known *k;

	if ((is("entry") || is("exit")) && !is("untold"))
		go_on(pid);
	while (left > 0)
		if (see_next(&k))
			go_on(k->tid);
		else
			left--;
	check(known[0].nr == SYS_exit_group && known[0].inside);
}

int main(int argc, char **argv)
{
	struct epoll_event event = { .events = EPOLLIN };
	struct user_regs_struct before, after;
	pid_t pid;

	words = argv + 1;
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	check(shared != MAP_FAILED && pipe(ends) == 0);
	polled = epoll_create1(0);
	check(polled >= 0 && epoll_ctl(polled, EPOLL_CTL_ADD, ends[0], &event) == 0);
	shared->go = -1;
	pid = fork();
	check(pid >= 0);
	if (pid == 0)
		tracee();
	while (!shared->tid[0] || (is("threads") && !shared->tid[1]))
		zdtm_nap();
	attach(&known[0], pid);
	if (is("threads"))
		attach_asleep(&known[1], shared->tid[1]);
	__atomic_store_n(&shared->go, 0, __ATOMIC_SEQ_CST);
	set_up(pid);
	if (is("entry") || is("exit"))
		check(ptrace(PTRACE_GETREGS, pid, NULL, &before) == 0);

	zdtm_park();

	if (is("entry") || is("exit")) {
		check(ptrace(PTRACE_GETREGS, pid, NULL, &after) == 0);
		check(!memcmp(&before, &after, sizeof(before)));
	}
	__atomic_store_n(&shared->go, 1, __ATOMIC_SEQ_CST);
	check(write(ends[1], "x", 1) == 1);
	finish(pid);
	return zdtm_pass();
}
