/*
 * Two bits for each page of a file: it is wanted, it is wanted again.
 */
#define _GNU_SOURCE
#include "images/spend.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>

#include "images/pages.h"
#include "proto/inode.pb-c.h"
#include "proto/shmem.pb-c.h"

#define PAGE UINT64_C(4096)

struct wanted {
	uint8_t *once, *again; /* a bit for each page */
	uint64_t pages;
};

static void want(struct wanted *w, uint64_t page)
{
	uint8_t bit = (uint8_t)(1u << page % 8);

	if (page >= w->pages)
		return;
	w->again[page / 8] |= w->once[page / 8] & bit;
	w->once[page / 8] |= bit;
}

static void want_all(struct images *im, const Img__Pages *msg)
{
	struct page_iter it = pages_iter(im, msg);
	struct page_run run;

	if (msg->file >= im->npages || !im->own[msg->file])
		return;
	while (pages_next(&it, &run))
		for (uint64_t at = 0; at < run.size; at += PAGE)
			want(&im->wanted[msg->file], (run.offset + at) / PAGE);
}

static int wanted_new(struct images *im)
{
	im->wanted = calloc(im->npages + 1, sizeof(*im->wanted));
	for (size_t i = 0; im->wanted && i < im->npages; i++) {
		struct wanted *w = &im->wanted[i];

		if (!im->own[i])
			continue;
		w->pages = images_pages_size(im, i) / PAGE;
		w->once = calloc(2, w->pages / 8 + 1);
		w->again = w->once + w->pages / 8 + 1;
		if (!w->once)
			return -ENOMEM;
	}
	return im->wanted ? 0 : -ENOMEM;
}

int images_spend_plan(struct images *im)
{
	int r = wanted_new(im);

	for (size_t i = 0; r == 0 && i < im->nrecords; i++) {
		const ProtobufCMessage *msg = im->records[i].msg;
		const Img__Shmem *shmem = (const Img__Shmem *)msg;
		const Img__Inode *inode = (const Img__Inode *)msg;

		if (im->records[i].kind == KIND_pages)
			want_all(im, (const Img__Pages *)msg);
		for (size_t n = 0; im->records[i].kind == KIND_shmem && n < shmem->n_pages; n++)
			want_all(im, shmem->pages[n]);
		for (size_t n = 0; im->records[i].kind == KIND_inode && n < inode->n_content; n++)
			want_all(im, inode->content[n]);
	}
	return r;
}

void images_spend_done(struct images *im)
{
	for (size_t i = 0; im->wanted && i < im->npages; i++)
		free(im->wanted[i].once);
	free(im->wanted);
	im->wanted = NULL;
}

bool images_may_spend(const struct images *im, size_t file, uint64_t offset, uint64_t size)
{
	const struct wanted *w = im->wanted ? &im->wanted[file] : NULL;

	if (!w || !w->once || offset % PAGE || size % PAGE)
		return false;
	for (uint64_t page = offset / PAGE; page < (offset + size) / PAGE; page++)
		if (page >= w->pages || w->again[page / 8] & 1u << page % 8)
			return false;
	return true;
}

void images_spend(const struct images *im, size_t file, uint64_t offset, uint64_t size)
{
	if (images_may_spend(im, file, offset, size))
		fallocate(im->pages[file], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		          (off_t)offset, (off_t)size);
}
