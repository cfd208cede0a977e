/* prctl(2), PR_SET_SYSCALL_USER_DISPATCH: system calls from most of the program raise SIGSYS. */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "zdtm.h"

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#define PR_SYS_DISPATCH_ON           1
#endif

#define ALLOW 0
#define BLOCK 1

static char selector = ALLOW;
static volatile int caught;

static void on_sys(int sig, siginfo_t *si, void *context)
{
	selector = ALLOW;
	caught = si->si_syscall;
}

int main(void)
{
	struct sigaction sa = { .sa_sigaction = on_sys, .sa_flags = SA_SIGINFO };

	check(sigaction(SIGSYS, &sa, NULL) == 0);
	check(prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0, 0, &selector) == 0);
	zdtm_park();
	selector = BLOCK;
	syscall(SYS_getppid);
	check(caught == SYS_getppid);
	return zdtm_pass();
}
