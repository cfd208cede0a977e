/* Threads that are seized and stopped while signals rain on them. */
#include "test/unit/unit.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/deadline.h"
#include "parasite/inject.h"

#define ROUNDS    20000
#define PERIOD_NS 10000
#define LIMIT_MS  1000

static void ignore(int sig)
{
	(void)sig;
}

/* Whose POSIX timer expires again and again: while it takes such a signal it can be asked to stop, and forget that. */
static pid_t start_timed(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	const struct itimerspec period = { { 0, PERIOD_NS }, { 0, PERIOD_NS } };
	pid_t pid = fork();
	timer_t timer;

	check(pid >= 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGUSR1, ignore);
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) < 0 ||
	    timer_settime(timer, 0, &period, NULL) < 0)
		_exit(1);
	for (;;)
		pause();
}

static int stop_once(pid_t pid)
{
	struct tracee t;
	int r = tracee_seize(&t, pid, 0);

	deadline_arm(LIMIT_MS);
	if (r == 0)
		r = tracee_interrupt(&t);
	if (r == 0)
		r = tracee_wait_stop(&t);
	deadline_arm(0);
	return r < 0 ? r : tracee_release(&t);
}

TEST(who_takes_signals_of_a_timer_stops_all_the_same)
{
	pid_t pid = start_timed();
	int r = 0, status;

	for (int i = 0; r == 0 && i < ROUNDS; i++)
		r = stop_once(pid);
	check(kill(pid, SIGKILL) == 0);
	check(waitpid(pid, &status, 0) == pid);
	check(r == 0);
}
