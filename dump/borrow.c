/*
 * Descriptors of ours for sockets of the tree. To take one over costs two calls and a
 * look at who may; while the tree is frozen nobody misses what we hold, so each is taken over once and
 * kept until the tree runs on, as long as that leaves some of our descriptors.
 *
 * Before the freeze nothing is kept: a socket that its program closes has to be closed then.
 */
#include "dump/borrow.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>

#include "lib/cleanup.h"
#include "lib/fd.h"

#define OTHERS   64  /* descriptors that we have anyway ... */
#define TASK_HAS 2   /* ... and for each task, besides those ... */
#define TASK_MAY 1   /* ... that it may have */
#define SPARE    8   /* this part of all is for what is open for a moment */
#define GIVE_MIN 256 /* descriptors for which a helper pays */

void files_may_keep(struct dump *d)
{
	struct rlimit limit;

	if (d->keep_most || getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	d->keep_most = (size_t)(limit.rlim_cur - limit.rlim_cur / SPARE);
}

bool files_may_keep_each(const struct dump *d, size_t n)
{
	return d->tasks.n <= d->keep_most / (TASK_HAS + n);
}

size_t files_left(const struct dump *d)
{
	size_t tasks = d->tasks.n * (TASK_HAS + TASK_MAY);

	return tasks + d->nstatuses < d->keep_most ? d->keep_most - tasks - d->nstatuses : 0;
}

void files_make_room(const struct dump *d)
{
	size_t left = files_left(d);

	if (d->files.n > OTHERS)
		fd_make_room(d->files.n + OTHERS < left ? d->files.n + OTHERS : left);
}

void file_keep(struct dump *d, struct file *f, int *fd)
{
	if (d->frozen && __atomic_add_fetch(&d->nkept, 1, __ATOMIC_RELAXED) <= files_left(d))
		f->kept = take_fd(fd);
}

void file_unkeep(struct dump *d, struct file *f)
{
	if (f->kept < 0)
		return;
	close(f->kept);
	f->kept = -1;
	__atomic_sub_fetch(&d->nkept, 1, __ATOMIC_RELAXED);
}

void file_steal_and_ask(struct dump *d, struct file *f)
{
	auto_close int fd = -1;

	if (!S_ISSOCK(f->st.st_mode) || (f->flags & O_PATH) || f->fd < 0)
		return;
	fd = file_steal(f);
	if (fd < 0)
		return;
	file_ask_socket(f, fd);
	file_keep(d, f, &fd);
}

struct borrowed file_borrow(const struct file *f)
{
	if (f->kept >= 0)
		return (struct borrowed){ f->kept, true };
	return (struct borrowed){ file_steal(f), false };
}

struct part {
	struct dump *d;
	size_t from, to;
};

static void *part_close(void *arg)
{
	const struct part *p = arg;

	for (size_t i = p->from; i < p->to; i++)
		file_unkeep(p->d, &p->d->files.v[i]);
	return NULL;
}

/* Of who has been killed that ends every connection: a helper does the half of many. */
void files_give_back(struct dump *d)
{
	size_t n = d->files.n, half = d->nkept >= GIVE_MIN && !d->undoing ? n / 2 : n;
	struct part mine = { d, 0, half }, others = { d, half, n };
	pthread_t helper;
	bool helped = half < n && pthread_create(&helper, NULL, part_close, &others) == 0;

	part_close(&mine);
	if (helped)
		pthread_join(helper, NULL);
	else
		part_close(&others);
	d->nkept = 0;
}
