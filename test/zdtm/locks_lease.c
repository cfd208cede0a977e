/* Leases: to read and to write; the second tells by a signal of its own who comes. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "zdtm.h"

/* The signal that tells of a break, which is blocked: so it may come at any time. */
static int told(const sigset_t *set, int *ret_fd)
{
	const struct timespec now = {};
	siginfo_t info = {};
	int signal = sigtimedwait(set, &info, &now);

	*ret_fd = info.si_fd;
	return signal;
}

/* Another open file description would be in the way of a lease: it comes and goes. */
static void make(const char *name)
{
	check(close(open(name, O_RDWR | O_CREAT, 0600)) == 0);
}

int main(void)
{
	int reads, writes, fd;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGIO);
	check(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	make("read");
	make("write");
	reads = open("read", O_RDONLY);
	writes = open("write", O_RDWR);
	check(reads >= 0 && writes >= 0);
	check(fcntl(writes, F_SETSIG, SIGUSR1) == 0);
	check(fcntl(reads, F_SETLEASE, F_RDLCK) == 0 && fcntl(writes, F_SETLEASE, F_WRLCK) == 0);

	zdtm_park();

	check(fcntl(reads, F_GETLEASE) == F_RDLCK && fcntl(writes, F_GETLEASE) == F_WRLCK);
	check(open("write", O_RDONLY | O_NONBLOCK) < 0 && errno == EWOULDBLOCK);
	check(told(&set, &fd) == SIGUSR1 && fd == writes);
	check(open("read", O_RDONLY) >= 0);
	check(open("read", O_WRONLY | O_NONBLOCK) < 0 && errno == EWOULDBLOCK);
	check(told(&set, &fd) == SIGIO);
	check(fcntl(writes, F_SETLEASE, F_UNLCK) == 0 && open("write", O_RDONLY) >= 0);
	return zdtm_pass();
}
