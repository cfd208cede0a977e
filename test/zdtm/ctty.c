/*
 * Controlling terminals: the leader of a session in the tree has one, a group of
 * that session is in the foreground, a member has given it up, and /dev/tty
 * leads there. "bare": nobody but the master has a descriptor of it.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "zdtm.h"

static int master, done[2];
static bool bare;

/* Ctrl-C must reach the foreground alone. */
static volatile sig_atomic_t interrupted;

static void handler(int sig)
{
	interrupted++;
}

/* Until nobody has the writing end of DONE any more. */
static void wait_for_end(void)
{
	char c;

	while (read(done[0], &c, 1) < 0)
		continue;
}

/* A job in the foreground. */
static void job(void)
{
	check(setpgid(0, 0) == 0);
	check(signal(SIGINT, handler) != SIG_ERR);
	close(done[1]);
	while (!interrupted)
		poll(NULL, 0, 2); /* which the signal may interrupt */
	_exit(41);
}

static void member_without(int slave)
{
	check(ioctl(slave, TIOCNOTTY) == 0);
	close(done[1]);
	wait_for_end();
	check(open("/dev/tty", O_RDWR) < 0);
	_exit(42);
}

static void leader(int slave)
{
	pid_t fore, without;
	int tty, status;

	check(setsid() > 0 && ioctl(slave, TIOCSCTTY, 0) == 0);
	check(signal(SIGTTOU, SIG_IGN) != SIG_ERR);
	tty = open("/dev/tty", O_RDWR | O_NONBLOCK);
	check(tty >= 0);
	without = fork();
	if (without == 0)
		member_without(slave);
	fore = fork();
	if (fore == 0) {
		if (bare) {
			close(tty);
			close(slave);
		}
		job();
	}
	check(setpgid(fore, fore) == 0 || getpgid(fore) == fore);
	check(tcsetpgrp(slave, fore) == 0);
	if (bare) {
		close(tty);
		close(slave);
	}
	check(write(done[1], "+", 1) == 1); /* its own: tells the master that all is set up */
	close(done[1]);
	check(waitpid(fore, &status, 0) == fore);
	check(WIFEXITED(status) && WEXITSTATUS(status) == 41);
	if (!bare) {
		check(fcntl(tty, F_GETFL) & O_NONBLOCK);
		check(tcgetpgrp(tty) == fore && tcgetsid(slave) == getpid());
		check(write(tty, "tty", 3) == 3);
	}
	tty = open("/dev/tty", O_RDWR);
	check(tty >= 0 && write(tty, "end", 3) == 3);
	wait_for_end();
	check(waitpid(without, &status, 0) == without);
	check(WIFEXITED(status) && WEXITSTATUS(status) == 42);
	_exit(43);
}

static void expect(const char *text)
{
	char buf[256] = "";
	size_t have = 0;

	while (!strstr(buf, text)) {
		ssize_t n = read(master, buf + have, sizeof(buf) - 1 - have);

		check(n > 0);
		have += (size_t)n;
	}
}

int main(int argc, char *argv[])
{
	int off = 0, slave, status, ready[2];
	pid_t child;
	char c;

	bare = argc > 1 && !strcmp(argv[1], "bare");
	master = open("/dev/ptmx", O_RDWR | O_NOCTTY);
	check(master >= 0 && ioctl(master, TIOCSPTLCK, &off) == 0);
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY);
	check(slave >= 0 && pipe(done) == 0 && pipe(ready) == 0);
	child = fork();
	if (child == 0) {
		int own = done[1];

		close(master);
		close(ready[0]);
		done[1] = ready[1];
		close(own);
		leader(slave);
	}
	close(slave);
	close(ready[1]);
	close(done[0]);
	check(read(ready[0], &c, 1) == 1 && read(ready[0], &c, 1) == 0);

	zdtm_park();

	check(write(master, "\003", 1) == 1);
	expect(bare ? "end" : "ttyend");
	close(done[1]);
	check(waitpid(child, &status, 0) == child);
	check(WIFEXITED(status) && WEXITSTATUS(status) == 43);
	return zdtm_pass();
}
