/* A thread that handles signals of a timer: for long where it sees that it has stood still meanwhile. */
#include <signal.h>
#include <stdint.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "zdtm.h"

#define STILL_NS 4000000u
#define LONG_NS  60000000

static volatile uint64_t last;

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void handle(int sig)
{
	struct timespec left = { .tv_nsec = LONG_NS };

	if (now() - last > STILL_NS)
		while (nanosleep(&left, &left) < 0)
			continue;
	last = now();
}

int main(void)
{
	const struct itimerval often = { { 0, 1000 }, { 0, 1000 } };
	struct sigaction sa = { .sa_handler = handle, .sa_flags = SA_RESTART };

	last = now();
	check(sigaction(SIGALRM, &sa, NULL) == 0);
	check(setitimer(ITIMER_REAL, &often, NULL) == 0);
	zdtm_parked();
	while (!zdtm_released())
		usleep(1000);
	return zdtm_pass();
}
