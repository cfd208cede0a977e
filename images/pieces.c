/* Left to its reader is a piece within one stretch, without gaps, of what he reads, where nobody else does. */
#include "images/pieces.h"

#include <errno.h>
#include <stdlib.h>

#include "images/hash.h"
#include "images/pages.h"
#include "proto/inode.pb-c.h"
#include "proto/shmem.pb-c.h"

/* A file, in bytes; what is smaller is verified before anything is forked, at no cost. */
#define LARGE (UINT64_C(1) << 20)

/* Who reads of a piece. */
struct interest {
	bool whole;   /* one reader, all of it */
	bool several; /* readers */
};

static size_t pieces_of(const struct images *im, size_t file)
{
	uint64_t size = im->manifest->files[file + 1]->size;

	return (size_t)(size / HASH_PIECE + (size % HASH_PIECE != 0));
}

/* [start, end) of a file is read in one go. */
struct stretch {
	const struct images *im;
	struct interest **in; /* of all files */
	uint32_t kind, owner, file;
	uint64_t start, end;
	bool may; /* its reader makes checksums */
};

static void stretch_note(const struct stretch *s)
{
	uint64_t size = s->end ? s->im->manifest->files[s->file + 1]->size : 0;

	for (uint64_t at = s->start / HASH_PIECE * HASH_PIECE; at < s->end; at += HASH_PIECE) {
		struct interest *i = &s->in[s->file][at / HASH_PIECE];
		uint64_t piece_end = size - at < HASH_PIECE ? size : at + HASH_PIECE;

		i->several |= i->whole || !s->may || s->start > at || s->end < piece_end;
		i->whole = true;
	}
}

/* What follows is read by REC, which may go on where the last one ended. */
static void stretch_turn(struct stretch *s, const struct record *rec, uint32_t file, bool may)
{
	if (rec->kind == KIND_pages && s->kind == rec->kind && s->owner == rec->owner &&
	    s->file == file)
		return;
	stretch_note(s);
	*s = (struct stretch){ s->im, s->in, rec->kind, rec->owner, file, .may = may };
}

static int stretch_add(struct stretch *s, const struct record *rec, const Img__Pages *msg, bool may)
{
	int r = pages_check(s->im, msg);
	struct page_iter it = pages_iter(s->im, msg);
	struct page_run run;

	if (r == 0)
		stretch_turn(s, rec, msg->file, may);
	while (r == 0 && pages_next(&it, &run)) {
		if (run.offset != s->end) {
			stretch_note(s);
			s->start = run.offset;
		}
		s->end = run.offset + run.size;
	}
	return r;
}

static int note_record(struct stretch *s, const struct record *rec)
{
	const struct images *im = s->im;
	const Img__Shmem *shmem = (const Img__Shmem *)rec->msg;
	const Img__Inode *inode = (const Img__Inode *)rec->msg;
	/* What a segment of SysV had that is there already cannot be brought back. */
	bool segment = rec->kind == KIND_shmem && images_one(im, KIND_sysv_shm, rec->owner);
	int r = 0;

	if (rec->kind == KIND_pages)
		r = stretch_add(s, rec, (const Img__Pages *)rec->msg, true);
	for (size_t i = 0; r == 0 && rec->kind == KIND_shmem && i < shmem->n_pages; i++)
		r = stretch_add(s, rec, shmem->pages[i], !segment);
	for (size_t i = 0; r == 0 && rec->kind == KIND_inode && i < inode->n_content; i++)
		r = stretch_add(s, rec, inode->content[i], false);
	return r;
}

static int leave(struct images *im, struct interest **in)
{
	struct stretch s = { .im = im, .in = in };
	int r = 0;

	for (size_t i = 0; i < im->nrecords && r == 0; i++)
		r = note_record(&s, &im->records[i]);
	stretch_note(&s);
	for (size_t i = 0; r == 0 && i < im->npages; i++) {
		bool large = im->manifest->files[i + 1]->size >= LARGE;

		im->sums[i] = calloc(pieces_of(im, i) + 1, sizeof(*im->sums[i]));
		if (!im->sums[i])
			return -ENOMEM;
		for (size_t n = 0; large && n < pieces_of(im, i); n++)
			if (in[i][n].whole && !in[i][n].several)
				im->sums[i][n].state = PIECE_LEFT;
	}
	return r;
}

int pieces_leave(struct images *im)
{
	struct interest **in = calloc(im->npages + 1, sizeof(*in));
	int r;

	im->sums = calloc(im->npages + 1, sizeof(*im->sums));
	r = in && im->sums ? 0 : -ENOMEM;
	for (size_t i = 0; r == 0 && i < im->npages; i++) {
		in[i] = calloc(pieces_of(im, i) + 1, sizeof(*in[i]));
		if (!in[i])
			r = -ENOMEM;
	}
	if (r == 0)
		r = leave(im, in);
	for (size_t i = 0; in && i < im->npages; i++)
		free(in[i]);
	free(in);
	return r;
}

bool pieces_take(struct images *im)
{
	bool awaited = false;

	for (size_t i = 0; im->sums && i < im->npages; i++)
		for (size_t n = 0; n < pieces_of(im, i); n++) {
			awaited |= im->sums[i][n].state == PIECE_AWAITED;
			if (im->sums[i][n].state == PIECE_LEFT)
				im->sums[i][n].state = PIECE_OURS;
		}
	return awaited;
}

void pieces_done(struct images *im)
{
	for (size_t i = 0; im->sums && i < im->npages; i++)
		free(im->sums[i]);
	free(im->sums);
	im->sums = NULL;
}

uint64_t piece_size(const struct images *im, size_t file, uint64_t offset)
{
	uint64_t size = im->manifest->files[file + 1]->size;

	return size - offset < HASH_PIECE ? size - offset : HASH_PIECE;
}

struct piece_sum *piece_left(const struct images *im, size_t file, uint64_t offset)
{
	struct piece_sum *s;

	if (!im->sums || offset % HASH_PIECE)
		return NULL;
	s = &im->sums[file][offset / HASH_PIECE];
	return s->state == PIECE_LEFT ? s : NULL;
}
