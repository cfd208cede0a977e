/*
 * POSIX timers: ids with gaps, all kinds of clocks and notification, what was
 * left. With "unknown", one that cannot be saved; with "many", after many others. "overrun": how often
 * they have expired while their signals wait.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "zdtm.h"

static pthread_barrier_t ready, go;
static pid_t other;
static int thread_cpu; /* timer on the CPU clock of the other thread */

/* The raw call: libc keeps lists of its own. */
static int create(clockid_t clock, int notify, int sig, long value, pid_t tid)
{
	struct sigevent event = { .sigev_notify = notify, .sigev_signo = sig };
	int id = -1;

	event.sigev_value.sival_ptr = (void *)value;
	event._sigev_un._tid = tid;
	check(syscall(SYS_timer_create, clock, &event, &id) == 0);
	return id;
}

static void arm(int id, time_t sec, long nsec, time_t interval, long interval_ns)
{
	const struct itimerspec when = { { interval, interval_ns }, { sec, nsec } };

	check(syscall(SYS_timer_settime, id, 0, &when, NULL) == 0);
}

#define MANY 100000

/* What the test itself may take, dumps not counted. */
#define SLACK 100

static void verify(int id, time_t most, time_t interval)
{
	struct itimerspec when;

	check(syscall(SYS_timer_gettime, id, &when) == 0);
	check(when.it_interval.tv_sec == interval);
	check(when.it_value.tv_sec < most && when.it_value.tv_sec >= most - SLACK);
}

/* Wait for SIG as sent by timer ID with VALUE. */
static void expect(int sig, int id, long value)
{
	siginfo_t si = {};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	check(syscall(SYS_rt_sigtimedwait, &set, &si, NULL, 8) == sig);
	check(si.si_code == SI_TIMER && si.si_timerid == id &&
	      (long)si.si_value.sival_ptr == value);
}

static void *thread(void *arg)
{
	other = gettid();
	thread_cpu =
		create(CLOCK_THREAD_CPUTIME_ID, SIGEV_SIGNAL | SIGEV_THREAD_ID, SIGUSR2, 1, other);
	arm(thread_cpu, 6000, 0, 0, 0);
	pthread_barrier_wait(&ready);
	pthread_barrier_wait(&go);
	verify(thread_cpu, 6000, 0);
	expect(SIGRTMIN + 2, *(int *)arg, 77);
	return NULL;
}

static void pend(int sig)
{
	sigset_t set;

	do
		check(sigpending(&set) == 0);
	while (!sigismember(&set, sig));
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* The signal of timer ID stands for at least MIN expirations besides the one, and for no more than there were. */
static int check_overrun(int sig, int id, int min, double begun, double interval)
{
	siginfo_t si = {};
	sigset_t set;
	double most;

	sigemptyset(&set);
	sigaddset(&set, sig);
	check(syscall(SYS_rt_sigtimedwait, &set, &si, NULL, 8) == sig);
	most = (now() - begun) / interval + 1;
	dprintf(1, "timer %d: %d overruns, %g at most\n", id, si.si_overrun, most);
	check(si.si_code == SI_TIMER && si.si_timerid == id);
	check(si.si_overrun >= min && si.si_overrun <= most);
	check(syscall(SYS_timer_getoverrun, id) == si.si_overrun);
	return si.si_overrun;
}

static int overrun(void)
{
	int queued = create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, 5, 0), id, first;
	int plain = create(CLOCK_BOOTTIME, SIGEV_SIGNAL | SIGEV_THREAD_ID, SIGUSR1, 6, gettid());
	double begun = now();

	arm(queued, 0, 1, 0, 3000000);
	arm(plain, 0, 1, 0, 7000000);
	id = create(CLOCK_REALTIME, SIGEV_SIGNAL, SIGRTMIN + 1, 7, 0);
	arm(id, 0, 1, 0, 0); /* once */
	while (now() - begun < 0.6)
		zdtm_nap();

	zdtm_park();

	first = check_overrun(SIGRTMIN, queued, 190, begun, 0.003);
	check_overrun(SIGUSR1, plain, 80, begun, 0.007);
	check_overrun(SIGRTMIN + 1, id, 0, begun, 1000);
	while (now() - begun < 0.7)
		zdtm_nap();
	for (int i = 0; i < 3; i++)
		check_overrun(SIGRTMIN, queued, 0, begun + first * 0.003 - 0.003, 0.003);
	return zdtm_pass();
}

int main(int argc, char **argv)
{
	int real, gap, boot, cpu, own, none, tid, once, often;
	struct itimerspec when;
	pthread_t th;
	sigset_t all;

	sigfillset(&all);
	check(sigprocmask(SIG_BLOCK, &all, NULL) == 0);
	if (argc > 1 && !strcmp(argv[1], "overrun"))
		return overrun();
	check(pthread_barrier_init(&ready, NULL, 2) == 0 &&
	      pthread_barrier_init(&go, NULL, 2) == 0);
	check(pthread_create(&th, NULL, thread, &tid) == 0);
	pthread_barrier_wait(&ready);

	for (int i = 0; argc > 1 && !strcmp(argv[1], "many") && i < MANY; i++)
		check(syscall(SYS_timer_delete, create(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0, 0)) == 0);
	real = create(CLOCK_REALTIME, SIGEV_SIGNAL, SIGUSR1, 11, 0);
	gap = create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR1, 12, 0);
	boot = create(CLOCK_BOOTTIME, SIGEV_SIGNAL, SIGUSR1, 13, 0);
	cpu = create(CLOCK_PROCESS_CPUTIME_ID, SIGEV_SIGNAL, SIGUSR1, 14, 0);
	own = create((clockid_t)(~(unsigned)other << 3 | 6), SIGEV_SIGNAL, SIGUSR1, 14, 0);
	none = create(CLOCK_MONOTONIC, SIGEV_NONE, 0, 15, 0);
	tid = create(CLOCK_MONOTONIC, SIGEV_SIGNAL | SIGEV_THREAD_ID, SIGRTMIN + 2, 77, other);
	once = create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, 78, 0);
	often = create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN + 1, 79, 0);
	check(syscall(SYS_timer_delete, gap) == 0);
	if (argc > 1 &&
	    !strcmp(argv[1], "unknown")) /* whose CPU time this one counts cannot be seen */
		create(CLOCK_THREAD_CPUTIME_ID, SIGEV_SIGNAL, SIGUSR1, 0, 0);

	arm(real, 1000, 0, 0, 0);
	arm(boot, 2000, 0, 2001, 0);
	arm(cpu, 3000, 0, 0, 0);
	arm(own, 4000, 0, 0, 0);
	arm(none, 5000, 0, 5001, 0);
	arm(once, 0, 1, 0, 0);
	arm(often, 0, 1, 0, 3000000);
	pend(SIGRTMIN);
	pend(SIGRTMIN + 1);

	zdtm_park();

	verify(real, 1000, 0);
	check(syscall(SYS_timer_gettime, gap, &when) == -1 && errno == EINVAL);
	verify(boot, 2000, 2001);
	verify(cpu, 3000, 0);
	verify(own, 4000, 0);
	verify(none, 5000, 5001);
	verify(thread_cpu, 6000, 0);
	expect(SIGRTMIN, once, 78);
	for (int i = 0; i < 3; i++)
		expect(SIGRTMIN + 1, often, 79);
	check(syscall(SYS_timer_gettime, tid, &when) == 0 && !when.it_value.tv_sec);
	arm(tid, 0, 1, 0, 0);
	pthread_barrier_wait(&go);
	check(pthread_join(th, NULL) == 0);
	check(create(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0, 0) >= often);
	return zdtm_pass();
}
