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

static uint64_t deadline_at;

uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void on_alarm(int sig)
{
}

void deadline_arm(unsigned ms)
{
	struct sigaction sa = { .sa_handler = on_alarm }; /* no SA_RESTART */
	struct itimerval it = {
		.it_interval.tv_usec = ms ? 20000 : 0,
		.it_value = { .tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000 },
	};

	deadline_at = ms ? clock_ns() + (uint64_t)ms * 1000000u : 0;
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &it, NULL);
}

bool deadline_passed(void)
{
	return deadline_at && clock_ns() >= deadline_at;
}
