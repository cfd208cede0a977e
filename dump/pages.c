/*
 * The pages of all tasks, copied by up to four threads, each into its own page
 * file: one file does not scale, writers wait for each other at its inode.
 * Threads are started only when there is more than a little to do.
 *
 * Everybody takes the next unit from the one scan, so the work spreads evenly
 * whatever the layout, and nothing is kept in memory but what is at hand. Of many small
 * tasks to look for what there is takes longer than to copy it: each of them is scanned, too, by who takes it.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "dump/alike.h"
#include "dump/dump.h"
#include "dump/pages_copy.h"
#include "dump/pages_scan.h"
#include "dump/snapshot.h"
#include "dump/stages.h"
#include "dump/sysv.h"
#include "dump/writers.h"
#include "lib/awake.h"
#include "lib/cleanup.h"
#include "lib/cpus.h"
#include "lib/deadline.h"
#include "lib/log.h"
#include "lib/marks.h"
#include "lib/procfs.h"
#include "lib/progress.h"
#include "proto/shmem.pb-c.h"

#define COPIERS 4
#define PACKERS 16         /* instead, where they compress: that takes much longer than copying */
#define ENOUGH  (8u << 20) /* bytes from which on threads pay ... */
#define MANY    48         /* ... and tasks */

/* Bytes that are held: as many as are resident, but of a small tree that is mostly files. */
#define HOLD_LEAST (256u << 10)
#define HOLD_SMALL (4u << 20)
#define HOLD_MOST  (12u << 20)
#define HOLD_WORTH (32u << 20) /* so much takes its time anyway */

/* Runs of an object, until its record is written. */
struct object_runs {
	const struct shmem *m;
	Img__Pages msg;
};

struct pages {
	struct dump *d;
	struct hold hold;
	struct copier first;  /* the copier of the caller, which has the first file */
	unsigned copiers;     /* so many are there */
	pthread_mutex_t lock; /* of everything here and the image writer, but page files */
	struct scan scan;
	bool many;      /* small tasks are scanned apart ... */
	size_t next;    /* ... from this one on, which nobody has taken */
	uint64_t taken; /* bytes handed out */
	int error;
	ARRAY(struct object_runs) runs;
	struct shares shares;
	struct kept kept;
};

static size_t copiers(const struct dump *d)
{
	return cpus_allowed(d->opt->compression.codec ? PACKERS : COPIERS);
}

static int create_file(void *arg, bool later, struct pages_file **ret)
{
	struct pages *p = arg;
	int r;

	pthread_mutex_lock(&p->lock);
	r = later ? image_add_later(p->d->out, ret) : image_add_pages(p->d->out, ret);
	pthread_mutex_unlock(&p->lock);
	return r;
}

/* A copy of MSG for the record of an object. */
static int keep_runs(struct pages *p, const struct shmem *m, const Img__Pages *msg)
{
	struct object_runs *o = array_add(&p->runs);

	if (!o)
		return -ENOMEM;
	o->m = m;
	o->msg = *msg;
	o->msg.start = malloc(msg->n_start * sizeof(*msg->start));
	o->msg.count = malloc(msg->n_count * sizeof(*msg->count));
	if (!o->msg.start || !o->msg.count)
		return -ENOMEM;
	memcpy(o->msg.start, msg->start, msg->n_start * sizeof(*msg->start));
	memcpy(o->msg.count, msg->count, msg->n_count * sizeof(*msg->count));
	return 0;
}

static int put_runs(void *arg, struct task *t, const struct shmem *m, const Img__Pages *msg)
{
	struct pages *p = arg;
	int r;

	pthread_mutex_lock(&p->lock);
	r = t ? image_put(p->d->out, KIND_pages, (uint32_t)t->pid, &msg->base)
	      : keep_runs(p, m, msg);
	if (r == 0 && t)
		r = shares_stored(&p->shares, p->d, t, msg);
	pthread_mutex_unlock(&p->lock);
	return r;
}

/* Take the next unit: 1; 0 when there is none, or somebody failed. */
static int take_unit(struct pages *p, struct unit *u)
{
	int r = 0;

	pthread_mutex_lock(&p->lock);
	if (!p->error)
		r = scan_next(&p->scan, u);
	if (r > 0)
		__atomic_add_fetch(&p->taken, u->bytes, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&p->lock);
	return r;
}

static void set_error(struct pages *p, int r)
{
	pthread_mutex_lock(&p->lock);
	if (r < 0 && !p->error)
		p->error = r;
	pthread_mutex_unlock(&p->lock);
}

/* Copy units until none is left, or (UNTIL) that many bytes are taken. 1: there may be more. */
static int copy_units(struct pages *p, struct copier *c, uint64_t until)
{
	auto_free struct unit *u = malloc(sizeof(*u));
	int r;

	if (!u)
		return -ENOMEM;
	while ((r = take_unit(p, u)) > 0) {
		r = copier_unit(c, u);
		if (r < 0)
			return r;
		progress_set(__atomic_load_n(&p->taken, __ATOMIC_RELAXED) >> 20);
		if (until && p->taken >= until)
			return 1;
	}
	return r;
}

/* All units of the scan S, which is C's own. */
static int copy_scan(struct pages *p, struct copier *c, struct scan *s, struct unit *u)
{
	int r;

	while ((r = scan_next(s, u)) > 0) {
		uint64_t taken = __atomic_add_fetch(&p->taken, u->bytes, __ATOMIC_RELAXED);

		r = copier_unit(c, u);
		if (r < 0)
			return r;
		progress_set(taken >> 20);
	}
	return r;
}

/* Small tasks, until none is left. */
static int copy_small(struct pages *p, struct copier *c)
{
	auto_free struct unit *u = malloc(sizeof(*u));
	auto_(scan_done) struct scan s;
	int r = scan_init(&s, p->d, &p->shares, &p->kept);
	size_t i;

	r = u ? r : -ENOMEM;

	while (r == 0 && !__atomic_load_n(&p->error, __ATOMIC_RELAXED) &&
	       (i = __atomic_fetch_add(&p->next, 1, __ATOMIC_RELAXED)) < p->d->tasks.n) {
		if (!scan_is_small(&p->d->tasks.v[i]))
			continue;
		scan_task(&s, i);
		r = copy_scan(p, c, &s, u);
	}
	return r;
}

/* What is left to be copied, with others. */
static int copy_along(struct pages *p, struct copier *c)
{
	int r = p->many ? copy_small(p, c) : 0;

	return r < 0 ? r : copy_units(p, c, 0);
}

static void copier_setup(struct copier *c, struct pages *p)
{
	*c = (struct copier){ .d = p->d,
		              .slot = __atomic_fetch_add(&p->copiers, 1, __ATOMIC_RELAXED),
		              .create = create_file,
		              .put = put_runs,
		              .arg = p,
		              .later = p->d->opt->later };
}

static void *copier_thread(void *arg)
{
	struct pages *p = arg;
	auto_(copier_done) struct copier c = {};
	int r;

	copier_setup(&c, p);
	r = copier_init(&c);
	if (r == 0)
		r = copy_along(p, &c);
	if (r == 0)
		r = copier_finish(&c);
	set_error(p, r);
	return NULL;
}

/* Signals are for the first thread. */
static size_t start_threads(struct pages *p, pthread_t threads[PACKERS])
{
	size_t want = copiers(p->d), n = 0;
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (n + 1 < want && pthread_create(&threads[n], NULL, copier_thread, p) == 0)
		n++;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return n;
}

static int copy_all(struct pages *p)
{
	struct copier *c = &p->first;
	pthread_t threads[PACKERS];
	size_t n = 0;
	int r;

	copier_setup(c, p);
	c->file = c->stored = p->d->pages;
	c->hold = p->hold.buf ? &p->hold : NULL;
	p->scan.large_only = p->many = p->d->tasks.n >= MANY && !c->hold && !p->d->opt->memory_only;
	r = copier_init(c);
	if (r == 0)
		r = p->many ? 1 : copy_units(p, c, c->hold ? HOLD_MOST : ENOUGH);
	if (r > 0) {
		n = start_threads(p, threads);
		r = copy_along(p, c);
	}
	if (r == 0)
		r = copier_settle(c);
	set_error(p, r);
	for (size_t i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	return p->error;
}

static int by_object(const void *a, const void *b)
{
	const struct object_runs *x = a, *y = b;

	return x->m->id < y->m->id ? -1 : x->m->id > y->m->id;
}

/* The record of M; its runs are the N at FIRST. */
static int put_object(struct pages *p, const struct shmem *m, struct object_runs *first, size_t n)
{
	Img__Shmem msg = IMG__SHMEM__INIT;
	auto_free Img__Pages **list = calloc(n + 1, sizeof(*list));

	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		list[i] = &first[i].msg;
	msg.id = m->id;
	msg.memfd = m->memfd;
	msg.name = m->name;
	msg.size = (uint64_t)m->st.st_size;
	msg.mode = m->st.st_mode & 07777;
	msg.uid = m->st.st_uid;
	msg.gid = m->st.st_gid;
	msg.seals = m->seals;
	if (m->memfd)
		msg.rw_hint = marks_read(m->fd).rw_hint;
	msg.huge_page_size = shmem_huge_page(m);
	msg.n_pages = n;
	msg.pages = list;
	if (m->sysv) {
		int r = sysv_shm_put(p->d, m);

		if (r < 0)
			return r;
	}
	return image_put(p->d->out, KIND_shmem, m->id, &msg.base);
}

static int put_objects(struct pages *p)
{
	size_t next = 0;

	if (p->runs.n)
		qsort(p->runs.v, p->runs.n, sizeof(*p->runs.v), by_object);
	array_each (m, &p->d->shmems.list) {
		size_t first = next;
		int r;

		while (next < p->runs.n && p->runs.v[next].m == *m)
			next++;
		r = put_object(p, *m, p->runs.v + first, next - first);
		if (r < 0)
			return r;
	}
	return 0;
}

int pages_first(struct dump *d)
{
	int r = d->pages ? 0 : image_add_pages(d->out, &d->pages);

	return r < 0 ? fail(r, "%s: create the images", d->opt->dir) : 0;
}

void pages_free(struct pages *p)
{
	if (!p)
		return;
	array_each (o, &p->runs) {
		free(o->msg.start);
		free(o->msg.count);
	}
	array_done(&p->runs);
	copier_done(&p->first);
	hold_done(&p->hold);
	shares_done(&p->shares);
	kept_done(&p->kept);
	scan_done(&p->scan);
	free(p);
}

/* About what there is to copy: shared memory counts for each task that has it mapped. */
static uint64_t resident_mib(const struct dump *d)
{
	uint64_t sum = 0;

	array_each (t, &d->tasks) {
		uint64_t anon = 0, shmem = 0;

		if (!t->threads.n || mm_of(t) != t)
			continue;
		status_u64(thread_asked(t->threads.v)->status, "RssAnon", 10, &anon);
		status_u64(thread_asked(t->threads.v)->status, "RssShmem", 10, &shmem);
		sum += anon + shmem;
	}
	return sum >> 10;
}

static size_t hold_size(const struct dump *d)
{
	uint64_t sum = 0;

	if (d->opt->later)
		return 0;
	array_each (t, &d->tasks)
		sum += t->stat.field[STAT_RSS] * 4096;
	if (sum < HOLD_SMALL)
		return HOLD_LEAST;
	return sum > HOLD_WORTH ? 0 : sum > HOLD_MOST ? HOLD_MOST : sum;
}

static int copy_pages(struct dump *d)
{
	struct pages *p = d->held;
	uint64_t begun = clock_ns();
	/* Of a tree that runs, what was the same may be so no more when it is read. */
	int r = d->opt->memory_only ? 0 : shares_find(d, &p->shares);

	debug("look for shared pages: %" PRIu64 " us", (clock_ns() - begun) / 1000);
	if (r == 0)
		r = kept_find(d, &p->shares, &p->kept);
	if (r == 0)
		r = scan_init(&p->scan, d, &p->shares, &p->kept);
	progress_begin("dump", resident_mib(d), "MiB");
	if (r == 0)
		r = copy_all(p);
	progress_end();
	return r;
}

/* All that was read is in the page files, and whose it is in the records. */
static int finish_pages(struct pages *p)
{
	struct dump *d = p->d;
	int r = copier_store(&p->first);

	if (r == 0)
		r = copier_finish(&p->first);
	if (r == 0)
		r = kept_put(&p->kept, d, &p->shares);
	if (r == 0)
		r = shares_put(&p->shares, d);
	return r < 0 || d->from_copies ? r : put_objects(p);
}

/* Many pages are a matter of throughput: those who copy want the CPUs, and their siblings, for themselves. */
int dump_pages(struct dump *d)
{
	int r;

	if (!d->held->hold.size)
		awake_end(&d->awake);
	r = copy_pages(d);
	return r < 0 ? r : writers_finish(d);
}

int store_pages(struct dump *d)
{
	return finish_pages(d->held);
}

static struct pages *pages_new(struct dump *d, size_t hold)
{
	struct pages *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->d = d;
	p->scan.pagemap.fd = -1;
	pthread_mutex_init(&p->lock, NULL);
	hold_init(&p->hold, hold);
	return p;
}

int pages_prepare(struct dump *d)
{
	d->held = pages_new(d, hold_size(d));
	return d->held ? 0 : -ENOMEM;
}

int dump_copies(struct dump *d)
{
	int r;

	/* What is written to meanwhile is armed, so the next increment has it. */
	if (d->opt->memory_only) {
		r = copy_pages(d);
		return r < 0 ? r : finish_pages(d->held);
	}
	if (!d->opt->snapshot)
		return 0;
	d->from_copies = true;
	pages_free(d->held);
	d->held = pages_new(d, 0);
	r = d->held ? copy_pages(d) : -ENOMEM;
	if (r == 0)
		r = finish_pages(d->held);
	snapshot_done(d);
	return r;
}
