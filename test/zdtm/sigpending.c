/* Pending signals of two threads and of the process: order, sender, value. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "zdtm.h"

#define QUEUED 40

static sigset_t all;
static pthread_barrier_t ready;

/* The raw call: glibc turns SI_TKILL into SI_USER. */
static int next(int sig, siginfo_t *si)
{
	const struct timespec now = {};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	memset(si, 0, sizeof(*si));
	return (int)syscall(SYS_rt_sigtimedwait, &set, si, &now, 8);
}

static void send_value(int sig, int value, int code, bool to_thread)
{
	siginfo_t si = { .si_signo = sig, .si_code = code };

	si.si_pid = 4711;
	si.si_uid = 815;
	si.si_value.sival_int = value;
	if (to_thread)
		check(syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), sig, &si) == 0);
	else
		check(syscall(SYS_rt_sigqueueinfo, getpid(), sig, &si) == 0);
}

static void expect_value(int sig, int value, int code)
{
	siginfo_t si;

	check(next(sig, &si) == sig);
	check(si.si_code == code && si.si_pid == 4711 && si.si_uid == 815);
	check(si.si_value.sival_int == value);
}

static void expect_none(int sig)
{
	siginfo_t si;

	check(next(sig, &si) == -1 && errno == EAGAIN);
}

static void *thread(void *arg)
{
	siginfo_t si;

	check(syscall(SYS_tgkill, getpid(), gettid(), SIGUSR1) == 0);
	pthread_barrier_wait(&ready);
	while (!zdtm_released())
		zdtm_nap();
	check(next(SIGUSR1, &si) == SIGUSR1 && si.si_code == SI_TKILL && si.si_pid == getpid());
	expect_none(SIGUSR1);
	return NULL;
}

int main(void)
{
	siginfo_t si;
	pthread_t other;

	sigfillset(&all);
	check(sigprocmask(SIG_BLOCK, &all, NULL) == 0);
	/* more than one call of PTRACE_PEEKSIGINFO brings */
	for (int i = 0; i < QUEUED; i++)
		send_value(SIGRTMIN, i, SI_QUEUE, false);
	send_value(SIGRTMIN + 1, 7, SI_MESGQ, true);
	send_value(SIGRTMIN + 1, 6, SI_KERNEL, true);
	send_value(SIGSEGV, 5, SEGV_MAPERR, true);
	send_value(SIGURG, 1, SI_QUEUE, false);
	send_value(SIGCHLD, 1, SI_QUEUE, true);
	check(kill(getpid(), SIGTERM) == 0);
	check(kill(getpid(), SIGTSTP) == 0);
	check(pthread_barrier_init(&ready, NULL, 2) == 0);
	check(pthread_create(&other, NULL, thread, NULL) == 0);
	pthread_barrier_wait(&ready);

	zdtm_park();

	for (int i = 0; i < QUEUED; i++)
		expect_value(SIGRTMIN, i, SI_QUEUE);
	expect_none(SIGRTMIN);
	expect_value(SIGRTMIN + 1, 7, SI_MESGQ);
	expect_value(SIGRTMIN + 1, 6, SI_KERNEL);
	expect_value(SIGSEGV, 5, SEGV_MAPERR);
	expect_value(SIGURG, 1, SI_QUEUE);
	expect_value(SIGCHLD, 1, SI_QUEUE);
	check(next(SIGTERM, &si) == SIGTERM && si.si_code == SI_USER && si.si_pid == getpid());
	check(next(SIGTSTP, &si) == SIGTSTP);
	for (int sig = 1; sig <= SIGRTMAX; sig++)
		expect_none(sig);
	check(pthread_join(other, NULL) == 0);
	return zdtm_pass();
}
