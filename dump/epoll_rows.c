/*
 * Which rows of an epoll instance are as they look? The kernel finds a row by
 * file and number in its tree when one is to be added: EEXIST is the proof. So
 * each file is taken over with pidfd_getfd(2), at the number that it has in the
 * task, and added to a taken over epoll, with no events. Should that succeed,
 * because the row is of another file, it is removed at once; everybody stands
 * still meanwhile.
 *
 * crtool itself needs some of these numbers: a thread with a descriptor table of
 * its own does it, which ends with the thread.
 */
#include "dump/epoll_rows.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dump/task.h"
#include "lib/cleanup.h"

struct job {
	const struct file *epoll;
	struct epoll_row *rows;
	size_t n;
};

/* pidfd_getfd(2) answers with the lowest free number: all below *NEXT are taken, those up to the row's are filled. */
static void row_try(int pidfd, int epoll, struct epoll_row *row, int *next)
{
	struct epoll_event none = {};
	int fd;

	for (; *next < row->tfd; ++*next)
		if (dup(epoll) != *next)
			return;
	fd = (int)syscall(SYS_pidfd_getfd, pidfd, row->tfd, 0);
	if (fd != row->tfd)
		return;
	++*next;
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &none) == 0)
		epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
	else
		row->as_it_looks = errno == EEXIST;
}

/* Two rows of one number: at least one of them is not as it looks. */
static bool is_doubtful(const struct job *job, size_t i)
{
	const struct epoll_row *row = &job->rows[i];

	return (i && row[-1].tfd == row->tfd) || (i + 1 < job->n && row[1].tfd == row->tfd);
}

/* Descriptors of its own above all numbers, none below. */
static void *rows_try(void *arg)
{
	const struct job *job = arg;
	int last = job->rows[job->n - 1].tfd, next = 0, stolen, epoll;
	int pidfd = task_pidfd(job->epoll->task);

	if (unshare(CLONE_FILES) < 0)
		return NULL;
	stolen = file_steal(job->epoll);
	epoll = stolen < 0 ? -1 : fcntl(stolen, F_DUPFD_CLOEXEC, last + 1);
	pidfd = epoll < 0 ? -1 : fcntl(pidfd, F_DUPFD_CLOEXEC, last + 1);
	if (pidfd < 0 || close_range(0, (unsigned)last, 0) < 0)
		return NULL;
	for (size_t i = 0; i < job->n; i++)
		if (!is_doubtful(job, i))
			row_try(pidfd, epoll, &job->rows[i], &next);
	return NULL;
}

void epoll_rows_try(const struct file *epoll, struct epoll_row *rows, size_t n)
{
	struct job job = { epoll, rows, n };
	struct rlimit limit, more;
	pthread_t thread;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	more = limit;
	more.rlim_cur = more.rlim_max;
	setrlimit(RLIMIT_NOFILE, &more);
	if (pthread_create(&thread, NULL, rows_try, &job) == 0)
		pthread_join(thread, NULL);
	setrlimit(RLIMIT_NOFILE, &limit);
}
