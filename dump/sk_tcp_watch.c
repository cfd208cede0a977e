#include "dump/sk_tcp_watch.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dump/dump.h"
#include "dump/guard.h"
#include "lib/child.h"
#include "lib/cleanup.h"
#include "lib/netlock.h"
#include "lib/sockopt.h"

int watch_repair(struct watch_fd *w)
{
	int on = TCP_REPAIR_ON;

	if (w->reuse < 0 && getsockopt(w->fd, SOL_SOCKET, SO_REUSEADDR, &w->reuse,
	                               &(socklen_t){ sizeof(w->reuse) }) < 0)
		return -errno;
	__atomic_store_n(&w->repairs, true, __ATOMIC_SEQ_CST);
	if (setsockopt(w->fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)) == 0)
		return 0;
	__atomic_store_n(&w->repairs, false, __ATOMIC_SEQ_CST);
	return -errno;
}

int watch_leave(struct watch_fd *w)
{
	int r = sockopt_put_back(w->fd, IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_OFF_NO_WP);
	int reuse = w->reuse ? sockopt_put_back(w->fd, SOL_SOCKET, SO_REUSEADDR, w->reuse) : 0;

	if (r == 0)
		r = reuse;
	if (r == 0)
		__atomic_store_n(&w->repairs, false, __ATOMIC_SEQ_CST);
	return r;
}

int watch_inline(struct watch_fd *w, bool on)
{
	int r;

	if (on)
		__atomic_store_n(&w->inlines, true, __ATOMIC_SEQ_CST);
	r = sockopt_put_back(w->fd, SOL_SOCKET, SO_OOBINLINE, on);
	if (r == 0 && !on)
		__atomic_store_n(&w->inlines, false, __ATOMIC_SEQ_CST);
	return r;
}

static int peek_set(struct watch_fd *w, int off)
{
	return setsockopt(w->fd, SOL_SOCKET, SO_PEEK_OFF, &off, sizeof(off)) < 0 ? -errno : 0;
}

int watch_peek(struct watch_fd *w, int off, int own)
{
	w->peek_off = own;
	__atomic_store_n(&w->peeks, true, __ATOMIC_SEQ_CST);
	return peek_set(w, off);
}

int watch_unpeek(struct watch_fd *w)
{
	int r = sockopt_put_back(w->fd, SOL_SOCKET, SO_PEEK_OFF, w->peek_off);

	if (r == 0 || r == -EOPNOTSUPP)
		__atomic_store_n(&w->peeks, false, __ATOMIC_SEQ_CST);
	return r;
}

bool watch_is_changed(const struct watch_fd *w)
{
	return w->repairs || w->inlines || w->peeks;
}

void watch_leave_all(struct watch *w)
{
	for (size_t i = 0; i < w->n && !w->committed; i++) {
		if (w->fds[i].inlines)
			watch_inline(&w->fds[i], false);
		if (w->fds[i].peeks)
			watch_unpeek(&w->fds[i]);
		if (w->fds[i].repairs)
			watch_leave(&w->fds[i]);
	}
}

/* ---- in the guard ---- */

static int read_crtool(pid_t crtool, uint64_t at, void *buf, size_t size)
{
	struct iovec local = { buf, size }, remote = { (void *)at, size };

	return process_vm_readv(crtool, &local, 1, &remote, 1, 0) == (ssize_t)size ? 0 : -EFAULT;
}

void watch_undo(pid_t crtool, uint64_t at)
{
	auto_close int pidfd = (int)syscall(SYS_pidfd_open, crtool, 0);
	auto_free struct watch *w = NULL;
	size_t size = 0;

	if (pidfd < 0 || read_crtool(crtool, at, &size, sizeof(size)) < 0 || !(w = malloc(size)) ||
	    read_crtool(crtool, at, w, size) < 0)
		return;
	for (size_t i = 0; i < w->n; i++) {
		struct watch_fd *fd = &w->fds[i];

		if (fd->repairs || fd->inlines || fd->peeks)
			fd->fd = (int)syscall(SYS_pidfd_getfd, pidfd, fd->fd, 0);
	}
	watch_leave_all(w);
	/* It may have gone where the tree is since it forked us. */
	if (*w->lock && !w->committed && setns(pidfd, CLONE_NEWNET) == 0)
		netlock_remove(w->lock);
}

/* ---- in a watcher ---- */

/*
 * The tree runs on as soon as its tracer, the main thread, is dead, and must not meet a socket in repair mode. Where
 * somebody else traces crtool, so that the guard cannot hold it: a lock that a thread holds is handed on at the
 * beginning of its death, before that (futex(2), FUTEX_LOCK_PI; do_exit() of kernel/exit.c: exit_mm(), exit_notify()),
 * mostly early enough. Who waits must not be kept waiting by who computes.
 */
static void await_lock(struct watch *w)
{
	const struct sched_param first = { .sched_priority = 1 };

	sched_setscheduler(0, SCHED_FIFO, &first); /* by best effort */
	while (syscall(SYS_futex, &w->held, FUTEX_LOCK_PI, 0, NULL, NULL, 0) < 0 && errno == EINTR)
		continue;
}

static void say_ready(struct watch *w)
{
	__atomic_store_n(&w->ready, 1, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &w->ready, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* Everything is the parent's but its signals: one for its group is not for us. */
static void watch_parent(struct watch *w, int pidfd, const sigset_t *all)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	sigprocmask(SIG_BLOCK, all, NULL);
	say_ready(w);
	await_lock(w);
	watch_leave_all(w);
	while (poll(&p, 1, -1) < 0)
		continue;
	/* Another thread may have been about to set it. */
	watch_leave_all(w);
	if (*w->lock && !w->committed)
		netlock_remove(w->lock);
	_exit(0);
}

/* Somebody may have killed it. */
static void await_ready(struct watch *w)
{
	const struct timespec soon = { .tv_nsec = 20000000 };
	siginfo_t info = {};

	while (!__atomic_load_n(&w->ready, __ATOMIC_SEQ_CST) &&
	       waitid(P_PID, (id_t)w->watcher, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0 &&
	       !info.si_pid)
		syscall(SYS_futex, &w->ready, FUTEX_WAIT, 0, &soon, NULL, 0);
}

static int start_watcher(struct watch *w)
{
	auto_close int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	struct clone_args args = { .flags = CLONE_FILES };
	sigset_t all;
	long pid;

	if (pidfd < 0)
		return -errno;
	w->held = (uint32_t)gettid();
	sigfillset(&all);
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0)
		watch_parent(w, take_fd(&pidfd), &all);
	if (pid < 0)
		return -errno;
	w->watcher = (pid_t)pid;
	await_ready(w);
	/* Its descriptor is of the same table: it stays until the watcher is gone. */
	take_fd(&pidfd);
	return 0;
}

int watch_new(struct dump *d, size_t n, struct watch **ret)
{
	size_t size = sizeof(struct watch) + n * sizeof(struct watch_fd);
	struct watch *w =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int r = 0;

	if (w == MAP_FAILED)
		return -errno;
	w->size = size;
	if (guard_holds(&d->guard))
		guard_note_watch(d, w);
	else
		r = start_watcher(w);
	if (r < 0)
		munmap(w, size);
	else
		*ret = w;
	return r;
}

void watch_free(struct dump *d, struct watch *w)
{
	if (!w)
		return;
	guard_note_watch(d, NULL);
	if (w->watcher)
		child_end(w->watcher);
	munmap(w, w->size);
}
