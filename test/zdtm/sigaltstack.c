/*
 * Alternate stacks of two threads; with the argument "on", the main thread
 * parks inside a handler that runs on its stack.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "zdtm.h"

#define AUTODISARM ((int)(1u << 31)) /* linux/signal.h, not in libc's */

static char stacks[3][65536];
static volatile sig_atomic_t ran;
static pthread_barrier_t ready;

static void wait_for_release(void)
{
	while (!zdtm_released())
		zdtm_nap();
}

static void set(int i, int flags)
{
	const stack_t stack = { .ss_sp = stacks[i],
		                .ss_size = sizeof(stacks[i]),
		                .ss_flags = flags };

	check(sigaltstack(&stack, NULL) == 0);
}

static void verify(int i, int flags)
{
	stack_t stack;

	check(sigaltstack(NULL, &stack) == 0);
	check(stack.ss_flags == flags);
	check(stack.ss_sp == stacks[i] && stack.ss_size == sizeof(stacks[i]));
}

static bool on_stack(int i)
{
	char here;

	return &here >= stacks[i] && &here < stacks[i] + sizeof(stacks[i]);
}

static void handler(int sig, siginfo_t *si, void *arg)
{
	check(on_stack(0));
	if (sig == SIGUSR2) {
		zdtm_park();
		verify(0, SS_ONSTACK);
	}
	ran++;
}

static void *thread_with(void *arg)
{
	set(1, AUTODISARM);
	pthread_barrier_wait(&ready);
	wait_for_release();
	verify(1, AUTODISARM);
	return NULL;
}

static void *thread_without(void *arg)
{
	stack_t stack;

	pthread_barrier_wait(&ready);
	wait_for_release();
	check(sigaltstack(NULL, &stack) == 0 && stack.ss_flags == SS_DISABLE);
	return NULL;
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_sigaction = handler, .sa_flags = SA_ONSTACK | SA_SIGINFO };
	pthread_t with, without;

	set(0, 0);
	check(sigaction(SIGUSR1, &sa, NULL) == 0 && sigaction(SIGUSR2, &sa, NULL) == 0);
	check(pthread_barrier_init(&ready, NULL, 3) == 0);
	check(pthread_create(&with, NULL, thread_with, NULL) == 0);
	check(pthread_create(&without, NULL, thread_without, NULL) == 0);
	pthread_barrier_wait(&ready);
	if (argc > 1)
		raise(SIGUSR2);
	else
		zdtm_park();
	check(ran == (argc > 1));

	verify(0, 0);
	check(raise(SIGUSR1) == 0);
	check(ran == 1 + (argc > 1));
	check(pthread_join(with, NULL) == 0 && pthread_join(without, NULL) == 0);
	return zdtm_pass();
}
