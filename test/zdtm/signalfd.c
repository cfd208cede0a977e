/* A signalfd keeps its mask, and gives out the signals that were pending. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "zdtm.h"

int main(void)
{
	struct signalfd_siginfo info;
	sigset_t mask;
	int fd;

	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	sigaddset(&mask, SIGRTMIN + 5);
	check(sigprocmask(SIG_BLOCK, &mask, NULL) == 0);
	fd = signalfd(-1, &mask, SFD_NONBLOCK);
	check(fd >= 0);
	check(sigqueue(getpid(), SIGRTMIN + 5, (union sigval){ .sival_int = 77 }) == 0);

	zdtm_park();

	check(fcntl(fd, F_GETFL) & O_NONBLOCK);
	check(read(fd, &info, sizeof(info)) == sizeof(info));
	check((int)info.ssi_signo == SIGRTMIN + 5 && info.ssi_int == 77);
	check(read(fd, &info, sizeof(info)) < 0 && errno == EAGAIN);
	check(kill(getpid(), SIGUSR1) == 0);
	check(read(fd, &info, sizeof(info)) == sizeof(info) && info.ssi_signo == SIGUSR1);
	return zdtm_pass();
}
