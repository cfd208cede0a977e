#include "dump/content.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/deadline.h"
#include "lib/fd.h"
#include "lib/log.h"

#define PAGE   4096ul
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

/* HAVE bytes at AT; quietly up to the end of the last block, ROOM: what is behind the end of the file is not there. */
static int read_some(struct source *s, char *buf, size_t have, size_t room, uint64_t at)
{
	if (!s->quiet)
		return pread_full(s->fd, buf, have, (off_t)at);
	for (size_t done = 0; done < have;) {
		ssize_t n =
			quiet_pread(s->quiet, s->fd, buf + done, room - done, (off_t)(at + done));

		if (n <= 0)
			return n < 0 ? (int)n : -ENODATA;
		done += (size_t)n;
	}
	return 0;
}

/* One run of pages, at AT. */
static int put_run(struct pages_file *out, struct content *c, const char *buf, size_t n,
                   uint64_t at)
{
	int r = n ? pages_file_write(out, buf, n) : 0;

	return r == 0 && n ? note_run(c, at, at + n) : r;
}

/* Those of N bytes that are not all zeros. */
static int put_filled(struct pages_file *out, struct content *c, const char *buf, size_t n,
                      uint64_t at)
{
	static const char zeros[PAGE];
	size_t start = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i += PAGE) {
		if (memcmp(buf + i, zeros, PAGE) != 0)
			continue;
		r = put_run(out, c, buf + start, i - start, at + start);
		start = i + PAGE;
	}
	return r < 0 ? r : put_run(out, c, buf + start, n - start, at + start);
}

/* The bytes from START to END, both at page borders; the file ends at SIZE. */
static int copy_data(struct pages_file *out, struct source *s, uint64_t size, uint64_t start,
                     uint64_t end, char *buf, struct content *c)
{
	for (uint64_t at = start; at < end;) {
		size_t n = end - at < BUFFER ? (size_t)(end - at) : BUFFER;
		size_t have = size - at < n ? (size_t)(size - at) : n;
		int r = interrupted() ? -EINTR : read_some(s, buf, have, n, at);

		if (r < 0)
			return r;
		memset(buf + have, 0, n - have);
		r = s->quiet ? put_filled(out, c, buf, n, at) : put_run(out, c, buf, n, at);
		if (r < 0)
			return r;
		at += n;
	}
	return 0;
}

/* The next data at or behind AT; where the file system knows no holes all is data. False: there is none. */
static bool next_data(const struct source *s, uint64_t at, uint64_t size, uint64_t *ret_start,
                      uint64_t *ret_end)
{
	off_t start, end;

	*ret_start = at;
	*ret_end = (size + PAGE - 1) & ~(PAGE - 1);
	if (s->quiet)
		return at < size;
	start = lseek(s->fd, (off_t)at, SEEK_DATA);
	if (start < 0 && errno == ENXIO)
		return false;
	end = start < 0 ? (off_t)size : lseek(s->fd, start, SEEK_HOLE);
	*ret_start = start < 0 ? at : (uint64_t)start & ~(PAGE - 1);
	*ret_end = ((end < 0 ? size : (uint64_t)end) + PAGE - 1) & ~(PAGE - 1);
	return *ret_start < size;
}

int content_copy(struct pages_file *out, struct source *source, uint64_t size, const char *name,
                 struct content *ret)
{
	auto_free char *buf = aligned_alloc(QUIET_ALIGN, BUFFER);
	uint64_t start, end, last = (size + PAGE - 1) & ~(PAGE - 1);

	if (!buf)
		return -ENOMEM;
	*ret = (struct content){ .msg = IMG__PAGES__INIT };
	ret->msg.file = pages_file_index(out);
	ret->msg.offset = pages_file_size(out);
	for (uint64_t at = 0; at < size && next_data(source, at, size, &start, &end); at = end) {
		int r;

		if (start < ret->end) /* it shares a page with the data before */
			start = ret->end;
		if (end > last)
			end = last;
		if (end <= start)
			continue;
		r = copy_data(out, source, size, start, end, buf, ret);
		if (r == -ENODATA)
			return fail(-EAGAIN, "%s: became shorter while it was read", name);
		if (r < 0)
			return log_failure() ? r : fail(r, "%s: read its content", name);
	}
	ret->msg.n_start = ret->start.n, ret->msg.start = ret->start.v;
	ret->msg.n_count = ret->count.n, ret->msg.count = ret->count.v;
	return 0;
}

void source_done(struct source *s)
{
	closep(&s->fd);
}

void content_done(struct content *c)
{
	array_done(&c->start);
	array_done(&c->count);
}
