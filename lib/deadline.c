/*
 * setitimer(2) with an interval: a signal that comes just before a wait begins
 * would be lost, the next one 20 ms later is not. The time itself is a static
 * of this file, since the timer belongs to the process as well.
 */
#include "lib/deadline.h"

#include <signal.h>
#include <stddef.h>
#include <sys/time.h>
#include <time.h>

#include "lib/array.h"

#define WATCH_MS 200

static volatile uint64_t deadline_at;
static volatile sig_atomic_t interrupt; /* the signal that came */
static volatile sig_atomic_t forgiven;

static const int interrupts[] = { SIGINT, SIGTERM, SIGHUP, SIGXCPU };

static uint64_t read_clock(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t clock_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

uint64_t cpu_ns(void)
{
	return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

static void (*volatile watcher)(void *arg);
static void *volatile watcher_arg;

static void on_alarm(int sig)
{
	if (watcher)
		watcher(watcher_arg);
}

static void ring(unsigned ms)
{
	const struct itimerval it = {
		.it_interval.tv_usec = ms ? 20000 : 0,
		.it_value = { .tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000 },
	};
	struct sigaction sa = { .sa_handler = on_alarm }; /* no SA_RESTART */

	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &it, NULL);
}

/* Waits are interrupted by the timer alone, again and again: this one signal may come before the wait. */
static void on_interrupt(int sig)
{
	interrupt = sig;
	deadline_at = 1;
	ring(1);
}

void interrupts_catch(void)
{
	const struct sigaction sa = { .sa_handler = on_interrupt,
		                      .sa_flags = SA_RESTART | (int)SA_RESETHAND };

	for (size_t i = 0; i < ARRAY_SIZE(interrupts); i++) {
		struct sigaction old;

		if (sigaction(interrupts[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaction(interrupts[i], &sa, NULL);
	}
}

void interrupts_let(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(interrupts); i++) {
		struct sigaction old;

		if (sigaction(interrupts[i], NULL, &old) == 0 && old.sa_handler == on_interrupt)
			signal(interrupts[i], SIG_DFL);
	}
}

int interrupted(void)
{
	return interrupt;
}

void interrupts_forgive(unsigned ms)
{
	forgiven = 1;
	deadline_arm(ms);
}

void deadline_arm(unsigned ms)
{
	watcher = NULL;
	deadline_at = ms ? clock_ns() + (uint64_t)ms * 1000000u : 0;
	ring(ms);
	if (interrupt && !forgiven)
		on_interrupt(interrupt);
}

void deadline_watch(void (*fn)(void *arg), void *arg)
{
	watcher_arg = arg;
	watcher = fn;
	ring(WATCH_MS);
}

bool deadline_passed(void)
{
	uint64_t at = deadline_at;

	return at && clock_ns() >= at;
}
