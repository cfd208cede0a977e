/*
 * A thread that handles signals of a timer: for long where it sees that it has stood still meanwhile; "alternate": in a
 * handler on an alternate stack, which has interrupted that one; "deep": in a function that takes much of the stack.
 */
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "zdtm.h"

#define STILL_NS 4000000u
#define LONG_NS  60000000
#define DEEP     (1u << 20)

static volatile uint64_t last;
static bool alternate, deep;

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void stay(int sig)
{
	struct timespec left = { .tv_nsec = LONG_NS };

	while (nanosleep(&left, &left) < 0)
		continue;
}

static __attribute__((noinline)) void stay_below(void)
{
	volatile char much[DEEP];

	memset((char *)much, 1, sizeof(much));
	stay(0);
	check(much[DEEP / 2] == 1);
}

static void handle(int sig)
{
	if (now() - last > STILL_NS) {
		if (alternate)
			raise(SIGUSR1);
		else if (deep)
			stay_below();
		else
			stay(0);
	}
	last = now();
}

static void be_alternate(void)
{
	static char stack[65536];
	const stack_t there = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction sa = { .sa_handler = stay, .sa_flags = SA_RESTART | SA_ONSTACK };

	check(sigaltstack(&there, NULL) == 0);
	check(sigaction(SIGUSR1, &sa, NULL) == 0);
}

int main(int argc, char **argv)
{
	const struct itimerval often = { { 0, 1000 }, { 0, 1000 } };
	struct sigaction sa = { .sa_handler = handle, .sa_flags = SA_RESTART };

	alternate = argc > 1 && !strcmp(argv[1], "alternate");
	deep = argc > 1 && !strcmp(argv[1], "deep");
	if (alternate)
		be_alternate();
	last = now();
	check(sigaction(SIGALRM, &sa, NULL) == 0);
	check(setitimer(ITIMER_REAL, &often, NULL) == 0);
	zdtm_parked();
	while (!zdtm_released())
		usleep(1000);
	return zdtm_pass();
}
