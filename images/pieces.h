/*
 * Pieces (HASH_PIECE) of large page files whose bytes exactly one reader reads, in order and without gap: they are left
 * to him, who makes their checksums while he reads, so that they are read once. What he does not make,
 * images_verify_late() does.
 */
#pragma once

#include "images/images.h"

enum piece_state {
	PIECE_OURS,    /* pages_verify() makes its checksum */
	PIECE_LEFT,    /* its reader does, if he comes ... */
	PIECE_AWAITED, /* ... and so he will */
	PIECE_MADE,    /* it is there */
};

struct piece_sum {
	uint64_t hash;
	enum piece_state state;
};

/* Find the pieces that can be left to their readers. -ENOMEM, -EBADMSG (explained). */
int pieces_leave(struct images *im);
/* What is left to readers, and nobody awaits it, is not left any more. Is any awaited? */
bool pieces_take(struct images *im);
void pieces_done(struct images *im);

/* The piece that begins at OFFSET of page file FILE, if it is left to its reader; else NULL. */
struct piece_sum *piece_left(const struct images *im, size_t file, uint64_t offset);

/* Bytes of the piece that begins at OFFSET of it. */
uint64_t piece_size(const struct images *im, size_t file, uint64_t offset);

/* Of page file FILE: NULL, or those of all its pieces. */
static inline struct piece_sum *pieces_sums(const struct images *im, size_t file)
{
	return im->sums ? im->sums[file] : NULL;
}
