/*
 * Pipes: content, capacity, flags of both ends. With an argument: "packet": in
 * packets, "full": full, "capacity": full ones of other sizes, "eof": all writers closed, "broken": all readers closed,
 * "reopened": ends opened by way of /proc. "stdin": its stdin is one.
 * "fifo", "half_fifo": with a name; "unlinked_fifo": without it again, "both_fifo": open in
 * both directions, "opening": two processes wait in open(2), "outside_fifo": others have the
 * other end. "rest": its stdin holds 4 bytes, and ends; "seven": it has a pipe as fd 7, "writes": one to write to.
 * "many": several readers and writers in several processes.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zdtm.h"

static int p[2];
static char buf[65536];

static int readable(void)
{
	int n;

	check(ioctl(p[0], FIONREAD, &n) == 0);
	return n;
}

static int content(void)
{
	check(pipe2(p, O_CLOEXEC) == 0);
	check(fcntl(p[1], F_SETPIPE_SZ, 262144) == 262144);
	check(fcntl(p[0], F_SETFL, O_NONBLOCK) == 0);
	check(write(p[1], "one", 3) == 3 && write(p[1], "two", 3) == 3);

	zdtm_park();

	check(fcntl(p[0], F_GETPIPE_SZ) == 262144);
	check(fcntl(p[0], F_GETFL) == (O_RDONLY | O_NONBLOCK) && fcntl(p[1], F_GETFL) == O_WRONLY);
	check(write(p[1], "3", 1) == 1);
	check(read(p[0], buf, sizeof(buf)) == 7 && !memcmp(buf, "onetwo3", 7));
	check(read(p[0], buf, 1) < 0 && errno == EAGAIN);
	return zdtm_pass();
}

static int packet(void)
{
	check(pipe2(p, O_DIRECT) == 0);
	for (int i = 1; i <= 5; i++)
		check(write(p[1], buf, (size_t)i * 800) == i * 800);

	zdtm_park();

	check(fcntl(p[1], F_GETFL) == (O_WRONLY | O_DIRECT));
	for (int i = 1; i <= 5; i++)
		check(read(p[0], buf, sizeof(buf)) == i * 800);
	check(readable() == 0);
	return zdtm_pass();
}

static int full(void)
{
	check(pipe2(p, O_NONBLOCK) == 0);
	for (int i = 0; i < 16; i++) {
		memset(buf, i, 4096);
		check(write(p[1], buf, 4096) == 4096);
	}
	check(write(p[1], buf, 1) < 0 && errno == EAGAIN);

	zdtm_park();

	check(write(p[1], buf, 1) < 0 && errno == EAGAIN);
	check(read(p[0], buf, sizeof(buf)) == sizeof(buf));
	for (int i = 0; i < 65536; i++)
		check(buf[i] == i / 4096);
	return zdtm_pass();
}

/* Of one page, of the most that anybody may have, of the most that the privileged may: full, as far as that goes. */
static int capacity(void)
{
	static const int sizes[] = { 4096, 1048576, 4 << 20 };
	int ends[3][2], have[3];

	for (int i = 0; i < 3; i++) {
		check(pipe2(ends[i], O_NONBLOCK) == 0);
		have[i] = fcntl(ends[i][1], F_SETPIPE_SZ, sizes[i]);
		if (have[i] < 0)
			have[i] = fcntl(ends[i][1], F_GETPIPE_SZ);
		for (int at = 0; at < have[i]; at += 4096) {
			memset(buf, at / 4096, 4096);
			check(write(ends[i][1], buf, 4096) == 4096);
		}
	}

	zdtm_park();

	for (int i = 0; i < 3; i++) {
		check(fcntl(ends[i][0], F_GETPIPE_SZ) == have[i]);
		check(write(ends[i][1], buf, 1) < 0 && errno == EAGAIN);
		for (int at = 0; at < have[i]; at += 4096) {
			check(read(ends[i][0], buf, 4096) == 4096);
			check(buf[0] == (char)(at / 4096) && buf[4095] == buf[0]);
		}
		check(read(ends[i][0], buf, 1) < 0 && errno == EAGAIN);
	}
	return zdtm_pass();
}

static int eof(void)
{
	check(pipe(p) == 0);
	check(write(p[1], "rest", 4) == 4 && close(p[1]) == 0);

	zdtm_park();

	check(read(p[0], buf, sizeof(buf)) == 4 && !memcmp(buf, "rest", 4));
	check(read(p[0], buf, 1) == 0);
	return zdtm_pass();
}

static int broken(void)
{
	struct pollfd poll_for = {};

	check(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
	check(pipe(p) == 0 && close(p[0]) == 0);

	zdtm_park();

	poll_for.fd = p[1];
	check(poll(&poll_for, 1, 0) == 1 && (poll_for.revents & POLLERR));
	check(write(p[1], "x", 1) < 0 && errno == EPIPE);
	return zdtm_pass();
}

static int reopened(void)
{
	char path[32];
	int both, reader, flags;

	check(pipe(p) == 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", p[0]);
	both = open(path, O_RDWR);
	reader = open(path, O_RDONLY | O_NONBLOCK);
	flags = fcntl(both, F_GETFL);
	check(both >= 0 && reader >= 0 && close(p[1]) == 0);
	check(write(both, "x", 1) == 1);

	zdtm_park();

	check(fcntl(both, F_GETFL) == flags && fcntl(p[0], F_GETFL) == O_RDONLY);
	check(read(reader, buf, 2) == 1 && write(both, "yz", 2) == 2);
	check(read(p[0], buf, 1) == 1 && read(both, buf, 1) == 1 && readable() == 0);
	return zdtm_pass();
}

static int standard_input(void)
{
	zdtm_park();
	check(read(STDIN_FILENO, buf, sizeof(buf)) == 6 && !memcmp(buf, "hello\n", 6));
	return zdtm_pass();
}

static int fifo(void)
{
	int reader, writer;

	check(mkfifo("fifo", 0600) == 0);
	reader = open("fifo", O_RDONLY | O_NONBLOCK);
	writer = open("fifo", O_WRONLY);
	check(reader >= 0 && writer >= 0 && write(writer, "content", 7) == 7);

	zdtm_park();

	check(fcntl(reader, F_GETFL) & O_NONBLOCK && !(fcntl(writer, F_GETFL) & O_NONBLOCK));
	check(read(reader, buf, sizeof(buf)) == 7 && !memcmp(buf, "content", 7));
	check(read(reader, buf, 1) < 0 && errno == EAGAIN);
	check(write(writer, "more", 4) == 4 && close(writer) == 0);
	writer = open("fifo", O_WRONLY);
	check(read(reader, buf, sizeof(buf)) == 4 && write(writer, "x", 1) == 1);
	return zdtm_pass();
}

static int half_fifo(void)
{
	int reader;

	check(mkfifo("fifo", 0600) == 0);
	reader = open("fifo", O_RDONLY | O_NONBLOCK);
	check(reader >= 0);

	zdtm_park();

	check(read(reader, buf, 1) == 0);
	check(write(open("fifo", O_WRONLY), "x", 1) == 1 && read(reader, buf, 1) == 1);
	return zdtm_pass();
}

static int unlinked_fifo(void)
{
	int reader, writer, both;

	check(mkfifo("fifo", 0620) == 0);
	reader = open("fifo", O_RDONLY | O_NONBLOCK);
	writer = open("fifo", O_WRONLY);
	both = open("fifo", O_RDWR);
	check(unlink("fifo") == 0 && write(writer, "content", 7) == 7);

	zdtm_park();

	check(read(reader, buf, sizeof(buf)) == 7 && !memcmp(buf, "content", 7));
	check(write(both, "x", 1) == 1 && read(reader, buf, 2) == 1);
	check(write(writer, "y", 1) == 1 && read(both, buf, 2) == 1 && *buf == 'y');
	return zdtm_pass();
}

static int both_fifo(void)
{
	int both;

	check(mkfifo("fifo", 0600) == 0);
	both = open("fifo", O_RDWR);
	check(write(both, "self", 4) == 4);

	zdtm_park();

	check(fcntl(both, F_GETFL) & O_RDWR && read(both, buf, 9) == 4);
	check(write(both, "more", 4) == 4 && read(both, buf, 9) == 4);
	return zdtm_pass();
}

static pid_t child(void (*run)(void))
{
	pid_t pid = fork();

	check(pid >= 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	run();
	_exit(0);
}

static void open_reader(void)
{
	check(read(open("fifo", O_RDONLY), buf, 9) == 2);
}

static void open_writer(void)
{
	check(write(open("fifo2", O_WRONLY), "ab", 2) == 2);
}

static int opening(void)
{
	pid_t pid[2];
	int status, fd[2];

	check(mkfifo("fifo", 0600) == 0 && mkfifo("fifo2", 0600) == 0);
	pid[0] = child(open_reader);
	pid[1] = child(open_writer);
	for (int i = 0; i < 20; i++)
		zdtm_nap();

	zdtm_park();

	check(waitpid(-1, &status, WNOHANG) == 0);
	fd[0] = open("fifo", O_WRONLY);
	fd[1] = open("fifo2", O_RDONLY);
	check(write(fd[0], "cd", 2) == 2 && read(fd[1], buf, 9) == 2);
	for (int i = 0; i < 2; i++)
		check(waitpid(pid[i], &status, 0) == pid[i] && status == 0);
	return zdtm_pass();
}

static int outside_fifo(void)
{
	int reader;

	check(mkfifo("fifo", 0600) == 0);
	reader = open("fifo", O_RDONLY | O_NONBLOCK);
	check(reader >= 0);

	zdtm_park();

	check(read(reader, buf, 9) == 4 && !memcmp(buf, "data", 4));
	check(read(reader, buf, 1) < 0 && errno == EAGAIN);
	return zdtm_pass();
}

static int rest(void)
{
	zdtm_park();
	check(read(STDIN_FILENO, buf, 9) == 4 && !memcmp(buf, "rest", 4));
	check(read(STDIN_FILENO, buf, 9) == 0);
	return zdtm_pass();
}

static int seven(void)
{
	check(close(0) == 0 && open("/dev/null", O_RDONLY) == 0);
	zdtm_park();
	check(read(7, buf, 9) == 6 && !memcmp(buf, "hello\n", 6));
	return zdtm_pass();
}

/* Who reads from fd 7 is gone when the file "eof" is there. */
static int writes(void)
{
	check(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
	check(close(1) == 0 && open("/dev/null", O_WRONLY) == 1);
	zdtm_park();
	check((fcntl(7, F_GETFL) & O_ACCMODE) == O_WRONLY);
	if (access("eof", F_OK) == 0)
		check(write(7, "x", 1) < 0 && errno == EPIPE);
	else
		check(write(7, "hello\n", 6) == 6);
	return zdtm_pass();
}

static int back[2];

/* Takes one byte at a time from the pipe and passes it on. */
static void pass_on(void)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", p[0]);
	fd = open(path, O_RDONLY);
	check(fd >= 0 && close(p[0]) == 0 && close(p[1]) == 0);
	while (read(fd, buf, 1) == 1)
		check(write(back[1], buf, 1) == 1);
}

static int many(void)
{
	pid_t pid[3];
	int sum = 0, status;

	check(pipe(p) == 0 && pipe(back) == 0);
	for (int i = 0; i < 3; i++)
		pid[i] = child(pass_on);
	for (char c = 1; c <= 5; c++)
		check(write(p[1], &c, 1) == 1);
	while (ioctl(back[0], FIONREAD, &status) == 0 && status < 5)
		zdtm_nap();

	zdtm_park();

	for (char c = 6; c <= 10; c++)
		check(write(p[1], &c, 1) == 1);
	for (int i = 0; i < 10; i++, sum += *buf)
		check(read(back[0], buf, 1) == 1);
	check(sum == 55 && close(p[1]) == 0);
	for (int i = 0; i < 3; i++)
		check(waitpid(pid[i], &status, 0) == pid[i] && status == 0);
	return zdtm_pass();
}

static const struct {
	const char *name;
	int (*run)(void);
} variants[] = {
	{ "content", content },
	{ "packet", packet },
	{ "full", full },
	{ "capacity", capacity },
	{ "eof", eof },
	{ "broken", broken },
	{ "reopened", reopened },
	{ "stdin", standard_input },
	{ "fifo", fifo },
	{ "half_fifo", half_fifo },
	{ "unlinked_fifo", unlinked_fifo },
	{ "both_fifo", both_fifo },
	{ "opening", opening },
	{ "outside_fifo", outside_fifo },
	{ "rest", rest },
	{ "seven", seven },
	{ "writes", writes },
	{ "many", many },
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof(variants) / sizeof(variants[0]); i++)
		if (!strcmp(argv[1], variants[i].name))
			return variants[i].run();
	return content();
}
