/*
 * clocks [jump|unshared|timer]: CLOCK_MONOTONIC and CLOCK_BOOTTIME, by the vDSO and by the system call, go on as if
 * nothing had been. "jump": they are those of a host that runs for a million seconds longer;
 * "unshared": there is a time namespace for children to come; "timer": a second is over soon after the restore;
 * "until": threads wait, in calls and by timers, for a time of these clocks that comes soon after the restore.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
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

/* ---- until ---- */

#define SOON  3  /* seconds from now */
#define AGAIN 60 /* that it may take on a loaded machine; by other clocks it would be days */

static struct timespec until(clockid_t clock)
{
	struct timespec t;

	check(clock_gettime(clock, &t) == 0);
	t.tv_sec += SOON;
	return t;
}

/* Timers go on with what was left when they were asked, which is a little less than at the freeze. */
static void is_over(clockid_t clock, struct timespec t)
{
	struct timespec now;

	check(clock_gettime(clock, &now) == 0);
	check(now.tv_sec > t.tv_sec || (now.tv_sec == t.tv_sec && now.tv_nsec >= t.tv_nsec));
}

static void *sleep_until(void *arg)
{
	struct timespec t = until(CLOCK_BOOTTIME);

	check(clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &t, NULL) == 0);
	is_over(CLOCK_BOOTTIME, t);
	return NULL;
}

static void *wait_until(void *arg)
{
	pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
	struct timespec t = until(CLOCK_MONOTONIC);

	check(pthread_mutex_lock(&mutex) == 0);
	check(pthread_cond_clockwait(&cond, &mutex, CLOCK_MONOTONIC, &t) == ETIMEDOUT);
	is_over(CLOCK_MONOTONIC, t);
	return NULL;
}

static void *read_until(void *arg)
{
	const struct itimerspec when = { .it_value = until(CLOCK_MONOTONIC) };
	int fd = timerfd_create(CLOCK_MONOTONIC, 0);
	uint64_t ticks;

	check(fd >= 0 && timerfd_settime(fd, TFD_TIMER_ABSTIME, &when, NULL) == 0);
	check(read(fd, &ticks, sizeof(ticks)) == sizeof(ticks) && ticks == 1);
	return NULL;
}

static void *signal_until(void *arg)
{
	struct sigevent none = { .sigev_notify = SIGEV_NONE };
	const struct itimerspec when = { .it_value = until(CLOCK_BOOTTIME) };
	struct itimerspec left;
	timer_t timer;

	check(timer_create(CLOCK_BOOTTIME, &none, &timer) == 0);
	check(timer_settime(timer, TIMER_ABSTIME, &when, NULL) == 0);
	do {
		zdtm_nap();
		check(timer_gettime(timer, &left) == 0 && left.it_value.tv_sec <= SOON);
	} while (left.it_value.tv_sec || left.it_value.tv_nsec);
	return NULL;
}

static void *(*const waits[])(void *) = { sleep_until, wait_until, read_until, signal_until };

#define WAITS (sizeof(waits) / sizeof(waits[0]))

static int wait_all(void)
{
	struct timespec end;
	pthread_t threads[WAITS];

	for (unsigned i = 0; i < WAITS; i++)
		check(pthread_create(&threads[i], NULL, waits[i], NULL) == 0);
	zdtm_park();
	check(clock_gettime(CLOCK_REALTIME, &end) == 0);
	end.tv_sec += AGAIN;
	for (unsigned i = 0; i < WAITS; i++)
		check(pthread_timedjoin_np(threads[i], NULL, &end) == 0);
	return zdtm_pass();
}

int main(int argc, char **argv)
{
	bool jump = argc > 1 && !strcmp(argv[1], "jump");
	bool timed = argc > 1 && !strcmp(argv[1], "timer");
	time_t before[CLOCKS], after[CLOCKS];
	timer_t timer = NULL;

	if (argc > 1 && !strcmp(argv[1], "until"))
		return wait_all();
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
