/*
 * Encrypted checkpoints (doc/FORMAT.md): every file is a row of chunks that
 * are sealed one by one, with AES-256-GCM under a key of this file alone. The
 * nonce holds the number of the chunk and whether it is the last one; so
 * chunks that are missing, moved or taken from other files are found.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "images/keys.h"
#include "images/sink.h"

#define CRYPT_CHUNK (256u << 10) /* on the disk; HASH_PIECE is a multiple */
#define CRYPT_PLAIN (CRYPT_CHUNK - CRYPTO_TAG)

#define CRYPT_MAGIC   "crtlcryp"
#define CRYPT_VERSION 1
#define CRYPT_AES_GCM 1

/* manifest.img starts with this; the chunks follow. All but EDITION and CHECK is the salt of all keys. */
struct crypt_header {
	char magic[8];
	uint32_t version;
	uint16_t cipher;
	uint16_t edition; /* of the manifest: 0, or a random number of one that took its place */
	uint8_t random[32];
	uint8_t check[16]; /* derived from the key: a wrong one is known as such */
};
#define CRYPT_SALT offsetof(struct crypt_header, check)

/* The header of a new checkpoint. -errno. */
int crypt_header_new(const struct image_keys *keys, struct crypt_header *ret);

/* That of a manifest that takes the place of the one with H: it gets a key of its own. -errno. */
int crypt_header_again(struct crypt_header *h);

/* Is it the key of this checkpoint? 0, or -errno; -EBADMSG: no. */
int crypt_key_check(const struct image_keys *keys, const struct crypt_header *h);

/* What the file NAME is sealed with, or opened with; NULL: no memory. */
struct aead *crypt_aead(const struct image_keys *keys, const struct crypt_header *h,
                        const char *name);

/* A link of a chain that seals. *RET owns AEAD, also on failure. -ENOMEM. */
int crypt_sink_new(struct aead *aead, struct sink *next, struct sink **ret);

/* DATA as chunks to OUT, of crypt_sealed_size(SIZE) bytes. -EIO, explained. */
size_t crypt_sealed_size(size_t size);
int crypt_seal_all(struct aead *aead, const uint8_t *data, size_t size, uint8_t *out);

/* How much is in SIZE bytes of chunks; -EBADMSG: no such file was ever written. */
int crypt_plain_size(uint64_t size, uint64_t *ret);

/* Open chunk NUMBER, SIZE bytes, of a file; OUT has room for CRYPT_PLAIN. -EBADMSG: forged. */
int crypt_open(struct aead *aead, uint64_t number, bool last, const uint8_t *data, size_t size,
               uint8_t *out);

/* All chunks of a file that is in memory, DATA, in place; its size is crypt_plain_size(). */
int crypt_open_all(struct aead *aead, uint8_t *data, uint64_t size);
