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

#include "lib/deadline.h"
#include "lib/fd.h"
#include "lib/log.h"

#define BUFFER   (256u << 10)
#define PAGE     4096u
#define RUNS_MAX 32768u /* in one record: it is kept in memory until then */

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
	if (c->view.pagemap > 0)
		close(c->view.pagemap);
	array_done(&c->start);
	array_done(&c->count);
}

static int read_fail(const struct unit *u, const struct run *run, int r)
{
	if (u->may_vanish)
		return r;
	if (u->m)
		return fail(r, "shared memory %u (%s): read %" PRIu64 " bytes at %" PRIx64,
		            u->m->id, u->m->name, run->size, run->start);
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

int copier_finish(struct copier *c)
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

/* Note that the pages at START come next in the file. */
static int note_run(struct copier *c, uint64_t start, uint64_t size, uint64_t offset)
{
	uint64_t *gap, *count;

	if (c->start.n && start == c->last_end) {
		c->count.v[c->count.n - 1] += size / PAGE;
		c->last_end += size;
		return 0;
	}
	if (c->start.n == RUNS_MAX) {
		int r = copier_finish(c);

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
static int keep_run(struct copier *c, const struct run *run, size_t in, size_t *out)
{
	uint64_t base = pages_file_size(c->file);

	for (size_t i = 0; i < run->size;) {
		size_t first = i;
		int r;

		if (!run->keep_zeros && is_zero(c->buf + in + i)) {
			c->zeros += PAGE;
			i += PAGE;
			continue;
		}
		do
			i += PAGE;
		while (i < run->size && (run->keep_zeros || !is_zero(c->buf + in + i)));
		if (*out != in + first)
			memmove(c->buf + *out, c->buf + in + first, i - first);
		r = note_run(c, run->start + first, i - first, base + *out);
		if (r < 0)
			return r;
		*out += i - first;
	}
	return 0;
}

/* Some of it is gone: page by page, what is there. */
static int copy_rest(struct copier *c, const struct unit *u, const struct run *runs, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n; i++) {
		struct run page = runs[i];

		for (page.size = PAGE; r == 0 && page.start < runs[i].start + runs[i].size;
		     page.start += PAGE) {
			size_t out = 0;

			if (pread_full(u->mem, c->buf, PAGE, (off_t)page.start) < 0)
				continue;
			r = keep_run(c, &page, 0, &out);
			if (r == 0 && out)
				r = pages_file_write(c->file, c->buf, out);
		}
	}
	return r;
}

static int copy_runs(struct copier *c, const struct unit *u, const struct run *runs, size_t n,
                     size_t size)
{
	size_t in = 0, out = 0;
	int r = read_runs(u, c->buf, runs, n, size);

	if (r < 0 && u->may_vanish)
		return copy_rest(c, u, runs, n);
	for (size_t i = 0; r == 0 && i < n; i++) {
		r = keep_run(c, &runs[i], in, &out);
		in += runs[i].size;
	}
	return r < 0 || !out ? r : pages_file_write(c->file, c->buf, out);
}

static void view_close(struct copier *c)
{
	if (c->view.pagemap > 0)
		close(c->view.pagemap);
	c->view.pagemap = -1;
	c->view.n = 0;
}

/* Has the task the pages of RUN for itself? If that cannot be seen: no. */
static bool is_alone(struct copier *c, const struct unit *u, const struct run *run)
{
	if (c->view.pagemap < 0)
		c->view.pagemap = openat(u->task->proc, "pagemap", O_RDONLY | O_CLOEXEC);
	return c->view.pagemap >= 0 && pagemap_alone(&c->view, run->start, run->size / PAGE);
}

static int copier_start(struct copier *c, const struct unit *u)
{
	int r = 0;

	if (c->task != u->task || c->m != u->m)
		r = copier_finish(c);
	if (c->task != u->task)
		view_close(c);
	c->task = u->task, c->m = u->m;
	if (r == 0 && !c->file)
		r = c->create(c->arg, &c->file);
	return r;
}

int copier_unit(struct copier *c, const struct unit *u)
{
	struct run batch[UNIT_RUNS], rest = {};
	size_t next = 0;
	int r = copier_start(c, u);

	while (r == 0 && (next < u->n || rest.size)) {
		size_t n = 0, size = 0;

		if (interrupted())
			return -EINTR;
		for (; n < UNIT_RUNS && size < BUFFER; n++) {
			if (!rest.size && next == u->n)
				break;
			if (!rest.size) {
				rest = u->runs[next++];
				rest.by_mem = rest.by_mem || (u->task && !is_alone(c, u, &rest));
			}
			batch[n] = rest;
			if (batch[n].size > BUFFER - size)
				batch[n].size = BUFFER - size;
			size += batch[n].size;
			rest.start += batch[n].size;
			rest.size -= batch[n].size;
		}
		r = copy_runs(c, u, batch, n, size);
	}
	return r;
}
