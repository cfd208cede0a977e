/*
 * Timers of all makes: two that expire only when much time passes, two that do not.
 * "passes": the test made 10500 s pass.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "zdtm.h"

static int posix_timer(clockid_t clock, int sig, time_t value, time_t interval)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = sig };
	const struct itimerspec when = { { interval, 0 }, { value, 0 } };
	int id = -1;

	check(syscall(SYS_timer_create, clock, &event, &id) == 0);
	check(syscall(SYS_timer_settime, id, 0, &when, NULL) == 0);
	return id;
}

static time_t posix_left(int id)
{
	struct itimerspec when;

	check(syscall(SYS_timer_gettime, id, &when) == 0);
	return when.it_value.tv_sec;
}

static int timerfd(clockid_t clock, time_t value, time_t interval)
{
	const struct itimerspec when = { { interval, 0 }, { value, 0 } };
	int fd = timerfd_create(clock, TFD_NONBLOCK);

	check(fd >= 0 && timerfd_settime(fd, 0, &when, NULL) == 0);
	return fd;
}

static uint64_t ticks(int fd)
{
	uint64_t n = 0;

	check(read(fd, &n, sizeof(n)) == sizeof(n) || n == 0);
	return n;
}

static time_t fd_left(int fd)
{
	struct itimerspec when;

	check(timerfd_gettime(fd, &when) == 0);
	return when.it_value.tv_sec;
}

#define AT_ONCE 10 /* on a machine that has more to do */

/* The overruns of SIG, which comes within WAIT seconds; -1: it does not. */
static int taken(int sig, int wait)
{
	const struct timespec at_most = { .tv_sec = wait };
	siginfo_t si;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	if (syscall(SYS_rt_sigtimedwait, &set, &si, &at_most, 8) != sig)
		return -1;
	return si.si_code == SI_TIMER ? si.si_overrun : 0;
}

int main(int argc, char **argv)
{
	bool passes = argc > 1 && !strcmp(argv[1], "passes");
	const struct itimerval alarm = { {}, { 5000, 0 } };
	int once, again, later, cpu, fd_once, fd_again, fd_later;
	sigset_t set;

	sigfillset(&set);
	check(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	once = posix_timer(CLOCK_MONOTONIC, SIGRTMIN + 1, 5000, 0);
	again = posix_timer(CLOCK_BOOTTIME, SIGRTMIN + 2, 4000, 1000);
	later = posix_timer(CLOCK_REALTIME, SIGRTMIN + 3, 1000000, 0);
	cpu = posix_timer(CLOCK_PROCESS_CPUTIME_ID, SIGRTMIN + 4, 5000, 0);
	fd_once = timerfd(CLOCK_MONOTONIC, 5000, 0);
	fd_again = timerfd(CLOCK_BOOTTIME, 4000, 1000);
	fd_later = timerfd(CLOCK_REALTIME, 1000000, 0);
	check(setitimer(ITIMER_REAL, &alarm, NULL) == 0);

	zdtm_park();

	check(taken(SIGRTMIN + 3, 0) == -1 && taken(SIGRTMIN + 4, 0) == -1 && ticks(fd_later) == 0);
	check(posix_left(cpu) > 4000);
	if (passes) { /* 10500 s: once after 5000, after 4000 and each 1000 from there */
		check(taken(SIGRTMIN + 1, AT_ONCE) == 0 && posix_left(once) == 0);
		check(taken(SIGRTMIN + 2, AT_ONCE) == 6);
		check(posix_left(again) > 300 && posix_left(again) < 500);
		check(posix_left(later) > 980000 && posix_left(later) < 990000);
		check(ticks(fd_once) == 1 && fd_left(fd_once) == 0);
		check(ticks(fd_again) == 7 && fd_left(fd_again) > 300 && fd_left(fd_again) < 500);
		check(fd_left(fd_later) > 980000 && fd_left(fd_later) < 990000);
		check(taken(SIGALRM, AT_ONCE) == 0);
		return zdtm_pass();
	}
	check(taken(SIGRTMIN + 1, 0) == -1 && posix_left(once) > 4900);
	check(taken(SIGRTMIN + 2, 0) == -1 && posix_left(again) > 3900);
	check(posix_left(later) > 999000);
	check(ticks(fd_once) == 0 && fd_left(fd_once) > 4900);
	check(ticks(fd_again) == 0 && fd_left(fd_again) > 3900 && fd_left(fd_later) > 999000);
	check(taken(SIGALRM, 0) == -1);
	return zdtm_pass();
}
