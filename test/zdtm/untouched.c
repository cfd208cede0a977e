/*
 * A dump that lets the target run leaves nothing behind: in each state that a
 * thread can be in, its registers, its memory map, its descriptors, its
 * signals and its memory are what they were. The victim compares what it can
 * see itself; untouched.bats compares /proc from outside.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <poll.h>
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

#include "zdtm.h"

static atomic_int done;

/* Integer and vector registers that must survive any stop: a long computation with a known end. */
static void compute(void)
{
	typedef double vector __attribute__((vector_size(16)));
	vector v[8];
	uint64_t x = 1;

	for (int i = 0; i < 8; i++)
		v[i] = (vector){ i, i + 1 };
	for (uint64_t n = 0; !done; n++) {
		uint64_t y = x;

		for (int round = 0; round < 1000; round++) {
			x = x * 6364136223846793005u + 1442695040888963407u;
			for (int i = 0; i < 8; i++)
				v[i] = v[i] + 1.0;
			__asm__ volatile("" : "+r"(x), "+x"(v[0]), "+x"(v[1]), "+x"(v[2]));
		}
		for (int round = 0; round < 1000; round++)
			y = y * 6364136223846793005u + 1442695040888963407u;
		check(x == y);
		for (int i = 0; i < 8; i++) {
			for (int lane = 0; lane < 2; lane++)
				check(v[i][lane] == (double)(i + lane) + 1000.0 * (double)(n + 1));
		}
	}
}

static void in_nanosleep(void)
{
	struct timespec ts = { .tv_sec = 3 };

	check(nanosleep(&ts, NULL) == 0);
}

static void in_poll(void)
{
	check(poll(NULL, 0, 3000) == 0);
}

static void in_futex(void)
{
	while (!done)
		syscall(SYS_futex, &done, FUTEX_WAIT, 0, NULL, NULL, 0);
}

static void in_epoll(void)
{
	int fd = epoll_create1(0);
	struct epoll_event ev;

	check(epoll_wait(fd, &ev, 1, 3000) == 0);
	close(fd);
}

static int ends[2];

static void in_read(void)
{
	char c;

	check(read(ends[0], &c, 1) == 1);
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

	check(waitpid(child, &status, 0) == child);
	check(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

/* A handler runs on the alternate stack while the dump comes. */
static void on_signal(int sig, siginfo_t *si, void *context)
{
	stack_t ss;

	check(sig == SIGUSR1);
	while (!done)
		;
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
		check(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &ts, NULL) == 0);
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

static void *stay(void *arg)
{
	const struct state *state = arg;

	there = 1;
	state->stay();
	return NULL;
}

int main(int argc, char **argv)
{
	const struct state *state = states;
	pthread_t thread;

	check(argc == 2);
	while (strcmp(state->name, argv[1]))
		check(++state < states + sizeof(states) / sizeof(states[0]));
	check(pipe(ends) == 0);
	check(pthread_create(&thread, NULL, stay, (void *)state) == 0);
	while (!there)
		zdtm_nap();
	for (int i = 0; i < 25; i++)
		zdtm_nap();
	zdtm_park();
	done = 1;
	syscall(SYS_futex, &done, FUTEX_WAKE, 1, NULL, NULL, 0);
	check(write(ends[1], "x", 1) == 1);
	check(pthread_join(thread, NULL) == 0);
	return zdtm_pass();
}
