/*
 * A Pages message holds its runs as differences: where each starts after the
 * end of the one before, so that the order is right by construction; only
 * overflows can break it. Their pages follow each other in the page file.
 */
#include "images/pages.h"

#include <errno.h>
#include <inttypes.h>

#include "images/decode.h"
#include "images/format.h"
#include "images/holes.h"
#include "lib/log.h"

/* The run at IT, unless its numbers leave 64 bits. */
static bool run_decode(const struct page_iter *it, struct page_run *ret)
{
	uint64_t gap, end, skip = it->msg->n_skip ? it->msg->skip[it->next] : 0;

	if (__builtin_mul_overflow(it->msg->start[it->next], it->page_size, &gap) ||
	    __builtin_mul_overflow(it->msg->count[it->next], it->page_size, &ret->size) ||
	    __builtin_add_overflow(it->start, gap, &ret->start) ||
	    __builtin_add_overflow(ret->start, ret->size, &end) ||
	    __builtin_mul_overflow(skip, it->page_size, &skip) ||
	    __builtin_add_overflow(it->offset, skip, &ret->offset))
		return false;
	return !__builtin_add_overflow(ret->offset, ret->size, &end);
}

static void iter_advance(struct page_iter *it, const struct page_run *run)
{
	it->next++;
	it->start = run->start + run->size;
	it->offset = run->offset + run->size;
}

struct page_iter pages_iter(const struct images *im, const Img__Pages *msg)
{
	return (struct page_iter){
		.msg = msg,
		.page_size = im->manifest->page_size,
		.offset = msg->offset,
	};
}

bool pages_next(struct page_iter *it, struct page_run *ret)
{
	if (it->next == it->msg->n_start || !run_decode(it, ret))
		return false;
	iter_advance(it, ret);
	return true;
}

uint64_t pages_bytes(const struct images *im, const Img__Pages *msg)
{
	struct page_iter it = pages_iter(im, msg);
	struct page_run run;
	uint64_t sum = 0;

	while (pages_next(&it, &run))
		sum += run.size;
	return sum;
}

static int pages_fail(const struct images *im, const Img__Pages *msg, const char *what, uint64_t n)
{
	return fail(-EBADMSG,
	            "checkpoint %s: " STATE_FILE ": record pages (" PAGES_FILE "): %s (%" PRIu64
	            "); " DAMAGED,
	            im->dir, msg->file, what, n);
}

int pages_check(const struct images *im, const Img__Pages *msg)
{
	struct page_iter it = pages_iter(im, msg);
	/* Who only looks at an increment has not opened its parent. */
	bool elsewhere = msg->parent && im->manifest->parent && !im->parent;
	uint64_t size;

	if (msg->parent && !elsewhere)
		return pages_fail(im, msg, "pages of a parent where there can be none", im->npages);
	if (!elsewhere && msg->file >= im->npages)
		return pages_fail(im, msg, "there is no such page file, but", im->npages);
	if (it.page_size < 4096 || it.page_size > 1 << 20 || (it.page_size & (it.page_size - 1)))
		return pages_fail(im, msg, "impossible page size in the manifest", it.page_size);
	if (msg->n_start != msg->n_count)
		return pages_fail(im, msg, "runs without a length", msg->n_start);
	if (msg->n_skip && msg->n_skip != msg->n_start)
		return pages_fail(im, msg, "gaps of other runs", msg->n_skip);
	if (msg->offset % it.page_size)
		return pages_fail(im, msg, "offset is not that of a page", msg->offset);
	size = elsewhere ? UINT64_MAX : images_pages_size(im, msg->file);
	while (it.next < msg->n_start) {
		struct page_run run;

		if (!run_decode(&it, &run) || !run.size)
			return pages_fail(im, msg, "impossible run", it.next);
		if (run.offset + run.size > size)
			return pages_fail(im, msg, "run beyond the end of the file", it.next);
		if (!elsewhere && holes_hit(im, msg->file, run.offset, run.offset + run.size))
			return holes_fail(im, msg->file);
		iter_advance(&it, &run);
	}
	return 0;
}
