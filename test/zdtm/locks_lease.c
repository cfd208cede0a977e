/*
 * Leases: to read and to write; the second tells by a signal of its own who comes. "breaking": of each somebody waits
 * that it be given up, and its holder has been told so, but for the last.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
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

static void hold(const sigset_t *set)
{
	int reads, writes, fd;

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
	check(told(set, &fd) == SIGUSR1 && fd == writes);
	check(open("read", O_RDONLY) >= 0);
	check(open("read", O_WRONLY | O_NONBLOCK) < 0 && errno == EWOULDBLOCK);
	check(told(set, &fd) == SIGIO);
	check(fcntl(writes, F_SETLEASE, F_UNLCK) == 0 && open("write", O_RDONLY) >= 0);
}

/* Held as TYPE through FD, and a child waits to open it for HOW. */
struct lease {
	const char *name;
	int flags, type, how, target, fd;
	pid_t child;
};

static void begin(struct lease *l)
{
	const struct timespec moment = { .tv_nsec = 1000000 };

	make(l->name);
	l->fd = open(l->name, l->flags);
	check(l->fd >= 0);
	check(fcntl(l->fd, F_SETSIG, SIGUSR1) == 0 && fcntl(l->fd, F_SETLEASE, l->type) == 0);
	l->child = fork();
	if (!l->child)
		_exit(open(l->name, l->how) < 0);
	while (fcntl(l->fd, F_GETLEASE) != l->target)
		nanosleep(&moment, NULL);
}

static void breaking(const sigset_t *set)
{
	struct lease leases[] = {
		{ "r", O_RDONLY, F_RDLCK, O_WRONLY, F_UNLCK, -1, 0 },
		{ "w", O_RDONLY, F_WRLCK, O_RDONLY, F_RDLCK, -1, 0 },
		{ "n", O_RDWR, F_WRLCK, O_WRONLY, F_UNLCK, -1, 0 },
		{ "u", O_RDONLY, F_WRLCK, O_RDONLY, F_RDLCK, -1, 0 },
	};
	const size_t n = sizeof(leases) / sizeof(leases[0]);
	int fd, status;

	for (size_t i = 0; i < n; i++) {
		begin(&leases[i]);
		if (i < n - 1)
			check(told(set, &fd) == SIGUSR1 && fd == leases[i].fd);
	}

	zdtm_park();

	check(told(set, &fd) == SIGUSR1 && fd == leases[n - 1].fd);
	check(told(set, &fd) < 0);
	for (size_t i = 0; i < n; i++) {
		check(waitpid(leases[i].child, &status, WNOHANG) == 0);
		check(fcntl(leases[i].fd, F_GETLEASE) == leases[i].target);
		check(open(leases[i].name, leases[i].how | O_NONBLOCK) < 0 && errno == EWOULDBLOCK);
		check(fcntl(leases[i].fd, F_SETLEASE, leases[i].target) == 0);
		check(waitpid(leases[i].child, &status, 0) == leases[i].child && !status);
	}
	check(told(set, &fd) < 0);
	check(open("w", O_WRONLY | O_NONBLOCK) < 0 && errno == EWOULDBLOCK);
	check(told(set, &fd) == SIGUSR1 && fd == leases[1].fd);
}

int main(int argc, char **argv)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGIO);
	check(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	if (argc > 1 && !strcmp(argv[1], "breaking"))
		breaking(&set);
	else
		hold(&set);
	return zdtm_pass();
}
