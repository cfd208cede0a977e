/* Judging the bytes of a checkpoint that were read somewhere. Everything is explained. */
#pragma once

#include "images/verify.h"

/* All of a small file; no data: there is no such file. */
struct bytes {
	uint8_t *data;
	uint64_t size;
};

static inline void bytes_done(struct bytes *b)
{
	free(b->data);
}

/* manifest.img and manifest.sig: fills im->manifest and *A; FILE is decrypted in place. */
int manifest_judge(struct images *im, struct access *a, const struct bytes *file,
                   const struct bytes *signature);

/* state.img, whose checksum was right: fills im->records. */
int state_judge(struct images *im, const struct access *a, const struct bytes *file);

/* Room for the page files that the manifest lists, none of which is open, and their sizes. */
int pages_sizes(struct images *im, const struct access *a);
