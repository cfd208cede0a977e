#include "dump/content.h"

#include <errno.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/deadline.h"
#include "lib/fd.h"
#include "lib/log.h"

#define PAGE   UINT64_C(4096)
#define BUFFER (256u << 10)

static int note_run(struct content *c, uint64_t start, uint64_t end)
{
	uint64_t *gap, *count;

	if (c->start.n && start == c->end) {
		c->count.v[c->count.n - 1] += (end - start) / PAGE;
		c->end = end;
		return 0;
	}
	gap = array_add(&c->start), count = array_add(&c->count);
	if (!gap || !count)
		return -ENOMEM;
	*gap = (start - c->end) / PAGE;
	*count = (end - start) / PAGE;
	c->end = end;
	return 0;
}

/* The bytes from START to END, both at page borders; the file ends at SIZE. */
static int copy_data(struct pages_file *out, int fd, uint64_t size, uint64_t start, uint64_t end,
                     char *buf)
{
	for (uint64_t at = start; at < end;) {
		size_t n = end - at < BUFFER ? (size_t)(end - at) : BUFFER;
		size_t have = size - at < n ? (size_t)(size - at) : n;
		int r = interrupted() ? -EINTR : pread_full(fd, buf, have, (off_t)at);

		if (r < 0)
			return r;
		memset(buf + have, 0, n - have);
		r = pages_file_write(out, buf, n);
		if (r < 0)
			return r;
		at += n;
	}
	return 0;
}

/* The next data at or behind AT; where the file system knows no holes all is data. False: there is none. */
static bool next_data(int fd, uint64_t at, uint64_t size, uint64_t *ret_start, uint64_t *ret_end)
{
	off_t start = lseek(fd, (off_t)at, SEEK_DATA), end;

	if (start < 0 && errno == ENXIO)
		return false;
	end = start < 0 ? (off_t)size : lseek(fd, start, SEEK_HOLE);
	*ret_start = start < 0 ? at : (uint64_t)start & ~(PAGE - 1);
	*ret_end = ((end < 0 ? size : (uint64_t)end) + PAGE - 1) & ~(PAGE - 1);
	return *ret_start < size;
}

int content_copy(struct pages_file *out, int fd, uint64_t size, const char *name,
                 struct content *ret)
{
	auto_free char *buf = malloc(BUFFER);
	uint64_t start, end, last = (size + PAGE - 1) & ~(PAGE - 1);

	if (!buf)
		return -ENOMEM;
	*ret = (struct content){ .msg = IMG__PAGES__INIT };
	ret->msg.file = pages_file_index(out);
	ret->msg.offset = pages_file_size(out);
	for (uint64_t at = 0; at < size && next_data(fd, at, size, &start, &end); at = end) {
		int r;

		if (start < ret->end) /* it shares a page with the data before */
			start = ret->end;
		if (end > last)
			end = last;
		if (end <= start)
			continue;
		r = copy_data(out, fd, size, start, end, buf);
		if (r == 0)
			r = note_run(ret, start, end);
		if (r == -ENODATA)
			return fail(-EAGAIN, "%s: became shorter while it was read", name);
		if (r < 0)
			return log_failure() ? r : fail(r, "%s: read its content", name);
	}
	ret->msg.n_start = ret->start.n, ret->msg.start = ret->start.v;
	ret->msg.n_count = ret->count.n, ret->msg.count = ret->count.v;
	return 0;
}

void content_done(struct content *c)
{
	array_done(&c->start);
	array_done(&c->count);
}
