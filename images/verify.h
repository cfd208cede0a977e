/* The checksums, digests and seals of the files of a checkpoint. */
#pragma once

#include "images/crypt.h"
#include "images/images.h"

/* How a checkpoint is read. */
struct access {
	enum pages_use use;
	const struct image_keys *keys; /* or NULL */
	bool encrypted;
	struct crypt_header crypt; /* if so */
};

static inline bool access_verifies(const struct access *a)
{
	return a->keys && a->keys->has_verify;
}

/* state.img: DATA has the hash, and the digest, that the manifest says. -EBADMSG, explained. */
int state_verify(const struct images *im, const struct access *a, const uint8_t *data, size_t size);

/* The file NUMBER of the manifest has these sums, the digest where A verifies. -EBADMSG, explained. */
int sums_judge(const struct images *im, const struct access *a, size_t number, uint64_t hash,
               const uint8_t *digest);

/*
 * The same of all page files, by as many threads as there are CPUs for us. Where
 * they are used and A has keys, im->pages become copies in memory. Of pieces that are left to
 * their readers nothing is read, and their files are not judged yet (images/pieces.h).
 */
int pages_verify(struct images *im, const struct access *a);

/* -EBADMSG: chunk NUMBER of the file NAME does not open. Explained. */
int chunk_fail(const struct images *im, const char *name, int r, uint64_t number);
