/*
 * clocks [jump|unshared|timer]: CLOCK_MONOTONIC and CLOCK_BOOTTIME, by the vDSO and by the system call, go on as if
 * nothing had been. "jump": they are those of a host that runs for a million seconds longer;
 * "unshared": there is a time namespace for children to come; "timer": a second is over soon after the restore.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "zdtm.h"

#define LONG 100000 /* seconds that no test takes */

static const clockid_t clocks[] = { CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_MONOTONIC_COARSE,
	                            CLOCK_BOOTTIME };

#define CLOCKS (sizeof(clocks) / sizeof(clocks[0]))

static void read_clocks(time_t *ret)
{
	for (unsigned i = 0; i < CLOCKS; i++) {
		struct timespec vdso, kernel;

		check(clock_gettime(clocks[i], &vdso) == 0);
		check(syscall(SYS_clock_gettime, clocks[i], &kernel) == 0);
		check(kernel.tv_sec >= vdso.tv_sec && kernel.tv_sec < vdso.tv_sec + LONG);
		ret[i] = vdso.tv_sec;
	}
}

static timer_t second_from_now(void)
{
	struct sigevent none = { .sigev_notify = SIGEV_NONE };
	const struct itimerspec second = { .it_value.tv_sec = 1 };
	timer_t timer;

	check(timer_create(CLOCK_MONOTONIC, &none, &timer) == 0);
	check(timer_settime(timer, 0, &second, NULL) == 0);
	return timer;
}

/* It would be long if it went by another clock. */
static void wait_for(timer_t timer)
{
	struct itimerspec left;

	do {
		zdtm_nap();
		check(timer_gettime(timer, &left) == 0 && left.it_value.tv_sec < LONG);
	} while (left.it_value.tv_sec || left.it_value.tv_nsec);
}

int main(int argc, char **argv)
{
	bool jump = argc > 1 && !strcmp(argv[1], "jump");
	bool timed = argc > 1 && !strcmp(argv[1], "timer");
	time_t before[CLOCKS], after[CLOCKS];
	timer_t timer = NULL;

	if (argc > 1 && !strcmp(argv[1], "unshared"))
		check(unshare(0x80 /* CLONE_NEWTIME */) == 0);
	if (timed)
		timer = second_from_now();
	read_clocks(before);
	zdtm_park();
	read_clocks(after);
	for (unsigned i = 0; i < CLOCKS; i++)
		check(after[i] >= before[i] && (after[i] - before[i] >= LONG) == jump);
	if (timed)
		wait_for(timer);
	return zdtm_pass();
}
