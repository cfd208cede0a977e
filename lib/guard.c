#include "lib/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/child.h"
#include "lib/cleanup.h"
#include "lib/deadline.h"
#include "lib/dying.h"
#include "lib/fd.h"
#include "lib/log.h"

/* What the word says: one of these, or the errno that prepare() ended with. */
#define STARTS 0u
#define READY  0x10000u
#define HOLDS  0x20000u /* and holds crtool */
#define OVER   0x30000u

#define END_NS 20000000 /* crtool is gone by then, mostly: who comes first is not to sleep */

static void say(uint32_t *word, uint32_t what)
{
	__atomic_store_n(word, what, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static uint32_t said(const struct guard *g)
{
	return __atomic_load_n(g->word, __ATOMIC_SEQ_CST);
}

/*
 * Nothing of crtool's stays open because of the guard: locks, pipes that somebody
 * reads to their end. The number of the descriptor that is kept.
 */
static int drop_files(int keep)
{
	const int first = STDERR_FILENO + 1;
	int null = null_open();
	int high = fcntl(keep, F_DUPFD_CLOEXEC, first);

	log_setup(LOG_ERROR, stderr);
	for (int fd = 0; fd < first; fd++)
		dup2(null, fd);
	if (high > first)
		dup3(high, first, O_CLOEXEC);
	close_range((unsigned)first + 1, ~0u, 0);
	return first;
}

/* Its tracees run from then on. */
static void await_end(struct pollfd *end)
{
	uint64_t until = clock_ns() + END_NS;

	while (poll(end, 1, 0) == 0 && clock_ns() < until)
		sched_yield();
	while (poll(end, 1, -1) < 0 && errno == EINTR)
		continue;
}

static _Noreturn void watch(const struct guard *g, int crtool, pid_t pid,
                            const struct guard_work *work, void *arg)
{
	struct pollfd end = { .fd = drop_files(crtool), .events = POLLIN };
	struct dying dying;
	sigset_t alarm;
	bool holds;
	int r;

	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);

	holds = work->dying && dying_hold(&dying, pid) == 0;
	prctl(PR_SET_NAME, GUARD_COMM);
	r = work->prepare ? work->prepare(arg) : 0;
	say(g->word, r < 0 ? (uint32_t)-r : holds ? HOLDS : READY);
	if (r < 0)
		_exit(1);
	if (holds) {
		dying_await(&dying);
		if (said(g) != OVER)
			work->dying(arg, pid);
		dying_done(&dying);
		await_end(&end);
	}
	while (poll(&end, 1, -1) < 0 && errno == EINTR)
		continue;
	sigprocmask(SIG_UNBLOCK, &alarm, NULL); /* deadlines hold for it, too */
	if (said(g) != OVER)
		work->undo(arg);
	_exit(0);
}

/* -errno; -ECHILD: it has ended. */
static int wait_ready(const struct guard *g)
{
	uint32_t what;

	while ((what = said(g)) == STARTS) {
		const struct timespec glance = { .tv_nsec = 10000000 };

		if (waitpid(g->pid, NULL, WNOHANG) == g->pid)
			return -ECHILD;
		syscall(SYS_futex, g->word, FUTEX_WAIT, STARTS, &glance, NULL, 0);
	}
	return what >= READY ? 0 : -(int)what;
}

int guard_await(const struct guard *g)
{
	return g->word ? wait_ready(g) : 0;
}

bool guard_holds(const struct guard *g)
{
	return g->word && said(g) == HOLDS;
}

void guard_tell_threads(struct guard *g)
{
	if (g->pid > 0)
		kill(g->pid, DYING_NEWS);
}

int guard_begin(struct guard *g, const struct guard_work *work, void *arg)
{
	struct clone_args args = { .exit_signal = SIGCHLD };
	auto_close int crtool = (int)syscall(SYS_pidfd_open, getpid(), 0);
	pid_t pid = getpid();
	sigset_t all, old;
	void *word;
	int r;

	*g = (struct guard){};
	if (crtool < 0)
		return -errno;
	word = mmap(NULL, sizeof(*g->word), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
	            0);
	if (word == MAP_FAILED)
		return -errno;
	g->word = word;
	sigfillset(&all); /* a terminal's signals are not for it */
	sigprocmask(SIG_SETMASK, &all, &old);
	g->pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (g->pid == 0)
		watch(g, crtool, pid, work, arg);
	r = g->pid < 0 ? -errno : 0;
	sigprocmask(SIG_SETMASK, &old, NULL);
	if (r < 0)
		g->pid = 0;
	if (r == 0 && work->prepare)
		r = wait_ready(g);
	if (r < 0)
		guard_end(g);
	return r;
}

void guard_dismiss(struct guard *g)
{
	if (g->word)
		say(g->word, OVER);
	if (g->pid > 0)
		kill(g->pid, SIGKILL);
}

void guard_end(struct guard *g)
{
	guard_dismiss(g);
	if (g->pid > 0)
		child_end(g->pid);
	if (g->word)
		munmap(g->word, sizeof(*g->word));
	*g = (struct guard){};
}
