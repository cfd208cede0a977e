/* A POSIX message queue: its messages, attributes, flags; the one name serves two descriptors. */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "zdtm.h"

int main(int argc, char **argv)
{
	struct mq_attr attr = { .mq_maxmsg = 4, .mq_msgsize = 32 }, now;
	struct timespec started;
	char name[64], text[32];
	unsigned prio;
	mqd_t q, reader;

	check(clock_gettime(CLOCK_MONOTONIC, &started) == 0); /* pids come again */
	snprintf(name, sizeof(name), "/crtool-mqueue-%d-%ld", getpid(), started.tv_nsec);
	q = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0640, &attr);
	check(q >= 0);
	reader = mq_open(name, O_RDONLY | O_NONBLOCK);
	check(reader >= 0);
	check(mq_send(q, "low", 4, 1) == 0);
	check(mq_send(q, "high", 5, 9) == 0);
	if (argc > 1)
		check(mq_unlink(name) == 0);

	zdtm_park();

	check(mq_getattr(reader, &now) == 0);
	check(now.mq_flags == O_NONBLOCK && now.mq_maxmsg == 4 && now.mq_curmsgs == 2);
	check(mq_getattr(q, &now) == 0);
	check(now.mq_flags == 0);
	check(mq_receive(reader, text, sizeof(text), &prio) == 5);
	check(prio == 9 && !strcmp(text, "high"));
	check(mq_receive(q, text, sizeof(text), &prio) == 4);
	check(prio == 1 && !strcmp(text, "low"));
	check(mq_receive(reader, text, sizeof(text), &prio) == -1);
	check(errno == EAGAIN);
	if (argc == 1)
		check(mq_unlink(name) == 0);
	return zdtm_pass();
}
