#define _GNU_SOURCE
#include "restore/lazy_hold.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/lazy.h"
#include "lib/log.h"
#include "lib/procfs.h"
#include "restore/far.h"
#include "restore/lazy.h"

/* ---- the end of the tree ---- */

/* All below PID, before it: whoever is killed has no more children. */
static void kill_below(pid_t pid)
{
	auto_free char *list = NULL;
	char path[64];

	kill(pid, SIGKILL);
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	if (file_read(AT_FDCWD, path, &list) < 0)
		return;
	for (char *p = list, *end; *p; p = end) {
		pid_t child = (pid_t)strtol(p, &end, 10);

		if (end == p)
			break;
		kill_below(child);
	}
}

/* The descriptors of the tasks were made while they stood still. */
static void kill_tree(const struct restore *r)
{
	array_each (t, &r->tasks) {
		if (t->role != ROLE_TASK)
			continue;
		syscall(SYS_pidfd_send_signal, t->lazy_pidfd, SIGSTOP, NULL, 0);
		kill_below(t->pid);
		syscall(SYS_pidfd_send_signal, t->lazy_pidfd, SIGKILL, NULL, 0);
	}
}

static void tell_killed(const char *why)
{
	fprintf(stderr, "crtool: error: %s; the tree is killed\n", why);
}

/* ---- those above ---- */

/*
 * Until nobody is left below. It is done if anybody says so: whoever was killed after that matters no
 * more, and of who is killed before the children come to us.
 */
static void hold_on(const struct restore *r)
{
	bool done = false, killed = false;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, 0)) > 0 || errno == EINTR) {
		if (pid < 0)
			continue;
		done |= status == 0;
		killed = WIFSIGNALED(status);
	}
	if (!done)
		kill_tree(r);
	if (!done && killed)
		tell_killed("who brought the memory of the tree was killed, and what is missing "
		            "cannot come any more");
	_exit(!done);
}

static int pidfd_self(void)
{
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	return fd < 0 ? -errno : fd;
}

/* We are the parent, and hold on, of the child that this returns in; SPARE is the one that it has no use for. */
static int step_down(struct lazy_chain *c, int spare)
{
	int own = pidfd_self();
	pid_t pid;

	if (own < 0)
		return own;
	/* The children of a child that is killed come to us. */
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	pid = fork();
	if (pid > 0)
		hold_on(c->r);
	if (pid < 0)
		return -errno;
	closep(&c->above[spare]);
	c->above[spare] = own;
	return 0;
}

static bool is_gone(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

int lazy_look(struct lazy_chain *c)
{
	int r = 0;

	for (int i = 0; r == 0 && i < 2; i++)
		if (is_gone(c->above[i]))
			r = step_down(c, i);
	return r;
}

/* ---- what came in since ---- */

static int send_fd(int to, int fd)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {};
	struct iovec iov = { .iov_base = (char *)"", .iov_len = 1 };
	struct msghdr msg = { .msg_iov = &iov,
		              .msg_iovlen = 1,
		              .msg_control = control.buf,
		              .msg_controllen = sizeof(control.buf) };
	struct cmsghdr *at = CMSG_FIRSTHDR(&msg);

	at->cmsg_level = SOL_SOCKET;
	at->cmsg_type = SCM_RIGHTS;
	at->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(at), &fd, sizeof(int));
	return sendmsg(to, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Without room for it, the descriptor in a message ends with the message. */
static void empty(int from)
{
	char c;

	while (recv(from, &c, 1, 0) == 1)
		;
}

/* Messages in a socket that all have: nobody reads them. When it is full, only what still lives stays. */
void lazy_keep(struct lazy_chain *c, const struct lazy_mms *mms, int uffd)
{
	if (send_fd(c->kept[0], uffd) != -EAGAIN)
		return;
	empty(c->kept[1]);
	array_each (mm, mms)
		if (mm->uffd >= 0)
			send_fd(c->kept[0], mm->uffd);
}

/* ---- from the start ---- */

static int serve(struct lazy_chain *c, struct lazy_mms *mms)
{
	struct restore *r = c->r;
	const struct lazy_way way = { .far = r->opt->far,
		                      .on_demand = r->opt->on_demand,
		                      .chain = c,
		                      .fail_soon =
		                              r->opt->fail_at && !strcmp(r->opt->fail_at, "lazy") };
	int e = lazy_serve(r->images, mms, &way);

	if (e == 0 && way.far)
		e = way.far->finish(way.far->arg);
	/* As the last act: nobody has looked whether the page files are whole. */
	return e < 0 || way.on_demand ? e : images_verify_late(r->images);
}

/* Where that act may be far away it is done at once, beside who serves. */
static void verify_beside(struct restore *r)
{
	if (!r->opt->on_demand || images_verify_late(r->images) == 0)
		return;
	tell_killed(log_failure());
	/* Who serves finds nobody left then. */
	kill_tree(r);
}

/*
 * Whoever reads what crtool says until its end is not to wait for ours; on demand, that may be that of
 * the tree, so nothing can be said to him.
 */
static void leave_readers(const struct restore *r)
{
	auto_close int null = null_open();
	struct stat st;

	for (int fd = 0; null >= 0 && fd < 3; fd++)
		if (fd < 2 || (r->opt->on_demand && fstat(fd, &st) == 0 &&
		               (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode))))
			dup2(null, fd);
}

/* For ps(1), pkill(1) and the like. */
static void rename_self(const char *name)
{
	struct proc_stat st;
	char *from;

	prctl(PR_SET_NAME, name);
	if (stat_read(AT_FDCWD, "/proc/self/stat", &st) < 0 ||
	    st.field[STAT_ARG_END] <= st.field[STAT_ARG_START] + strlen(name))
		return;
	from = (char *)(uintptr_t)st.field[STAT_ARG_START];
	memset(from, 0, st.field[STAT_ARG_END] - st.field[STAT_ARG_START]);
	memcpy(from, name, strlen(name));
}

/* Nobody holds on to anything then. */
static void tell_alone(void)
{
	fail(-errno, "--lazy: fork who brings the memory");
	tell_killed(log_failure());
}

/* The second, whose child serves. */
static void keep_second(struct lazy_chain *c, struct lazy_mms *mms)
{
	pid_t pid;
	int e = c->above[1] = pidfd_self();

	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	pid = e < 0 ? -1 : fork();
	if (pid == 0) {
		e = serve(c, mms);
		if (e < 0)
			tell_killed(log_failure());
		_exit(e < 0);
	}
	if (pid > 0)
		verify_beside(c->r);
	else
		tell_alone();
	hold_on(c->r);
}

/* The first. Ends when all is there. */
static void keep(struct lazy_chain *c, struct lazy_mms *mms)
{
	char name[16];
	pid_t pid;

	setsid();
	prctl(PR_SET_NAME, BRINGS_MEMORY);
	if (!c->r->opt->far)
		close_callers(c->r->opt);
	leave_readers(c->r);
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	c->above[0] = pidfd_self();
	pid = c->above[0] < 0 ? -1 : fork();
	if (pid == 0)
		keep_second(c, mms);
	if (pid < 0)
		tell_alone();
	snprintf(name, sizeof(name), "memory-%d", c->r->tasks.v[0].pid);
	rename_self(name);
	hold_on(c->r);
}

static int hold_tasks(struct restore *r)
{
	array_each (t, &r->tasks) {
		t->lazy_pidfd = -1;
		if (t->role == ROLE_TASK)
			t->lazy_pidfd = (int)syscall(SYS_pidfd_open, t->pid, 0);
		if (t->role == ROLE_TASK && t->lazy_pidfd < 0)
			return fail(-errno, "%s: hold it", rtask_name(t));
	}
	return 0;
}

int lazy_hold(struct restore *r, struct lazy_mms *mms)
{
	struct lazy_chain c = { .r = r, .above = { -1, -1 } };
	int e = hold_tasks(r);
	pid_t pid;

	if (e < 0)
		return e;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, c.kept) < 0)
		return fail(-errno, "--lazy: a socket for descriptors");
	pid = fork();
	if (pid == 0)
		keep(&c, mms);
	if (pid < 0)
		e = fail(-errno, "--lazy: fork who brings the memory");
	close(c.kept[0]);
	close(c.kept[1]);
	return e;
}
