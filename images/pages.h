/*
 * The runs of a Pages message, decoded from their differences.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "images/images.h"
#include "proto/pages.pb-c.h"

struct page_run {
	uint64_t start;  /* address, or offset in the shared object: a multiple of the page size */
	uint64_t size;   /* bytes, not 0 */
	uint64_t offset; /* of the first byte in the page file MSG->file */
};

struct page_iter {
	const Img__Pages *msg;
	uint64_t page_size;
	size_t next;     /* run */
	uint64_t start;  /* where the run before ended */
	uint64_t offset; /* of the next run */
};

/*
 * MSG holds up: its page file exists, the runs are in order without overlap,
 * their addresses and offsets stay within 64 bits and within the file. -EBADMSG,
 * explained. What is checked can be iterated without further thought.
 */
int pages_check(const struct images *im, const Img__Pages *msg);

/*
 *	struct page_iter it = pages_iter(im, msg);
 *	struct page_run run;
 *	while (pages_next(&it, &run))
 */
struct page_iter pages_iter(const struct images *im, const Img__Pages *msg);
bool pages_next(struct page_iter *it, struct page_run *ret);

/* The first N bytes of it are done. */
static inline void page_run_advance(struct page_run *run, uint64_t n)
{
	run->start += n;
	run->offset += n;
	run->size -= n;
}

/* The bytes of all runs. MSG must have been checked. */
uint64_t pages_bytes(const struct images *im, const Img__Pages *msg);
