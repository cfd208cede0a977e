/* A checkpoint, changed in memory, written as our own writer does: whole, and with checksums that are right. */
#pragma once

#include <errno.h>
#include <stdlib.h>

#include "images/images.h"
#include "lib/cleanup.h"
#include "lib/fd.h"

#define CHUNK (256u << 10)

static int copy_pages(const struct images *im, size_t file, struct image_writer *w)
{
	auto_free char *buf = malloc(CHUNK);
	uint64_t size = images_pages_size(im, file);
	struct pages_file *to;
	int r = buf ? image_add_pages(w, &to) : -ENOMEM;

	for (uint64_t at = 0; r == 0 && at < size; at += CHUNK) {
		size_t n = size - at < CHUNK ? (size_t)(size - at) : CHUNK;

		r = pread_full(im->pages[file], buf, n, (off_t)at);
		if (r == 0)
			r = pages_file_write(to, buf, n);
	}
	return r;
}

/* To DIRFD, an empty directory. */
static int rewrite(struct images *im, int dirfd)
{
	struct image_writer *w;
	int r = image_writer_new(dirfd, 0600, NULL, &w);

	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < im->nrecords; i++)
		r = image_put(w, (enum record_kind)im->records[i].kind, im->records[i].owner,
		              im->records[i].msg);
	for (size_t i = 0; r == 0 && i < im->npages; i++)
		r = copy_pages(im, i, w);
	if (r == 0)
		r = image_seal(w, im->manifest, false);
	image_writer_free(w);
	return r;
}
