/* Handlers, flags, masks and ignored signals survive. */
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "zdtm.h"

static volatile sig_atomic_t caught, blocked_inside;

static void handler(int sig, siginfo_t *si, void *uc)
{
	sigset_t now;

	caught = sig;
	sigprocmask(SIG_SETMASK, NULL, &now);
	blocked_inside = sigismember(&now, SIGUSR2) && sigismember(&now, SIGRTMAX);
}

static void set(int sig, void *fn, int flags)
{
	struct sigaction sa = { .sa_flags = flags };

	sa.sa_sigaction = (void (*)(int, siginfo_t *, void *))fn;
	sigaddset(&sa.sa_mask, SIGUSR2);
	sigaddset(&sa.sa_mask, SIGRTMAX);
	check(sigaction(sig, &sa, NULL) == 0);
}

static void verify(int sig, void *fn, int flags)
{
	struct sigaction sa;

	check(sigaction(sig, NULL, &sa) == 0);
	check((void *)sa.sa_sigaction == fn);
	check((sa.sa_flags & ~0x04000000) == flags); /* libc adds SA_RESTORER */
	check(sigismember(&sa.sa_mask, SIGUSR2) && sigismember(&sa.sa_mask, SIGRTMAX));
	check(!sigismember(&sa.sa_mask, SIGUSR1));
}

int main(void)
{
	set(SIGUSR1, handler, SA_SIGINFO | SA_RESTART);
	set(SIGRTMIN + 3, handler, SA_SIGINFO | SA_NODEFER | SA_ONSTACK);
	set(SIGPIPE, SIG_IGN, SA_RESTART);
	set(SIGCHLD, SIG_DFL, SA_NOCLDWAIT | SA_NOCLDSTOP);
	set(SIGHUP, handler, SA_SIGINFO | SA_RESETHAND);

	zdtm_park();

	verify(SIGUSR1, handler, SA_SIGINFO | SA_RESTART);
	verify(SIGRTMIN + 3, handler, SA_SIGINFO | SA_NODEFER | SA_ONSTACK);
	verify(SIGPIPE, SIG_IGN, SA_RESTART);
	verify(SIGCHLD, SIG_DFL, SA_NOCLDWAIT | SA_NOCLDSTOP);
	verify(SIGHUP, handler, SA_SIGINFO | SA_RESETHAND);
	check(raise(SIGUSR1) == 0 && caught == SIGUSR1 && blocked_inside);
	check(raise(SIGHUP) == 0 && caught == SIGHUP);
	check(raise(SIGPIPE) == 0);
	return zdtm_pass();
}
