/*
 * Writing the manifest, which makes a directory a checkpoint: it is the last, and
 * renamed into place. One that takes the place of another is valid at once, and
 * the other was until then: so there are two signatures for a moment.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "images/output.h"
#include "images/stream.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"

/* A small file with all its content. */
static int file_store(const struct output *o, const char *name, const void *data, size_t size,
                      bool sync)
{
	struct image_file f;
	int r = image_file_create(&f, o, name);

	if (r == 0)
		r = image_file_append(&f, data, size);
	if (r == 0)
		r = image_file_finish(&f, sync);
	image_file_done(&f, r == 0);
	return r;
}

/* It was stored as TMP, and is NAME from here on. */
static int file_move(const struct output *o, const char *tmp, const char *name)
{
	int r;

	if (renameat(o->dirfd, tmp, o->dirfd, name) == 0)
		return 0;
	r = output_fail(o, -errno, name, "rename into place");
	unlinkat(o->dirfd, tmp, 0);
	return r;
}

/* ---- signatures ---- */

static int signature_make(const struct output *o, const uint8_t *data, size_t size,
                          uint8_t ret[CRYPTO_SIGNATURE])
{
	int r = crypto_sign(o->keys->crypto, o->keys->sign, data, size, ret);

	return r < 0 ? output_fail(o, r, SIGNATURE_FILE, "sign") : 0;
}

static int signature_replace(const struct output *o, const uint8_t *data, size_t size, bool sync)
{
	int r = file_store(o, SIGNATURE_TMP, data, size, sync);

	return r < 0 ? r : file_move(o, SIGNATURE_TMP, SIGNATURE_FILE);
}

/* That of the manifest that is there, which comes first in its file. None: it is not signed. */
static int signature_read(const struct output *o, uint8_t ret[CRYPTO_SIGNATURE], bool *ret_found)
{
	auto_close int fd =
		openat(o->dirfd, SIGNATURE_FILE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	int r;

	*ret_found = fd >= 0;
	if (fd < 0)
		return errno == ENOENT ? 0 : output_fail(o, -errno, SIGNATURE_FILE, "open");
	r = read_full(fd, ret, CRYPTO_SIGNATURE);
	return r < 0 ? output_fail(o, r, SIGNATURE_FILE, "read") : 0;
}

/* ---- the bytes of manifest.img ---- */

/* The first one. Its signature comes before it, as with the manifest the checkpoint is there. */
static int bytes_store(const struct output *o, const uint8_t *data, size_t size, bool sync)
{
	uint8_t signature[CRYPTO_SIGNATURE];
	int r = output_signs(o) ? signature_make(o, data, size, signature) : 0;

	if (r == 0 && output_signs(o))
		r = file_store(o, SIGNATURE_FILE, signature, sizeof(signature), sync);
	if (r < 0)
		return r;
	r = file_store(o, MANIFEST_TMP, data, size, sync);
	if (r == 0)
		r = o->stream ? stream_end(o->stream, sync)
		              : file_move(o, MANIFEST_TMP, MANIFEST_FILE);
	if (r < 0 && output_signs(o) && !o->stream)
		unlinkat(o->dirfd, SIGNATURE_FILE, 0);
	return r;
}

/* What a writer that was killed in the middle of this has left is overwritten. */
static int bytes_replace(const struct output *o, const uint8_t *data, size_t size, bool sync)
{
	uint8_t both[2 * CRYPTO_SIGNATURE], *own = both + CRYPTO_SIGNATURE;
	bool old = false;
	int r = 0;

	unlinkat(o->dirfd, MANIFEST_TMP, 0);
	unlinkat(o->dirfd, SIGNATURE_TMP, 0);
	if (output_signs(o))
		r = signature_read(o, both, &old);
	if (r == 0 && output_signs(o))
		r = signature_make(o, data, size, own);
	if (r == 0 && output_signs(o))
		r = signature_replace(o, old ? both : own, old ? sizeof(both) : CRYPTO_SIGNATURE,
		                      sync);
	if (r == 0)
		r = file_store(o, MANIFEST_TMP, data, size, sync);
	if (r == 0)
		r = file_move(o, MANIFEST_TMP, MANIFEST_FILE);
	if (r < 0)
		return r;
	/* It is done: that there are two signatures yet does no harm. */
	if (old && signature_replace(o, own, CRYPTO_SIGNATURE, sync) < 0)
		log_forget();
	return 0;
}

typedef int (*bytes_fn)(const struct output *o, const uint8_t *data, size_t size, bool sync);

static int manifest_encrypt(const struct output *o, const struct crypt_header *header,
                            const uint8_t *data, size_t size, bool sync, bytes_fn store)
{
	size_t sealed = crypt_sealed_size(size);
	auto_free uint8_t *buf = malloc(sizeof(*header) + sealed);
	struct aead *aead = crypt_aead(o->keys, header, MANIFEST_FILE);
	int r = buf && aead ? 0 : -ENOMEM;

	if (r == 0) {
		memcpy(buf, header, sizeof(*header));
		r = crypt_seal_all(aead, data, size, buf + sizeof(*header));
	}
	aead_free(aead);
	return r < 0 ? r : store(o, buf, sizeof(*header) + sealed, sync);
}

int manifest_bytes(const struct output *o, const Img__Manifest *manifest, uint8_t **ret,
                   size_t *ret_size)
{
	struct manifest_header header = { .magic = MANIFEST_MAGIC, .version = FORMAT_VERSION };
	size_t size = img__manifest__get_packed_size(manifest);
	uint8_t *buf = malloc(sizeof(header) + size);

	if (!buf)
		return -ENOMEM;
	*ret = buf;
	*ret_size = sizeof(header) + size;
	if (size > MANIFEST_MAX)
		return output_fail(o, -EFBIG, MANIFEST_FILE, "too much to say");
	img__manifest__pack(manifest, buf + sizeof(header));
	header.size = (uint32_t)size;
	header.hash = XXH3_64bits(buf + sizeof(header), size);
	memcpy(buf, &header, sizeof(header));
	return 0;
}

static int manifest_put(const struct output *o, const struct crypt_header *crypt,
                        const Img__Manifest *manifest, bool sync, bytes_fn store)
{
	auto_free uint8_t *buf = NULL;
	size_t size;
	int r = manifest_bytes(o, manifest, &buf, &size);

	if (r < 0)
		return r;
	return output_encrypts(o) ? manifest_encrypt(o, crypt, buf, size, sync, store)
	                          : store(o, buf, size, sync);
}

int manifest_write(const struct output *o, const Img__Manifest *manifest, bool sync)
{
	return manifest_put(o, &o->crypt, manifest, sync, bytes_store);
}

int manifest_replace(const struct output *o, const Img__Manifest *manifest, bool sync)
{
	struct crypt_header again = o->crypt;
	int r = output_encrypts(o) ? crypt_header_again(&again) : 0;

	if (r < 0)
		return output_fail(o, r, MANIFEST_FILE, "choose a key");
	return manifest_put(o, &again, manifest, sync, bytes_replace);
}
