/*
 * Several threads fill an object. One at a time reads a piece into a buffer that stays in the processor's cache,
 * and writes it to the object: two would wait for each other at its inode. Whoever finds that somebody writes reads
 * his piece, if it is a large one, into a mapping, which takes half as much CPU time again, as each page
 * is cleared first. hugetlbfs cannot be written to at all.
 *
 * Where the checksum of a piece of the page file is left to who reads it (images/pieces.h), one thread reads
 * all of that piece and makes it.
 */
#include "restore/shmem_fill.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "images/hash.h"
#include "images/pages.h"
#include "images/pieces.h"
#include "images/spend.h"
#include "lib/cleanup.h"
#include "lib/cpus.h"
#include "lib/fd.h"
#include "lib/log.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

#define FILLERS 4
#define ENOUGH  (8u << 20)   /* bytes from which on threads pay */
#define PIECE   (2u << 20)   /* for one thread at a time */
#define BUFFER  (256u << 10) /* what is smaller is always written */

struct filling {
	struct restore *r;
	const Img__Shmem *m;
	int fd;
	pthread_mutex_t writing; /* to the object: to sleep costs less than to wait at the inode */
	pthread_mutex_t lock;    /* of all below */
	size_t msg;              /* the next one */
	uint32_t from;           /* the page file of the current one */
	struct page_iter it;
	struct page_run rest; /* of the current run */
	size_t sums;          /* pieces whose checksums were made */
	int error;
};

/* What one thread does in one go: a part of a run, or the runs of a piece whose checksum it makes. */
struct job {
	uint32_t file;
	struct page_iter it;
	struct page_run rest;  /* of the current run */
	uint64_t size;         /* bytes left to do */
	struct piece_sum *sum; /* NULL: none is made */
};

/* The next N bytes at most. False: all is done. */
static bool job_next(struct job *j, uint64_t n, struct page_run *ret)
{
	if (!j->size || (!j->rest.size && !pages_next(&j->it, &j->rest)))
		return false;
	*ret = j->rest;
	n = n < j->size ? n : j->size;
	ret->size = ret->size < n ? ret->size : n;
	j->rest.start += ret->size, j->rest.offset += ret->size, j->rest.size -= ret->size;
	j->size -= ret->size;
	return true;
}

/* There is more to do: some of a run at hand, maybe of the next message. */
static bool rest_next(struct filling *f)
{
	while (!f->error && !f->rest.size) {
		const Img__Pages *msg;

		if (f->it.msg && pages_next(&f->it, &f->rest))
			break;
		if (f->msg == f->m->n_pages)
			return false;
		msg = f->m->pages[f->msg++];
		f->it = pages_iter(f->r->images, msg);
		f->from = msg->file;
	}
	return !f->error;
}

/* False: there is none, or somebody failed. */
static bool next_job(struct filling *f, struct job *ret)
{
	const struct images *im = f->r->images;
	struct page_run skipped;
	struct job ahead;
	bool more;

	pthread_mutex_lock(&f->lock);
	more = rest_next(f);
	if (more) {
		uint64_t at = f->rest.offset, piece = HASH_PIECE - at % HASH_PIECE;

		*ret = (struct job){ .file = f->from, .it = f->it, .rest = f->rest };
		ret->sum = piece_left(im, f->from, at);
		ret->size = piece < PIECE ? piece : PIECE;
		if (ret->sum)
			ret->size = piece_size(im, f->from, at);
		else if (ret->size > f->rest.size)
			ret->size = f->rest.size;
		ahead = *ret;
		while (job_next(&ahead, UINT64_MAX, &skipped))
			;
		f->it = ahead.it, f->rest = ahead.rest;
	}
	pthread_mutex_unlock(&f->lock);
	return more;
}

static void set_error(struct filling *f, int e)
{
	pthread_mutex_lock(&f->lock);
	if (!f->error)
		f->error = e;
	pthread_mutex_unlock(&f->lock);
}

/* Through a mapping of the pages, huge ones maybe, that it lies in. */
static int piece_map(int from, int to, const struct page_run *run, uint64_t page, XXH3_state_t *sum)
{
	uint64_t first = run->start & ~(page - 1);
	uint64_t size = (run->start + run->size - first + page - 1) & ~(page - 1);
	char *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, to, (off_t)first);
	int e;

	if (at == MAP_FAILED)
		return -errno;
	/* At once costs less than one by one; where it fails the reading will tell. */
	madvise(at, size, MADV_POPULATE_WRITE);
	e = pread_full(from, at + (run->start - first), run->size, (off_t)run->offset);
	if (e == 0 && sum)
		XXH3_64bits_update(sum, at + (run->start - first), run->size);
	munmap(at, size);
	return e;
}

/* By who holds f->writing. */
static int piece_write(struct filling *f, int from, const struct page_run *run, char *buf,
                       XXH3_state_t *sum)
{
	int e = 0;

	for (uint64_t at = 0, n; e == 0 && at < run->size; at += n) {
		n = run->size - at < BUFFER ? run->size - at : BUFFER;
		e = pread_full(from, buf, n, (off_t)(run->offset + at));
		if (e == 0 && sum)
			XXH3_64bits_update(sum, buf, n);
		if (e == 0)
			e = pwrite_full(f->fd, buf, n, (off_t)(run->start + at));
	}
	return e;
}

static int piece_fill(struct filling *f, int from, const struct page_run *run, char *buf,
                      XXH3_state_t *sum)
{
	uint64_t huge = f->m->huge_page_size;
	int e;

	if (huge || (run->size >= BUFFER && pthread_mutex_trylock(&f->writing) != 0))
		return piece_map(from, f->fd, run, huge ? huge : 4096, sum);
	if (run->size < BUFFER)
		pthread_mutex_lock(&f->writing);
	e = buf ? piece_write(f, from, run, buf, sum) : -ENOMEM;
	pthread_mutex_unlock(&f->writing);
	return e;
}

/* With a buffer and, where a checksum is to be made, its state; each may be NULL for want of memory. */
static int job_do(struct filling *f, struct job *j, char *buf, XXH3_state_t *state)
{
	int e = 0, from = f->r->images->pages[j->file];
	XXH3_state_t *sum = j->sum ? state : NULL;
	struct page_run run;

	if (sum)
		XXH3_64bits_reset(sum);
	while (e == 0 && job_next(j, PIECE, &run)) {
		e = piece_fill(f, from, &run, buf, sum);
		images_spend(f->r->images, j->file, run.offset, run.size);
	}
	if (e == 0 && sum) {
		*j->sum = (struct piece_sum){ XXH3_64bits_digest(sum), PIECE_MADE };
		__atomic_add_fetch(&f->sums, 1, __ATOMIC_RELAXED);
	}
	return e;
}

static void *fill_some(void *arg)
{
	struct filling *f = arg;
	auto_free char *buf = malloc(BUFFER);
	XXH3_state_t *state = XXH3_createState();
	struct job job;

	while (next_job(f, &job)) {
		int e = job_do(f, &job, buf, state);

		if (e < 0)
			set_error(f, e);
	}
	XXH3_freeState(state);
	return NULL;
}

static size_t threads_for(const struct filling *f)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < f->m->n_pages; i++)
		bytes += pages_bytes(f->r->images, f->m->pages[i]);
	return bytes < ENOUGH ? 1 : cpus_allowed(FILLERS);
}

/* This thread takes part; signals are for it. */
int shmem_fill(struct restore *r, const Img__Shmem *m, int fd)
{
	struct filling f = { .r = r,
		             .m = m,
		             .fd = fd,
		             .writing = PTHREAD_MUTEX_INITIALIZER,
		             .lock = PTHREAD_MUTEX_INITIALIZER };
	size_t want = threads_for(&f), n = 0;
	pthread_t helpers[FILLERS];
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (n + 1 < want && pthread_create(&helpers[n], NULL, fill_some, &f) == 0)
		n++;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	fill_some(&f);
	while (n)
		pthread_join(helpers[--n], NULL);
	if (f.sums)
		debug("shared memory %u: %zu pieces of page files are verified as they are read",
		      m->id, f.sums);
	return f.error;
}
