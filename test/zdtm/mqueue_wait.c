/*
 * POSIX message queues with somebody who waits: one process to receive, one to send. With an
 * argument: "unlinked": an empty one without a name, open twice; "silent": with a registration
 * for nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "zdtm.h"

static char name[2][64];
static mqd_t q[2];

static mqd_t make(int i)
{
	struct mq_attr attr = { .mq_maxmsg = 1, .mq_msgsize = 8 };
	struct timespec now;

	check(clock_gettime(CLOCK_MONOTONIC, &now) == 0); /* pids come again */
	snprintf(name[i], sizeof(name[i]), "/crtool-mqueue-%d-%ld-%d", getpid(), now.tv_nsec, i);
	q[i] = mq_open(name[i], O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
	check(q[i] >= 0);
	return q[i];
}

static pid_t child(bool sends)
{
	char text[8] = "hello";
	pid_t pid = fork();

	check(pid >= 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (sends)
		check(mq_send(q[1], "second", 7, 0) == 0);
	else
		check(mq_receive(q[0], text, sizeof(text), NULL) == 6 && !strcmp(text, "first"));
	_exit(0);
}

static int waiting(void)
{
	char text[8];
	pid_t pid[2];
	int status;

	make(0);
	make(1);
	check(mq_send(q[1], "full", 5, 0) == 0);
	pid[0] = child(false);
	pid[1] = child(true);
	for (int i = 0; i < 20; i++)
		zdtm_nap();

	zdtm_park();

	check(waitpid(-1, &status, WNOHANG) == 0);
	check(mq_send(q[0], "first", 6, 0) == 0);
	check(mq_receive(q[1], text, sizeof(text), NULL) == 5 && !strcmp(text, "full"));
	check(mq_receive(q[1], text, sizeof(text), NULL) == 7 && !strcmp(text, "second"));
	for (int i = 0; i < 2; i++)
		check(waitpid(pid[i], &status, 0) == pid[i] && status == 0);
	check(mq_unlink(name[0]) == 0 && mq_unlink(name[1]) == 0);
	return zdtm_pass();
}

static int unlinked(void)
{
	char text[8];
	mqd_t reader;
	struct mq_attr attr;

	make(0);
	reader = mq_open(name[0], O_RDONLY | O_NONBLOCK);
	check(reader >= 0 && mq_unlink(name[0]) == 0);

	zdtm_park();

	check(mq_getattr(q[0], &attr) == 0 && attr.mq_maxmsg == 1 && attr.mq_msgsize == 8);
	check(mq_send(q[0], "x", 2, 0) == 0 && mq_receive(reader, text, sizeof(text), NULL) == 2);
	check(mq_open(name[0], O_RDONLY) < 0 && errno == ENOENT);
	return zdtm_pass();
}

static int registered(void)
{
	struct sigevent none = { .sigev_notify = SIGEV_NONE };

	make(0);
	check(mq_notify(q[0], &none) == 0);

	zdtm_park();

	check(mq_notify(q[0], &none) < 0 && errno == EBUSY);
	check(mq_notify(q[0], NULL) == 0 && mq_notify(q[0], &none) == 0);
	check(mq_unlink(name[0]) == 0);
	return zdtm_pass();
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return !strcmp(argv[1], "unlinked") ? unlinked() : registered();
	return waiting();
}
