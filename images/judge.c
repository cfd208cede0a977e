/*
 * What is said of a checkpoint, wherever its bytes come from (read.c,
 * receive.c): whose it is, what is in it, how much there is.
 */
#include "images/judge.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>

#include "images/decode.h"
#include "images/format.h"
#include "images/holes.h"
#include "images/pack.h"
#include "lib/log.h"

/* DATA, all of manifest.img, was signed with the key that is believed. */
static int signature_verify(const struct images *im, const struct access *a,
                            const struct bytes *data, const struct bytes *signature)
{
	int r = -EBADMSG;

	if (!signature->data)
		return fail(-EBADMSG,
		            "checkpoint %s: " SIGNATURE_FILE
		            " is missing; it was not signed (dump --sign), or not copied",
		            im->dir);
	if (signature->size != CRYPTO_SIGNATURE && signature->size != 2 * CRYPTO_SIGNATURE)
		return fail(-EBADMSG,
		            "checkpoint %s: " SIGNATURE_FILE ": %" PRIu64
		            " bytes instead of %u; " DAMAGED,
		            im->dir, signature->size, CRYPTO_SIGNATURE);
	for (uint64_t at = 0; r == -EBADMSG && at < signature->size; at += CRYPTO_SIGNATURE)
		r = crypto_verify(a->keys->crypto, a->keys->verify, data->data, data->size,
		                  signature->data + at);
	if (r == -EBADMSG)
		return fail(r,
		            "checkpoint %s: " SIGNATURE_FILE
		            ": is not by the key of --verify; it was changed, or signed by another",
		            im->dir);
	return r;
}

/* Is it encrypted, as it should be, and is the key the right one? */
static int crypt_check(const struct images *im, struct access *a, const uint8_t *data,
                       uint64_t size)
{
	const bool key = a->keys && a->keys->has_crypt;
	int r;

	a->encrypted = size >= sizeof(a->crypt) && !memcmp(data, CRYPT_MAGIC, 8);
	if (!a->encrypted && !key)
		return 0;
	if (!a->encrypted)
		return fail(-EBADMSG,
		            "checkpoint %s: is not encrypted, but --decrypt was given; it is not "
		            "by who has the key",
		            im->dir);
	if (!key)
		return fail(-EBADMSG, "checkpoint %s: is encrypted; give its key (%s)", im->dir,
		            a->use == PAGES_FOUND ? "--encrypt" : "--decrypt");
	memcpy(&a->crypt, data, sizeof(a->crypt));
	if (a->crypt.version != CRYPT_VERSION || a->crypt.cipher != CRYPT_AES_GCM)
		return fail(-EBADMSG,
		            "checkpoint %s: encrypted in a way that this crtool does not know "
		            "(version %" PRIu32 ", cipher %" PRIu32 ")",
		            im->dir, a->crypt.version, a->crypt.cipher);
	r = crypt_key_check(a->keys, &a->crypt);
	if (r == -EBADMSG)
		return fail(r, "checkpoint %s: is encrypted with another key, or damaged", im->dir);
	return r;
}

/* The content of the file NAME, DATA, in place: *SIZE becomes that of what is in it. */
static int decrypt(const struct images *im, const struct access *a, const char *name, uint8_t *data,
                   uint64_t *size)
{
	uint64_t stored = *size;
	struct aead *aead;
	int r = crypt_plain_size(stored, size);

	if (r < 0)
		return fail(r, "checkpoint %s: %s: cut off; " DAMAGED, im->dir, name);
	aead = crypt_aead(a->keys, &a->crypt, name);
	r = aead ? crypt_open_all(aead, data, stored) : -ENOMEM;
	aead_free(aead);
	if (r == -EBADMSG)
		return fail(
			r,
			"checkpoint %s: %s: is not what was encrypted there; the checkpoint was "
			"changed",
			im->dir, name);
	return r;
}

/* Whoever verifies needs a digest of each file. */
static int digests_check(const struct images *im, const struct access *a)
{
	const Img__Manifest *m = im->manifest;

	for (size_t i = 0; i < m->n_files; i++)
		if (m->files[i]->digest.len != (access_verifies(a) ? CRYPTO_DIGEST : 0) &&
		    m->files[i]->digest.len != CRYPTO_DIGEST)
			return fail(-EBADMSG,
			            "checkpoint %s: " MANIFEST_FILE
			            ": the digest of %s has %zu bytes; " DAMAGED,
			            im->dir, m->files[i]->name, m->files[i]->digest.len);
	return 0;
}

int manifest_judge(struct images *im, struct access *a, const struct bytes *file,
                   const struct bytes *signature)
{
	uint8_t *content = file->data;
	uint64_t size = file->size;
	int r = access_verifies(a) ? signature_verify(im, a, file, signature) : 0;

	if (r == 0)
		r = crypt_check(im, a, content, size);
	if (r == 0 && a->encrypted) {
		content += sizeof(a->crypt), size -= sizeof(a->crypt);
		r = decrypt(im, a, MANIFEST_FILE, content, &size);
	}
	if (r == 0)
		r = manifest_decode(im, content, size);
	return r < 0 ? r : digests_check(im, a);
}

int state_judge(struct images *im, const struct access *a, const struct bytes *file)
{
	uint64_t size = file->size;
	int r = a->encrypted ? decrypt(im, a, STATE_FILE, file->data, &size) : 0;

	return r < 0 ? r : state_decode(im, file->data, size);
}

/* Whoever is to have it knows where it comes from. */
static int later_size(struct images *im, const struct access *a, size_t file)
{
	const Img__Manifest__File *listed = im->manifest->files[file + 1];

	if (a->use != PAGES_TRUSTED && a->use != PAGES_FOUND)
		return fail(-EBADMSG,
		            "checkpoint %s: %s: the pages never came; this is what is left of a "
		            "migration (--post-copy)",
		            im->dir, listed->name);
	if (listed->size || listed->codec || listed->plain || a->encrypted ||
	    listed->later > PAGES_MAX || listed->later % 4096)
		return fail(-EBADMSG,
		            "checkpoint %s: %s: cannot come afterwards, %" PRIu64
		            " bytes; " DAMAGED,
		            im->dir, listed->name, listed->later);
	im->plain[file] = im->content[file] = listed->later;
	return 0;
}

/* How much is in the file that LISTED says, whatever it was made of. */
static int content_size(struct images *im, const struct access *a, size_t file)
{
	const Img__Manifest__File *listed = im->manifest->files[file + 1];

	im->content[file] = listed->size;
	if (a->encrypted && crypt_plain_size(listed->size, &im->content[file]) < 0)
		return fail(-EBADMSG, "checkpoint %s: %s: cut off; " DAMAGED, im->dir,
		            listed->name);
	if (listed->later)
		return later_size(im, a, file);
	im->plain[file] = listed->codec ? listed->plain : im->content[file];
	if (listed->n_hole_start || listed->n_hole_end)
		return holes_check(im, listed, a->encrypted);
	if (listed->codec ? pack_size_check(im->content[file], listed->plain) < 0 : listed->plain)
		return fail(-EBADMSG,
		            "checkpoint %s: %s: %" PRIu64 " bytes cannot hold %" PRIu64
		            " bytes of pages; " DAMAGED,
		            im->dir, listed->name, listed->size, listed->plain);
	return 0;
}

int pages_sizes(struct images *im, const struct access *a)
{
	size_t n = im->manifest->n_files - 1;
	int r = 0;

	im->pages = malloc((n + 1) * sizeof(*im->pages));
	im->content = calloc(n + 1, sizeof(*im->content));
	im->plain = calloc(n + 1, sizeof(*im->plain));
	im->own = calloc(n + 1, sizeof(*im->own));
	if (!im->pages || !im->content || !im->plain || !im->own)
		return -ENOMEM;
	if (im->manifest->files[0]->n_hole_start)
		r = holes_check(im, im->manifest->files[0], a->encrypted);
	for (size_t i = 0; i < n; i++)
		im->pages[i] = -1;
	for (size_t i = 0; r == 0 && i < n; i++)
		r = content_size(im, a, i);
	return r;
}
