/*
 * What is open with O_PATH and has no name: pipes and sockets, open otherwise under higher numbers or by a child alone,
 * and some that nobody has open any more; and a fifo that has a name. "outside": a pipe whose ends others have.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zdtm.h"

#define HIGH 50

static int opened(int fd, int flags)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, flags);
}

/* FD goes to a number from HIGH on, behind what is open with O_PATH. */
static int path_of(int *fd)
{
	int path = opened(*fd, O_PATH), high = fcntl(*fd, F_DUPFD, HIGH);

	check(path >= 0 && high >= HIGH && close(*fd) == 0);
	*fd = high;
	return path;
}

static bool same(int path, int fd)
{
	struct stat a, b;

	check(fcntl(path, F_GETFL) == O_PATH);
	check(fstat(path, &a) == 0 && fstat(fd, &b) == 0);
	return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static void holds(int path, const char *text)
{
	int fd = opened(path, O_RDONLY | O_NONBLOCK);
	char buf[16];

	check(fd >= 0 && read(fd, buf, sizeof(buf)) == (ssize_t)strlen(text));
	check(!memcmp(buf, text, strlen(text)) && close(fd) == 0);
}

/* What nobody has open is there, and owned as it was. */
static void check_gone(int path, mode_t type)
{
	struct stat st;

	check(fcntl(path, F_GETFL) == O_PATH && fstat(path, &st) == 0);
	check((st.st_mode & S_IFMT) == type && st.st_uid == 12 && st.st_gid == 34);
}

static pid_t fork_holder(void)
{
	pid_t pid = fork();

	check(pid >= 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		pause();
}

static void close_both(const int pair[2])
{
	check(close(pair[0]) == 0 && close(pair[1]) == 0);
}

static int outside(void)
{
	check(opened(0, O_PATH) == 3 && close(0) == 0);
	check(open("/dev/null", O_RDONLY) == 0);
	zdtm_park();
	return zdtm_pass();
}

int main(int argc, char **argv)
{
	int ends[2], hers[2], gone[2], pair[2], fifo, udp, lost, status;
	int of_reader, of_writer, of_hers, of_gone, of_pair, of_fifo, of_udp, of_lost, again;
	pid_t pid;

	if (argc > 1)
		return outside();
	check(pipe(ends) == 0 && pipe(hers) == 0 && pipe(gone) == 0);
	check(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	udp = socket(AF_INET, SOCK_DGRAM, 0);
	check(mkfifo("fifo", 0600) == 0);
	of_fifo = open("fifo", O_PATH);
	fifo = open("fifo", O_RDWR);
	check(udp >= 0 && of_fifo >= 0 && fifo > of_fifo && write(fifo, "fifo", 4) == 4);
	of_reader = path_of(&ends[0]);
	of_writer = path_of(&ends[1]);
	again = dup(of_reader);
	of_hers = path_of(&hers[0]);
	of_pair = path_of(&pair[1]);
	of_udp = path_of(&udp);
	check(fchown(gone[0], 12, 34) == 0);
	of_gone = path_of(&gone[0]);
	close_both(gone);
	check(write(ends[1], "pipe", 4) == 4 && write(hers[1], "hers", 4) == 4);
	pid = fork_holder();
	close_both(hers);
	lost = socket(AF_INET, SOCK_STREAM, 0);
	check(lost >= 0 && fchown(lost, 12, 34) == 0);
	of_lost = path_of(&lost);
	check(close(lost) == 0);

	zdtm_park();

	check(same(of_reader, ends[0]) && same(of_writer, ends[1]) && same(again, ends[0]));
	check(same(of_pair, pair[1]) && !same(of_pair, pair[0]) && same(of_udp, udp));
	check(same(of_fifo, fifo) && !same(of_hers, ends[0]));
	holds(of_writer, "pipe");
	holds(of_fifo, "fifo");
	holds(of_hers, "hers");
	check(opened(of_pair, O_RDWR) < 0 && errno == ENXIO);
	check_gone(of_gone, S_IFIFO);
	check_gone(of_lost, S_IFSOCK);
	check(kill(pid, SIGKILL) == 0 && waitpid(pid, &status, 0) == pid);
	return zdtm_pass();
}
