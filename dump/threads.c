#include "dump/threads.h"

#include <unistd.h>

#include "dump/borrow.h"
#include "dump/task.h"
#include "lib/fd.h"
#include "lib/hands.h"
#include "lib/log.h"

#define SHARE        16 /* threads for which a hand pays */
#define READ_SHARE   24 /* processes: they are not traced by it, but read */
#define HANDS_MAX    8
#define FDS_PER_TASK 4 /* that may be kept open */
#define PER_CPU      2 /* one waits while the other works */

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static unsigned hands_wanted(size_t threads, size_t tasks)
{
	size_t tracing = threads / SHARE, reading = tasks / READ_SHARE, cpus, want;

	if (tracing < 2 && reading < 2)
		return 1;
	cpus = (size_t)sysconf(_SC_NPROCESSORS_ONLN);
	if (cpus < 2)
		return 1;
	want = least(tracing, cpus * PER_CPU);
	reading = least(reading, cpus);
	return (unsigned)least(want > reading ? want : reading, HANDS_MAX);
}

/* Descriptors may be opened while there are as many again: to open one takes as long as to read it. */
static int open_statuses(void *arg, unsigned hand)
{
	struct dump *d = arg;
	size_t left = d->nstatuses / hands_count(d->hands);

	array_each (t, &d->tasks)
		array_each (th, &t->threads)
			if (th->hand == hand && th != t->threads.v && !th->like && left && left--)
				status_open(th);
	return 0;
}

int threads_deal(struct dump *d)
{
	size_t others = 0, next = 0;
	unsigned n;

	array_each (t, &d->tasks)
		others += t->threads.n ? t->threads.n - 1 : 0;
	n = hands_wanted(others, d->tasks.n);
	if (n == 1)
		return 0;
	fd_make_room(d->tasks.n * FDS_PER_TASK);
	if (hands_begin(n, &d->hands) < 0)
		return 0; /* alone, it takes longer */
	guard_tell_threads(&d->guard);
	array_each (t, &d->tasks)
		for (size_t i = 1; i < t->threads.n; i++)
			t->threads.v[i].hand =
				t->threads.v[i].traces ? 0 : (unsigned)(next++ * n / others);
	files_may_keep(d);
	d->nstatuses = least(others, files_left(d) / 2);
	return hands_all(d->hands, open_statuses, d);
}

int threads_of(struct dump *d, unsigned hand, int (*fn)(struct dump *d, struct thread *th))
{
	array_each (t, &d->tasks)
		array_each (th, &t->threads) {
			int r = th->hand == hand && !th->exited ? fn(d, th) : 0;

			if (r < 0)
				return r;
		}
	return 0;
}

int threads_back(struct dump *d, unsigned hand, int (*fn)(struct dump *d, struct thread *th))
{
	for (size_t at = d->tasks.n; at-- > 0;)
		for (size_t i = d->tasks.v[at].threads.n; i-- > 0;) {
			struct thread *th = &d->tasks.v[at].threads.v[i];
			int r = th->hand == hand && !th->exited ? fn(d, th) : 0;

			if (r < 0)
				return r;
		}
	return 0;
}

struct work {
	struct dump *d;
	int (*fn)(struct dump *d, struct thread *th);
};

static int work(void *arg, unsigned hand)
{
	const struct work *w = arg;

	return threads_of(w->d, hand, w->fn);
}

int threads_each(struct dump *d, int (*fn)(struct dump *d, struct thread *th))
{
	struct work w = { d, fn };

	return hands_all(d->hands, work, &w);
}

struct round {
	struct dump *d;
	int (*fn)(struct dump *d, struct task *t);
	size_t next; /* task that nobody has taken */
};

static int round_share(void *arg, unsigned hand)
{
	struct round *g = arg;
	int r = 0;
	size_t i;

	while (r == 0 && (i = __atomic_fetch_add(&g->next, 1, __ATOMIC_RELAXED)) < g->d->tasks.n)
		r = g->fn(g->d, &g->d->tasks.v[i]);
	return r;
}

int tasks_each(struct dump *d, int (*fn)(struct dump *d, struct task *t))
{
	struct round g = { .d = d, .fn = fn };

	return d->tasks.n < 2 * READ_SHARE ? round_share(&g, 0)
	                                   : hands_all(d->hands, round_share, &g);
}
