/*
 * Several threads fill an object: read a piece into a buffer that stays in the processor's cache,
 * write it to the object. Writers of one file wait for each other at its inode, so with many CPUs
 * large pieces go through a mapping instead, where they do not; that takes half as much CPU time again,
 * as each page is cleared first and costs a fault. hugetlbfs cannot be written to at all.
 */
#include "restore/shmem_fill.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "images/pages.h"
#include "images/spend.h"
#include "lib/cleanup.h"
#include "lib/fd.h"

#define FILLERS 4
#define FEW     2            /* threads for which mapping does not pay */
#define ENOUGH  (8u << 20)   /* bytes from which on threads pay */
#define PIECE   (2u << 20)   /* for one thread at a time */
#define BUFFER  (256u << 10) /* what is smaller is always written */

struct filling {
	struct restore *r;
	const Img__Shmem *m;
	int fd;
	bool maps;               /* large pieces go through a mapping */
	pthread_mutex_t writing; /* to the object: to sleep costs less than to wait at the inode */
	pthread_mutex_t lock;    /* of all below */
	size_t msg;              /* the next one */
	uint32_t from;           /* the page file of the current one */
	struct page_iter it;
	struct page_run rest; /* of the current run */
	int error;
};

/* The next piece and its page file. False: there is none, or somebody failed. */
static bool next_piece(struct filling *f, struct page_run *ret, uint32_t *ret_from)
{
	pthread_mutex_lock(&f->lock);
	while (!f->error && !f->rest.size) {
		const Img__Pages *msg;

		if (f->it.msg && pages_next(&f->it, &f->rest))
			break;
		if (f->msg == f->m->n_pages)
			break;
		msg = f->m->pages[f->msg++];
		f->it = pages_iter(f->r->images, msg);
		f->from = msg->file;
	}
	*ret = f->rest;
	*ret_from = f->from;
	if (ret->size > PIECE)
		ret->size = PIECE;
	if (f->error)
		ret->size = 0;
	f->rest.start += ret->size, f->rest.offset += ret->size, f->rest.size -= ret->size;
	pthread_mutex_unlock(&f->lock);
	return ret->size;
}

static void set_error(struct filling *f, int e)
{
	pthread_mutex_lock(&f->lock);
	if (!f->error)
		f->error = e;
	pthread_mutex_unlock(&f->lock);
}

/* Through a mapping of the pages, huge ones maybe, that it lies in. */
static int piece_map(int from, int to, const struct page_run *run, uint64_t page)
{
	uint64_t first = run->start & ~(page - 1);
	uint64_t size = (run->start + run->size - first + page - 1) & ~(page - 1);
	char *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, to, (off_t)first);
	int e;

	if (at == MAP_FAILED)
		return -errno;
	e = pread_full(from, at + (run->start - first), run->size, (off_t)run->offset);
	munmap(at, size);
	return e;
}

static int piece_write(struct filling *f, int from, const struct page_run *run, char *buf)
{
	int e = 0;

	for (uint64_t at = 0, n; e == 0 && at < run->size; at += n) {
		n = run->size - at < BUFFER ? run->size - at : BUFFER;
		e = pread_full(from, buf, n, (off_t)(run->offset + at));
		if (e < 0)
			break;
		pthread_mutex_lock(&f->writing);
		e = pwrite_full(f->fd, buf, n, (off_t)(run->start + at));
		pthread_mutex_unlock(&f->writing);
	}
	return e;
}

static void *fill_some(void *arg)
{
	struct filling *f = arg;
	uint64_t huge = f->m->huge_page_size;
	auto_free char *buf = malloc(BUFFER);
	struct page_run piece;
	uint32_t file;

	while (next_piece(f, &piece, &file)) {
		int e = -ENOMEM, from = f->r->images->pages[file];

		if (huge || (f->maps && piece.size >= BUFFER))
			e = piece_map(from, f->fd, &piece, huge ? huge : 4096);
		else if (buf)
			e = piece_write(f, from, &piece, buf);
		images_spend(f->r->images, file, piece.offset, piece.size);
		if (e < 0)
			set_error(f, e);
	}
	return NULL;
}

static size_t threads_for(const struct filling *f)
{
	uint64_t bytes = 0;
	cpu_set_t set;
	size_t cpus;

	for (size_t i = 0; i < f->m->n_pages; i++)
		bytes += pages_bytes(f->r->images, f->m->pages[i]);
	if (bytes < ENOUGH || sched_getaffinity(0, sizeof(set), &set) < 0)
		return 1;
	cpus = (size_t)CPU_COUNT(&set);
	return cpus < FILLERS ? cpus : FILLERS;
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

	f.maps = want > FEW;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (n + 1 < want && pthread_create(&helpers[n], NULL, fill_some, &f) == 0)
		n++;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	fill_some(&f);
	while (n)
		pthread_join(helpers[--n], NULL);
	return f.error;
}
