/* F_SETOWN_EX, F_SETSIG, O_ASYNC and the uids of who set them; the signal comes. */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <unistd.h>

#include "zdtm.h"

#ifndef F_GETOWNER_UIDS
#define F_GETOWNER_UIDS 17
#endif

static volatile int seen, seen_fd;

static void handler(int sig, siginfo_t *info, void *context)
{
	seen = sig;
	seen_fd = info->si_fd;
}

int main(void)
{
	struct sigaction sa = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };
	struct f_owner_ex owner = { F_OWNER_PID, getpid() };
	uint32_t uids[2];
	struct f_owner_ex group = { F_OWNER_PGRP, getpgrp() }, thread = { F_OWNER_TID, gettid() };
	int p[2], q[2];

	check(pipe(q) == 0 && fcntl(q[0], F_SETOWN_EX, &group) == 0);
	check(fcntl(q[1], F_SETOWN_EX, &thread) == 0 && fcntl(q[1], F_SETSIG, SIGUSR2) == 0);
	check(sigaction(SIGRTMIN + 3, &sa, NULL) == 0);
	check(pipe(p) == 0);
	check(seteuid(65534) == 0);
	check(fcntl(p[0], F_SETOWN_EX, &owner) == 0);
	check(seteuid(0) == 0);
	check(fcntl(p[0], F_SETSIG, SIGRTMIN + 3) == 0);
	check(fcntl(p[0], F_SETFL, O_ASYNC | O_NONBLOCK) == 0);

	zdtm_park();

	check(fcntl(q[0], F_GETOWN_EX, &owner) == 0);
	check(owner.type == F_OWNER_PGRP && owner.pid == getpgrp() && fcntl(q[0], F_GETSIG) == 0);
	check(fcntl(q[1], F_GETOWN_EX, &owner) == 0);
	check(owner.type == F_OWNER_TID && owner.pid == gettid());
	check(fcntl(q[1], F_GETSIG) == SIGUSR2);
	owner = (struct f_owner_ex){};
	check(fcntl(p[0], F_GETOWN_EX, &owner) == 0);
	check(owner.type == F_OWNER_PID && owner.pid == getpid());
	check(fcntl(p[0], F_GETSIG) == SIGRTMIN + 3);
	check(fcntl(p[0], F_GETOWNER_UIDS, uids) == 0);
	check(uids[0] == 0 && uids[1] == 65534);
	check(fcntl(p[0], F_GETFL) == (O_RDONLY | O_ASYNC | O_NONBLOCK));
	check(geteuid() == 0);
	check(write(p[1], "x", 1) == 1);
	check(seen == SIGRTMIN + 3 && seen_fd == p[0]);
	return zdtm_pass();
}
