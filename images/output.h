/*
 * The files of a checkpoint that is being written: to a directory or into a stream, hashed,
 * and on the way there compressed, encrypted and signed as was asked for.
 *
 * Everything returns 0 or -errno, explained but for -ENOMEM.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "images/crypt.h"
#include "images/format.h"
#include "images/hash.h"
#include "images/sink.h"
#include "lib/codec.h"
#include "proto/manifest.pb-c.h"

/* Where they go, and how. */
struct output {
	int dirfd;                 /* the caller's */
	struct stream_out *stream; /* instead of all that; or NULL */
	unsigned mode;
	const struct image_keys *keys; /* the caller's, or NULL */
	struct crypt_header crypt;     /* where they have one for it */
	struct compression compression;
};

static inline bool output_encrypts(const struct output *o)
{
	return o->keys && o->keys->has_crypt;
}

static inline bool output_signs(const struct output *o)
{
	return o->keys && o->keys->has_sign;
}

/* R, explained: WHAT has happened to FILE. */
int output_fail(const struct output *o, int r, const char *file, const char *what);

/* One file, with its running checksum. */
struct image_file {
	struct sink disk; /* the last of the chain: hashes and writes */
	struct sink *first;
	const struct output *out;
	char name[FILE_NAME_MAX];
	int fd; /* -1: not created, or finished */
	bool created;
	enum codec_id codec;
	bool later;      /* only its size is stored */
	uint64_t size;   /* what was written to it ... */
	uint64_t stored; /* ... and is on the disk */
	struct file_hash hash;
	bool lent; /* somebody else has written it, and says that this is its hash: */
	uint64_t lent_hash;
};

/* One whose bytes go to the disk as they are; one that is encrypted, if so; one that is compressed, if so, as well. */
int image_file_create(struct image_file *f, const struct output *o, const char *name);
int image_file_create_sealed(struct image_file *f, const struct output *o, const char *name);
int image_file_create_pages(struct image_file *f, const struct output *o, const char *name);

int image_file_append(struct image_file *f, const void *data, size_t size);

/* SIZE bytes of zeros, which take no room where that can be. */
int image_file_hole(struct image_file *f, uint64_t size);

/*
 * Somebody else writes it, as long as it is empty and takes bytes as they are: its descriptor, or -1. When f->size is
 * what was written, and HASH its hash: -EIO, explained, if it is not as long.
 */
int image_file_lend(struct image_file *f);
int image_file_returned(struct image_file *f, uint64_t hash);

/* All is there, and (SYNC) on the disk. */
int image_file_finish(struct image_file *f, bool sync);

/* Free it; unless it is to be KEPT, it is removed. Zeros are fine. */
void image_file_done(struct image_file *f, bool keep);

/* Once finished: what the manifest says of it. DIGEST, of CRYPTO_DIGEST bytes, must live as long. */
int image_file_list(struct image_file *f, Img__Manifest__File *ret, uint8_t *digest);

/* MANIFEST as it lies in manifest.img, unless that is encrypted, in a fresh buffer. */
int manifest_bytes(const struct output *o, const Img__Manifest *manifest, uint8_t **ret,
                   size_t *ret_size);

/* It, into place; the checkpoint is there then. */
int manifest_write(const struct output *o, const Img__Manifest *manifest, bool sync);

/*
 * The same, in the place of one that is there and valid until then: signed with OLD, the size of which
 * may be 0, or encrypted with the key of edition 0.
 */
int manifest_replace(const struct output *o, const Img__Manifest *manifest, bool sync);
