/*
 * Pages go through a buffer that stays in the processor's cache: in with one
 * process_vm_readv(2) for as many runs as fit, checked for zeros there,
 * out with one write(2). 256 KiB is the best size (design/memory-paths.md).
 *
 * process_vm_readv(2) honours the protection of a mapping, /proc/PID/mem does
 * not; the first is a little faster. And it pins pages: the kernel gives the
 * target a copy of its own of each page that it shares since a fork
 * (gup_must_unshare()), which would cost the memory that sharing saved. So these
 * go through /proc/PID/mem, too.
 */
#include "dump/pages_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "dump/snapshot.h"
#include "lib/deadline.h"
#include "lib/fd.h"
#include "lib/log.h"

#define BUFFER   (256u << 10)
#define PAGE     4096u
#define RUNS_MAX 32768u /* in one record: it is kept in memory until then */

static void view_close(struct copier *c)
{
	if (c->view.pagemap > 0 && !c->lent)
		close(c->view.pagemap);
	c->view.pagemap = -1;
	c->view.n = 0;
}

int copier_init(struct copier *c)
{
	c->view.pagemap = -1;
	c->buf = mmap(NULL, BUFFER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (c->buf != MAP_FAILED)
		return 0;
	c->buf = NULL;
	return -errno;
}

void copier_done(struct copier *c)
{
	if (c->buf)
		munmap(c->buf, BUFFER);
	view_close(c);
	array_done(&c->start);
	array_done(&c->count);
	free(c->orders);
}

static int read_fail(const struct unit *u, const struct run *run, int r)
{
	if (u->may_vanish)
		return r;
	if (u->m)
		return fail(r, "shared memory %u (%s): read %" PRIu64 " bytes at %" PRIx64,
		            u->m->id, u->m->name, run->size, run->start);
	if (u->task->copy.tracee.tid && u->mem == u->task->copy.mem)
		return snapshot_fail(u->task, r);
	return fail(r, "%s: read its memory at %" PRIx64 "-%" PRIx64, task_name(u->task),
	            run->start, run->start + run->size);
}

/* What lies behind the end of the object in its last page is zero. */
static int object_read(const struct shmem *m, char *buf, const struct run *run)
{
	uint64_t size = (uint64_t)m->st.st_size;
	uint64_t have = run->start + run->size > size ? size - run->start : run->size;

	memset(buf + have, 0, run->size - have);
	return pread_full(m->fd, buf, have, (off_t)run->start);
}

/* One run after the other, whatever its protection. */
static int read_slowly(const struct unit *u, char *buf, const struct run *runs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int r = u->m ? object_read(u->m, buf, &runs[i])
		             : pread_full(u->mem, buf, runs[i].size, (off_t)runs[i].start);

		if (r < 0)
			return read_fail(u, &runs[i], r);
		buf += runs[i].size;
	}
	return 0;
}

/* Runs of SIZE bytes in all into BUF, one behind the other. */
static int read_runs(const struct unit *u, char *buf, const struct run *runs, size_t n, size_t size)
{
	struct iovec local = { buf, size }, remote[UNIT_RUNS];

	if (u->m)
		return read_slowly(u, buf, runs, n);
	for (size_t i = 0; i < n; i++) {
		if (runs[i].by_mem)
			return read_slowly(u, buf, runs, n);
		remote[i] = (struct iovec){ (void *)runs[i].start, runs[i].size };
	}
	if (process_vm_readv(task_tid(u->task), &local, 1, remote, n, 0) == (ssize_t)size)
		return 0;
	return read_slowly(u, buf, runs, n);
}

static bool is_zero(const char *page)
{
	uint64_t first;

	memcpy(&first, page, sizeof(first));
	return !first && !memcmp(page, page + sizeof(first), PAGE - sizeof(first));
}

static int flush_list(struct copier *c)
{
	Img__Pages msg = IMG__PAGES__INIT;
	int r;

	if (!c->start.n)
		return 0;
	msg.file = pages_file_index(c->file);
	msg.n_start = c->start.n, msg.start = c->start.v;
	msg.n_count = c->count.n, msg.count = c->count.v;
	msg.offset = c->offset;
	r = c->put(c->arg, c->task, c->m, &msg);
	c->start.n = c->count.n = 0;
	return r;
}

int copier_finish(struct copier *c)
{
	int r = copier_settle(c);

	return r < 0 ? r : flush_list(c);
}

int copier_note(struct copier *c, uint64_t start, uint64_t size, uint64_t offset)
{
	uint64_t *gap, *count;

	if (c->start.n && start == c->last_end) {
		c->count.v[c->count.n - 1] += size / PAGE;
		c->last_end += size;
		return 0;
	}
	if (c->start.n == RUNS_MAX) {
		int r = flush_list(c);

		if (r < 0)
			return r;
	}
	if (!c->start.n)
		c->offset = offset, c->last_end = 0;
	gap = array_add(&c->start), count = array_add(&c->count);
	if (!gap || !count)
		return -ENOMEM;
	*gap = (start - c->last_end) / PAGE;
	*count = size / PAGE;
	c->last_end = start + size;
	return 0;
}

/* Close the gaps that pages of zeros leave in the buffer: RUN at IN moves to OUT. *OUT: behind it. */
static int keep_run(struct copier *c, char *buf, const struct run *run, size_t in, size_t *out)
{
	uint64_t base = pages_file_size(c->file);

	for (size_t i = 0; i < run->size;) {
		size_t first = i;
		int r;

		if (!run->keep_zeros && is_zero(buf + in + i)) {
			c->zeros += PAGE;
			i += PAGE;
			continue;
		}
		do
			i += PAGE;
		while (i < run->size && (run->keep_zeros || !is_zero(buf + in + i)));
		if (*out != in + first)
			memmove(buf + *out, buf + in + first, i - first);
		r = copier_note(c, run->start + first, i - first, base + *out);
		if (r < 0)
			return r;
		*out += i - first;
	}
	return 0;
}

/* The runs of one task or object are one list in one file. */
int copier_begin(struct copier *c, struct task *t, const struct shmem *m, struct pages_file *file)
{
	int r = c->task != t || c->m != m || c->file != file ? flush_list(c) : 0;

	c->task = t, c->m = m;
	c->file = file;
	return r;
}

static int store_begin(struct copier *c, struct task *t, const struct shmem *m, bool later)
{
	struct pages_file **file = later ? &c->noted : &c->stored;
	int r = *file ? 0 : c->create(c->arg, later, file);

	return r < 0 ? r : copier_begin(c, t, m, *file);
}

/* Runs of a task that stands still until they are read. */
static int note_runs(struct copier *c, const struct unit *u, const struct run *runs, size_t n)
{
	int r = store_begin(c, u->task, NULL, true);

	for (size_t i = 0; r == 0 && i < n; i++) {
		struct later_run run = { .file = pages_file_index(c->file),
			                 .offset = pages_file_size(c->file),
			                 .size = runs[i].size,
			                 .start = runs[i].start,
			                 .mem = u->mem };

		r = copier_note(c, run.start, run.size, run.offset);
		if (r == 0)
			r = later_note(c->later, &run);
		pages_file_grow(c->file, run.size);
	}
	return r;
}

/* Runs that are in BUF, which is overwritten. */
static int store_runs(struct copier *c, char *buf, const struct run *runs, size_t n)
{
	size_t in = 0, out = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		r = keep_run(c, buf, &runs[i], in, &out);
		in += runs[i].size;
	}
	return r < 0 || !out ? r : pages_file_write(c->file, buf, out);
}

/* Some of it is gone: page by page, what is there. */
static int copy_rest(struct copier *c, const struct unit *u, const struct run *runs, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n; i++) {
		struct run page = runs[i];

		for (page.size = PAGE; r == 0 && page.start < runs[i].start + runs[i].size;
		     page.start += PAGE)
			if (pread_full(u->mem, c->buf, PAGE, (off_t)page.start) == 0)
				r = store_runs(c, c->buf, &page, 1);
	}
	return r;
}

static int copy_runs(struct copier *c, const struct unit *u, const struct run *runs, size_t n,
                     size_t size)
{
	int r;

	if (c->later && u->task && !u->m && !u->may_vanish)
		return note_runs(c, u, runs, n);
	r = store_begin(c, u->task, u->m, false);
	if (r < 0)
		return r;
	r = read_runs(u, c->buf, runs, n, size);
	if (r < 0 && u->may_vanish)
		return copy_rest(c, u, runs, n);
	return r < 0 ? r : store_runs(c, c->buf, runs, n);
}

/* ---- holding ---- */

void hold_init(struct hold *h, size_t size)
{
	void *p =
		size ? mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
		     : MAP_FAILED;

	*h = (struct hold){};
	if (p == MAP_FAILED)
		return;
	madvise(p, size, MADV_HUGEPAGE);
	madvise(p, size, MADV_POPULATE_WRITE);
	h->buf = p;
	h->size = size;
}

void hold_done(struct hold *h)
{
	if (h->buf)
		munmap(h->buf, h->size);
	array_each (b, &h->batches)
		free(b->runs);
	array_done(&h->batches);
	*h = (struct hold){};
}

static int hold_runs(struct copier *c, const struct unit *u, const struct run *runs, size_t n,
                     size_t size)
{
	struct hold *h = c->hold;
	struct batch *b;
	int r;

	if (size > h->size - h->used) {
		r = copier_store(c);
		return r < 0 ? r : copy_runs(c, u, runs, n, size);
	}
	r = read_runs(u, h->buf + h->used, runs, n, size);
	if (r < 0 && u->may_vanish) {
		r = copier_store(c);
		return r < 0 ? r : copy_runs(c, u, runs, n, size);
	}
	if (r < 0)
		return r;
	b = array_add(&h->batches);
	if (!b)
		return -ENOMEM;
	*b = (struct batch){ u->task, u->m, malloc(n * sizeof(*runs)), n, h->used };
	if (!b->runs)
		return -ENOMEM;
	memcpy(b->runs, runs, n * sizeof(*runs));
	h->used += size;
	return 0;
}

int copier_store(struct copier *c)
{
	struct hold *h = c->hold;
	int r = 0;

	c->hold = NULL;
	for (size_t i = 0; h && r == 0 && i < h->batches.n; i++) {
		const struct batch *b = &h->batches.v[i];

		r = store_begin(c, b->task, b->m, false);
		if (r == 0)
			r = store_runs(c, h->buf + b->at, b->runs, b->n);
	}
	if (h)
		hold_done(h);
	return r;
}

/* ---- units ---- */

/* Has the task the pages of RUN for itself? If that cannot be seen: no. */
static bool is_alone(struct copier *c, const struct unit *u, const struct run *run)
{
	if (c->viewed != u->task)
		view_close(c);
	c->viewed = u->task;
	if (c->view.pagemap < 0) {
		c->lent = u->task->pagemap >= 0;
		c->view.pagemap = c->lent ? u->task->pagemap
		                          : openat(u->task->proc, "pagemap", O_RDONLY | O_CLOEXEC);
	}
	return c->view.pagemap >= 0 && pagemap_alone(&c->view, run->start, run->size / PAGE);
}

static int read_unit(struct copier *c, const struct unit *u)
{
	struct run batch[UNIT_RUNS], rest = {};
	size_t next = 0;
	int r = 0;

	while (r == 0 && (next < u->n || rest.size)) {
		size_t n = 0, size = 0;

		if (interrupted())
			return -EINTR;
		for (; n < UNIT_RUNS && size < BUFFER; n++) {
			if (!rest.size && next == u->n)
				break;
			if (!rest.size) {
				rest = u->runs[next++];
				rest.by_mem = rest.by_mem ||
				              (u->task && !rest.seen && !is_alone(c, u, &rest));
			}
			batch[n] = rest;
			if (batch[n].size > BUFFER - size)
				batch[n].size = BUFFER - size;
			size += batch[n].size;
			rest.start += batch[n].size;
			rest.size -= batch[n].size;
		}
		r = c->hold ? hold_runs(c, u, batch, n, size) : copy_runs(c, u, batch, n, size);
	}
	return r;
}

int copier_unit(struct copier *c, const struct unit *u)
{
	int r = c->later ? 0 : copier_order(c, u);

	if (r)
		return r < 0 ? r : 0;
	r = copier_settle(c);
	return r < 0 ? r : read_unit(c, u);
}
