/* Timers of timerfd: periodic, one-shot, a date (until the clock is set), unread ticks, disarmed, of each clock. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "zdtm.h"

static int timer(int clock, int flags, time_t value, time_t interval)
{
	struct itimerspec its = { { interval, 0 }, { value, 0 } };
	int fd = timerfd_create(clock, TFD_NONBLOCK);

	check(fd >= 0);
	check(timerfd_settime(fd, flags, &its, NULL) == 0);
	return fd;
}

static struct itimerspec left(int fd)
{
	struct itimerspec its;

	check(timerfd_gettime(fd, &its) == 0);
	return its;
}

/* With these flags; nobody can set the clock to see what it does. */
static bool armed_with(int fd, unsigned flags)
{
	char path[40], line[80];
	unsigned is = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "r");
	check(f);
	while (fgets(line, sizeof(line), f) && sscanf(line, "settime flags: %o", &is) != 1)
		continue;
	check(fclose(f) == 0);
	return is == flags;
}

/* CAP_WAKE_ALARM, which an ordinary user has not. */
static bool may_wake(void)
{
	int fd = timerfd_create(CLOCK_BOOTTIME_ALARM, 0);

	check(fd >= 0 || errno == EPERM);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* Those that would wake the machine: one that goes on, one with ticks that nobody has read. */
static void alarms(int fds[4])
{
	static const int waking[] = { CLOCK_REALTIME_ALARM, CLOCK_BOOTTIME_ALARM };
	static const int other[] = { CLOCK_REALTIME, CLOCK_BOOTTIME };
	const int *clocks = may_wake() ? waking : other;

	for (int i = 0; i < 2; i++) {
		fds[i] = timer(clocks[i], 0, 500, 70);
		fds[2 + i] = timer(clocks[i], TFD_TIMER_ABSTIME, 1, 600);
	}
	for (int i = 0; i < 5; i++)
		zdtm_nap();
}

static void check_alarms(const int fds[4])
{
	uint64_t v;

	for (int i = 0; i < 2; i++) {
		check(left(fds[i]).it_value.tv_sec > 400 && left(fds[i]).it_interval.tv_sec == 70);
		check(read(fds[i], &v, sizeof(v)) < 0 && errno == EAGAIN);
		check(left(fds[2 + i]).it_interval.tv_sec == 600);
		check(read(fds[2 + i], &v, sizeof(v)) == sizeof(v) && v >= 1);
		check(read(fds[2 + i], &v, sizeof(v)) < 0 && errno == EAGAIN);
	}
}

int main(void)
{
	struct itimerspec fast = { { 0, 1000000 }, { 0, 1000000 } };
	time_t date = time(NULL) + 1000;
	int once = timer(CLOCK_MONOTONIC, 0, 500, 0);
	int again = timer(CLOCK_BOOTTIME, TFD_TIMER_ABSTIME, 1, 300);
	int at = timer(CLOCK_REALTIME, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, date, 0);
	int off = timer(CLOCK_MONOTONIC, 0, 0, 0), ticking = timer(CLOCK_MONOTONIC, 0, 0, 0);
	struct timespec now;
	uint64_t v;
	int waking[4];

	alarms(waking);
	check(timerfd_settime(ticking, 0, &fast, NULL) == 0);
	for (int i = 0; i < 5; i++)
		zdtm_nap();

	zdtm_park();

	check(left(once).it_value.tv_sec > 400 && left(once).it_value.tv_sec < 500);
	check(left(again).it_interval.tv_sec == 300 && left(again).it_value.tv_sec < 300);
	check(read(again, &v, sizeof(v)) == sizeof(v) && v >= 1);
	check(clock_gettime(CLOCK_REALTIME, &now) == 0);
	check(now.tv_sec + left(at).it_value.tv_sec - date >= -1);
	check(now.tv_sec + left(at).it_value.tv_sec - date <= 1);
	check(armed_with(at, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET));
	check(left(off).it_value.tv_sec == 0 && read(off, &v, sizeof(v)) < 0);
	check(read(ticking, &v, sizeof(v)) == sizeof(v) && v >= 5);
	check(fcntl(ticking, F_SETFL, 0) == 0 && read(ticking, &v, sizeof(v)) == sizeof(v));
	check(left(ticking).it_interval.tv_nsec == 1000000);
	check_alarms(waking);
	return zdtm_pass();
}
