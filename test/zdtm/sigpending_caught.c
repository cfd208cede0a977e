/*
 * A thread for which a signal of the program's own waits, in a process that handles every signal by which
 * crtool might stop a script: the signal is not taken for crtool's (Go's runtime preempts its threads so). Another
 * is SIGCONT, at which all threads of a process stand that are seized.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "zdtm.h"

static const int signals[] = { SIGURG, SIGWINCH, SIGCHLD };
static volatile sig_atomic_t handled, told;
static pthread_barrier_t ready;

static void handle(int sig, siginfo_t *si, void *context)
{
	(void)context;
	handled++;
	/* glibc turns SI_TKILL into SI_USER nowhere but in sigwaitinfo(3) */
	told = sig == SIGURG && si->si_code == SI_TKILL && si->si_pid == getpid();
}

static void *thread(void *arg)
{
	sigset_t urgent, waits;

	sigemptyset(&waits);
	sigaddset(&waits, SIGCONT);
	check(pthread_sigmask(SIG_BLOCK, &waits, NULL) == 0);
	check(syscall(SYS_tgkill, getpid(), gettid(), SIGCONT) == 0);
	sigemptyset(&urgent);
	sigaddset(&urgent, SIGURG);
	check(pthread_sigmask(SIG_BLOCK, &urgent, NULL) == 0);
	check(syscall(SYS_tgkill, getpid(), gettid(), SIGURG) == 0);
	pthread_barrier_wait(&ready);
	while (!zdtm_released())
		zdtm_nap();
	check(handled == 0);
	check(sigpending(&waits) == 0 && sigismember(&waits, SIGCONT));
	check(pthread_sigmask(SIG_UNBLOCK, &urgent, NULL) == 0);
	check(handled == 1 && told);
	return arg;
}

int main(void)
{
	struct sigaction action = { .sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_RESTART };
	pthread_t other;

	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		check(sigaction(signals[i], &action, NULL) == 0);
	check(pthread_barrier_init(&ready, NULL, 2) == 0);
	check(pthread_create(&other, NULL, thread, NULL) == 0);
	pthread_barrier_wait(&ready);
	zdtm_park();
	check(pthread_join(other, NULL) == 0);
	return zdtm_pass();
}
