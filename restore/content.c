/* The kernel copies where it can: a file system may even share the blocks. */
#define _GNU_SOURCE
#include "restore/content.h"

#include <errno.h>
#include <unistd.h>

#include "images/pages.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"

#define BUFFER (256u << 10)

int content_check(struct restore *r, Img__Pages *const *msg, size_t n, uint64_t end,
                  const char *what)
{
	for (size_t i = 0; i < n; i++) {
		struct page_iter it = pages_iter(r->images, msg[i]);
		struct page_run run;
		int e = pages_check(r->images, msg[i]);

		if (e < 0)
			return e;
		while (pages_next(&it, &run))
			if (run.start + run.size > end)
				return fail(-EBADMSG, "%s: pages beyond its end", what);
	}
	return 0;
}

static int run_copy(int from, int to, const struct page_run *run, char *buf)
{
	for (uint64_t done = 0; done < run->size;) {
		size_t n = run->size - done < BUFFER ? run->size - done : BUFFER;
		int e = pread_full(from, buf, n, (off_t)(run->offset + done));

		if (e == 0)
			e = pwrite_full(to, buf, n, (off_t)(run->start + done));
		if (e < 0)
			return e;
		done += n;
	}
	return 0;
}

/* By the kernel: how much of the run it took. */
static uint64_t run_splice(int from, int to, const struct page_run *run)
{
	off_t in = (off_t)run->offset, out = (off_t)run->start;
	uint64_t left = run->size;

	while (left) {
		ssize_t n = copy_file_range(from, &in, to, &out, left, 0);

		if (n <= 0)
			break;
		left -= (uint64_t)n;
	}
	return run->size - left;
}

int content_fill(struct restore *r, Img__Pages *const *msg, size_t n, int fd)
{
	auto_free char *buf = malloc(BUFFER);

	if (!buf)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct page_iter it = pages_iter(r->images, msg[i]);
		int from = r->images->pages[msg[i]->file];
		struct page_run run;

		while (pages_next(&it, &run)) {
			uint64_t done = run_splice(from, fd, &run);
			int e;

			run.start += done, run.offset += done, run.size -= done;
			e = run_copy(from, fd, &run, buf);
			if (e < 0)
				return e;
		}
	}
	return 0;
}
