/*
 * Who is to be notified of a message in a POSIX message queue, with the value that comes along:
 * "realtime", "signal" (a signal that nobody catches), "thread" (libc's own), "none". A second word:
 * "full" - there are messages -, "reader", "writer" - of a queue open in one direction -, "unlinked",
 * "netlink" - and the process has other netlink sockets -, "unread" - one with something to read.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <mqueue.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "zdtm.h"

#define VALUE ((void *)0x123456789abcUL)

static volatile int told;

static void tell(union sigval value)
{
	check(value.sival_ptr == VALUE);
	told = 1;
}

static bool is(const char *word, const char *other)
{
	return word && !strcmp(word, other);
}

static struct sigevent event_of(const char *how)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGURG };

	event.sigev_value.sival_ptr = VALUE;
	if (is(how, "realtime"))
		event.sigev_signo = SIGRTMIN + 3;
	if (is(how, "none"))
		event.sigev_notify = SIGEV_NONE;
	if (is(how, "thread")) {
		event.sigev_notify = SIGEV_THREAD;
		event.sigev_notify_function = tell;
	}
	return event;
}

static void await(const struct sigevent *event)
{
	const struct timespec end = { .tv_sec = 20 };
	siginfo_t si;
	sigset_t set;

	if (event->sigev_notify == SIGEV_NONE)
		return;
	for (int i = 0; event->sigev_notify == SIGEV_THREAD && !told && i < 10000; i++)
		zdtm_nap();
	if (event->sigev_notify == SIGEV_THREAD) {
		check(told);
		return;
	}
	sigemptyset(&set);
	sigaddset(&set, event->sigev_signo);
	check(sigtimedwait(&set, &si, &end) == event->sigev_signo);
	check(si.si_code == SI_MESGQ && si.si_value.sival_ptr == VALUE && si.si_pid == getpid());
}

static void sent(mqd_t q, const char *text, unsigned priority)
{
	check(mq_send(q, text, strlen(text) + 1, priority) == 0);
}

static void received(mqd_t q, const char *want, unsigned want_priority)
{
	char text[32];
	unsigned priority;

	check(mq_receive(q, text, sizeof(text), &priority) == (ssize_t)strlen(want) + 1);
	check(!strcmp(text, want) && priority == want_priority);
}

/* Of another use; with UNREAD there is an answer that nobody has fetched. */
static void other_sockets(bool unread)
{
	struct nlmsghdr request = { .nlmsg_len = sizeof(request),
		                    .nlmsg_type = NLMSG_NOOP,
		                    .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK };
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);

	check(fd >= 0 && socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC) >= 0);
	check(!unread || send(fd, &request, sizeof(request), 0) == sizeof(request));
}

int main(int argc, char **argv)
{
	struct mq_attr attr = { .mq_maxmsg = 4, .mq_msgsize = 32 };
	const char *how = argc > 1 ? argv[1] : "", *more = argc > 2 ? argv[2] : "";
	struct sigevent event = event_of(how);
	struct timespec now;
	sigset_t set;
	char name[64];
	mqd_t q, other;

	check(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
	snprintf(name, sizeof(name), "/crtool-mq_notify-%d-%ld", getpid(), now.tv_nsec);
	sigfillset(&set);
	check(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	q = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
	check(q >= 0 && mq_notify(q, &event) == 0);
	if (is(more, "full") || is(more, "unlinked")) {
		/* The first of these told; the registration is of now, with messages there. */
		sent(q, "low", 1);
		await(&event);
		told = 0;
		check(mq_notify(q, &event) == 0);
		sent(q, "high", 9);
		sent(q, "low again", 1);
		sent(q, "", 5);
	}
	if (is(more, "reader") || is(more, "writer")) {
		check(mq_close(q) == 0); /* and with it the registration */
		q = mq_open(name, is(more, "reader") ? O_RDONLY : O_WRONLY);
		check(q >= 0 && mq_notify(q, &event) == 0);
	}
	if (is(more, "unlinked"))
		check(mq_unlink(name) == 0);
	if (is(more, "netlink") || is(more, "unread"))
		other_sockets(is(more, "unread"));

	zdtm_park();

	check(sigpending(&set) == 0 && !sigismember(&set, event.sigev_signo) && !told);
	event.sigev_notify = SIGEV_NONE;
	check(mq_notify(q, &event) < 0 && errno == EBUSY);
	event = event_of(how);
	if (is(more, "full") || is(more, "unlinked")) {
		received(q, "high", 9);
		received(q, "", 5);
		received(q, "low", 1);
		received(q, "low again", 1);
	}
	check(mq_getattr(q, &attr) == 0 && attr.mq_curmsgs == 0);
	other = is(more, "unlinked") ? q : mq_open(name, O_RDWR);
	sent(other, "now", 2);
	await(&event);
	received(other, "now", 2);
	check(is(more, "unlinked") || mq_unlink(name) == 0);
	return zdtm_pass();
}
