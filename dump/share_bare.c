/*
 * Some tables a task may be without: it gets one when it first needs it. To
 * kcmp(2) "none" is equal to "none", so who has none is found by comparing with
 * a thread that certainly has none: one of crtool that does nothing else.
 *
 * An I/O context is inherited as a copy if a priority was set for it (ionice(1)),
 * so the thread that makes this one unsets its own (block/blk-ioc.c, __copy_io()).
 * The list of semaphore operations is shared by threads of the C library; it
 * can be left.
 */
#include <errno.h>
#include <linux/ioprio.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dump/share.h"
#include "lib/child.h"
#include "lib/log.h"

struct birth {
	sem_t done;
	pid_t tid;
	int error; /* 0 or -errno */
};

static int start(void *(*run)(void *), struct birth *birth)
{
	pthread_t thread;
	int r = pthread_create(&thread, NULL, run, birth);

	if (r == 0)
		pthread_detach(thread);
	return -r;
}

static void *be_bare(void *arg)
{
	struct birth *birth = arg;

	birth->tid = (pid_t)syscall(SYS_gettid);
	birth->error = unshare(CLONE_SYSVSEM) < 0 ? -errno : 0;
	sem_post(&birth->done);
	for (;;)
		pause();
	return NULL;
}

static void *make_bare(void *arg)
{
	struct birth *birth = arg;
	int r = syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, 0) < 0 ? -errno
	                                                              : start(be_bare, birth);

	/* The other thread may have told already, and whoever waited has left: BIRTH is there no more. */
	if (r < 0) {
		birth->error = r;
		sem_post(&birth->done);
	}
	return NULL;
}

/* Signals are for the other threads. */
static int bare_thread(struct dump *d)
{
	struct birth birth = {};
	sigset_t all, before;

	sigfillset(&all);
	sem_init(&birth.done, 0, 0);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	birth.error = start(make_bare, &birth);
	while (!birth.error && sem_wait(&birth.done) < 0)
		;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	sem_destroy(&birth.done);
	if (birth.error)
		return fail(birth.error, "make a thread to compare with%s",
		            child_limits(birth.error));
	d->bare = birth.tid;
	return 0;
}

int table_has(struct dump *d, pid_t tid, enum table table)
{
	int r = d->bare ? 0 : bare_thread(d), order;

	if (r == 0)
		r = table_compare(tid, d->bare, table, &order);
	return r < 0 ? r : order != 0;
}
