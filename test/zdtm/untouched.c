/*
 * A dump that lets the target run leaves nothing behind: in each state that a
 * thread can be in, its registers (all of them), its memory map, its descriptors, its
 * signals and its memory are what they were. The victim compares what it can
 * see itself; untouched.bats compares /proc from outside. restart_total.c looks at how long calls take.
 */
#include <asm/prctl.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "held.h"
#include "zdtm.h"

static int done;

static void compute(void)
{
	held_spin(&done);
}

static void in_nanosleep(void)
{
	struct timespec ts = { .tv_sec = 3 };

	check(held_call(SYS_nanosleep, (uint64_t)&ts, 0, 0, 0) == 0);
}

static void in_poll(void)
{
	check(held_call(SYS_poll, 0, 0, 3000, 0) == 0);
}

static void in_futex(void)
{
	while (!done)
		held_call(SYS_futex, (uint64_t)&done, FUTEX_WAIT, 0, 0);
}

static void in_epoll(void)
{
	int fd = epoll_create1(0);
	struct epoll_event ev;

	check(held_call(SYS_epoll_wait, (uint64_t)fd, (uint64_t)&ev, 1, 3000) == 0);
	close(fd);
}

static int ends[2];

static void in_read(void)
{
	char c;

	check(held_call(SYS_read, (uint64_t)ends[0], (uint64_t)&c, 1, 0) == 1);
	check(c == 'x');
}

static void in_wait4(void)
{
	pid_t child = fork();

	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		zdtm_nap();
		while (!zdtm_released())
			zdtm_nap();
		_exit(7);
	}
	int status;

	check(held_call(SYS_wait4, (uint64_t)child, (uint64_t)&status, 0, 0) == child);
	check(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

/* A handler runs on the alternate stack while the dump comes. */
static void on_signal(int sig, siginfo_t *si, void *context)
{
	stack_t ss;

	check(sig == SIGUSR1);
	held_spin(&done);
	check(sigaltstack(NULL, &ss) == 0);
	check(ss.ss_flags & SS_ONSTACK);
}

static void in_handler(void)
{
	struct sigaction sa = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	stack_t ss = { .ss_sp = malloc(65536), .ss_size = 65536 };

	check(sigaltstack(&ss, NULL) == 0);
	check(sigaction(SIGUSR1, &sa, NULL) == 0);
	pthread_kill(pthread_self(), SIGUSR1);
}

/* Everything but what the computation needs is forbidden on pain of death. */
static void in_seccomp(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clock_nanosleep, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_restart_syscall, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { sizeof(filter) / sizeof(filter[0]), filter };
	struct timespec ts = { .tv_nsec = 50000000 };

	check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	check(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) == 0);
	while (!done)
		check(held_call(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, (uint64_t)&ts, 0) == 0);
	syscall(SYS_exit, 0);
}

static const struct state {
	const char *name;
	void (*stay)(void);
} states[] = {
	{ "compute", compute },    { "nanosleep", in_nanosleep }, { "poll", in_poll },
	{ "futex", in_futex },     { "epoll_wait", in_epoll },    { "read", in_read },
	{ "handler", in_handler }, { "wait4", in_wait4 },         { "seccomp", in_seccomp },
};

/* The thread has begun: pthread_create(3) starts it with all signals blocked. */
static atomic_int there;
static char gs[64];

static void *stay(void *arg)
{
	const struct state *state = arg;
	uint64_t base = 0;

	check(syscall(SYS_arch_prctl, ARCH_SET_GS, gs) == 0);
	check(pthread_kill(pthread_self(), SIGRTMIN) == 0);
	there = 1;
	state->stay();
	check(syscall(SYS_arch_prctl, ARCH_GET_GS, &base) == 0 && base == (uint64_t)gs);
	return NULL;
}

/* Signals wait, of the process and (in stay()) of the thread. */
static void pend(void)
{
	const union sigval value = { .sival_int = 17 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigaddset(&set, SIGRTMIN + 1);
	check(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	check(sigqueue(getpid(), SIGRTMIN + 1, value) == 0);
	check(sigqueue(getpid(), SIGRTMIN + 1, value) == 0);
}

static void check_pending(void)
{
	const struct timespec now = {};
	siginfo_t si;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 1);
	for (int i = 0; i < 2; i++)
		check(sigtimedwait(&set, &si, &now) == SIGRTMIN + 1 &&
		      si.si_value.sival_int == 17 && si.si_pid == getpid());
	check(sigtimedwait(&set, &si, &now) == -1 && errno == EAGAIN);
}

int main(int argc, char **argv)
{
	const struct state *state = states;
	pthread_t thread;

	check(argc == 2);
	while (strcmp(state->name, argv[1]))
		check(++state < states + sizeof(states) / sizeof(states[0]));
	check(pipe(ends) == 0);
	pend();
	check(pthread_create(&thread, NULL, stay, (void *)state) == 0);
	while (!there)
		zdtm_nap();
	for (int i = 0; i < 25; i++)
		zdtm_nap();
	zdtm_park();
	check_pending();
	__atomic_store_n(&done, 1, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &done, FUTEX_WAKE, 1, NULL, NULL, 0);
	check(write(ends[1], "x", 1) == 1);
	check(pthread_join(thread, NULL) == 0);
	return zdtm_pass();
}
