/*
 * The three interval timers keep what was left; a periodic one fires on. With
 * "pending", SIGALRM waits while dumped, and the timer goes on once it is taken.
 */
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include "zdtm.h"

static volatile sig_atomic_t alarms;

static void handler(int sig)
{
	alarms++;
}

static void set(int which, time_t sec, suseconds_t usec, time_t interval, suseconds_t interval_us)
{
	const struct itimerval timer = { { interval, interval_us }, { sec, usec } };

	check(setitimer(which, &timer, NULL) == 0);
}

static void verify(int which, time_t most, time_t least, time_t interval)
{
	struct itimerval timer;

	check(getitimer(which, &timer) == 0);
	check(timer.it_value.tv_sec <= most && timer.it_value.tv_sec >= least);
	check(timer.it_interval.tv_sec == interval);
}

static void park_pending(void)
{
	sigset_t alarm, waiting;

	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	check(sigprocmask(SIG_BLOCK, &alarm, NULL) == 0);
	do
		check(sigpending(&waiting) == 0);
	while (!sigismember(&waiting, SIGALRM));
	zdtm_park();
	check(sigpending(&waiting) == 0 && sigismember(&waiting, SIGALRM));
	check(sigprocmask(SIG_UNBLOCK, &alarm, NULL) == 0);
}

int main(int argc, char **argv)
{
	int before;

	/* SA_RESTART does not restart nanosleep(2), which the parking needs: it is short. */
	check(signal(SIGALRM, handler) != SIG_ERR);
	set(ITIMER_VIRTUAL, 5000, 0, 70, 0);
	set(ITIMER_PROF, 6000, 0, 0, 0);
	if (argc > 1) {
		set(ITIMER_REAL, 0, 1000, 0, 20000);
		park_pending();
	} else {
		set(ITIMER_REAL, 7000, 0, 7001, 0);
		zdtm_park();
		verify(ITIMER_REAL, 7000, 6700, 7001);
		set(ITIMER_REAL, 0, 1000, 0, 20000);
	}
	verify(ITIMER_VIRTUAL, 5000, 4700, 70);
	verify(ITIMER_PROF, 6000, 5700, 0);

	before = alarms;
	while (alarms < before + 3)
		pause();
	set(ITIMER_REAL, 0, 0, 0, 0);
	return zdtm_pass();
}
