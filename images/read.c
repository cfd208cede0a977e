/*
 * Reading a checkpoint: nothing in it is believed. The names of the files are
 * ours, the manifest only confirms them; each must have the size and the
 * checksum that the manifest says before it is decoded. The page files are
 * left open.
 */
#define _GNU_SOURCE
#include "images/images.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "images/decode.h"
#include "images/format.h"
#include "images/heap.h"
#include "images/pack.h"
#include "images/verify.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"

/*
 * Open a regular file of the checkpoint; -errno, not explained. O_NONBLOCK: a
 * FIFO in its place must not hang us.
 */
static int file_open(const struct images *im, const char *name, uint64_t *ret_size)
{
	auto_close int fd =
		openat(im->dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EBADMSG;
	*ret_size = (uint64_t)st.st_size;
	return take_fd(&fd);
}

/* A file that the manifest lists: there and of the right size. Its descriptor, or -errno explained. */
static int listed_open(const struct images *im, const char *name, const Img__Manifest__File *listed)
{
	uint64_t size;
	auto_close int fd = file_open(im, name, &size);

	if (fd == -ENOENT)
		return fail(-EBADMSG, "checkpoint %s: %s is missing; " DAMAGED, im->dir, name);
	if (fd == -EBADMSG || fd == -ELOOP)
		return fail(-EBADMSG, "checkpoint %s: %s is not a regular file; " DAMAGED, im->dir,
		            name);
	if (fd < 0)
		return fail(fd, "checkpoint %s: %s", im->dir, name);
	if (size != listed->size)
		return fail(-EBADMSG,
		            "checkpoint %s: %s: %" PRIu64 " bytes instead of %" PRIu64 "; " DAMAGED,
		            im->dir, name, size, listed->size);
	return take_fd(&fd);
}

/* All SIZE bytes of a file; NULL: *RET_R says why, explained. */
static uint8_t *small_read(const struct images *im, int fd, const char *name, uint64_t size,
                           int *ret_r)
{
	auto_free uint8_t *data = malloc(size + 1);

	*ret_r = data ? read_full(fd, data, size) : -ENOMEM;
	if (*ret_r == -ENOMEM)
		return NULL;
	if (*ret_r < 0) {
		fail(*ret_r, "checkpoint %s: %s: read", im->dir, name);
		return NULL;
	}
	return take_ptr(data);
}

/* DATA, all of manifest.img, was signed with the key that is believed. */
static int signature_verify(const struct images *im, const struct access *a, const uint8_t *data,
                            size_t size)
{
	uint8_t signature[CRYPTO_SIGNATURE];
	uint64_t have;
	auto_close int fd = file_open(im, SIGNATURE_FILE, &have);
	int r;

	if (fd == -ENOENT)
		return fail(-EBADMSG,
		            "checkpoint %s: " SIGNATURE_FILE
		            " is missing; it was not signed (dump --sign), or not copied",
		            im->dir);
	if (fd < 0)
		return fail(fd, "checkpoint %s: " SIGNATURE_FILE, im->dir);
	if (have != sizeof(signature))
		return fail(-EBADMSG,
		            "checkpoint %s: " SIGNATURE_FILE ": %" PRIu64
		            " bytes instead of %zu; " DAMAGED,
		            im->dir, have, sizeof(signature));
	r = read_full(fd, signature, sizeof(signature));
	if (r < 0)
		return fail(r, "checkpoint %s: " SIGNATURE_FILE ": read", im->dir);
	r = crypto_verify(a->keys->crypto, a->keys->verify, data, size, signature);
	if (r == -EBADMSG)
		return fail(r,
		            "checkpoint %s: " SIGNATURE_FILE
		            ": is not by the key of --verify; it was changed, or signed by another",
		            im->dir);
	return r;
}

/* Is it encrypted, as it should be, and is the key the right one? */
static int crypt_check(const struct images *im, struct access *a, const uint8_t *data, size_t size)
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
		return fail(-EBADMSG, "checkpoint %s: is encrypted; give its key (--decrypt)",
		            im->dir);
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

static int manifest_open(const struct images *im, uint64_t *ret_size)
{
	auto_close int fd = file_open(im, MANIFEST_FILE, ret_size);

	if (fd == -ENOENT)
		return fail(-ENOENT,
		            "no checkpoint in %s: " MANIFEST_FILE
		            " is missing; the dump did not finish",
		            im->dir);
	if (fd == -EBADMSG || fd == -ELOOP)
		return fail(-EBADMSG, "checkpoint %s: " MANIFEST_FILE " is not a regular file",
		            im->dir);
	if (fd < 0)
		return fail(fd, "checkpoint %s: " MANIFEST_FILE, im->dir);
	if (*ret_size > MANIFEST_FILE_MAX)
		return fail(-EBADMSG,
		            "checkpoint %s: " MANIFEST_FILE ": %" PRIu64
		            " bytes are too many; " DAMAGED,
		            im->dir, *ret_size);
	return take_fd(&fd);
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

static int manifest_read(struct images *im, struct access *a)
{
	uint64_t size = 0;
	auto_close int fd = manifest_open(im, &size);
	auto_free uint8_t *data = NULL;
	const uint8_t *content;
	int r;

	if (fd < 0)
		return fd;
	data = small_read(im, fd, MANIFEST_FILE, size, &r);
	if (!data)
		return r;
	if (access_verifies(a))
		r = signature_verify(im, a, data, size);
	if (r == 0)
		r = crypt_check(im, a, data, size);
	if (r < 0)
		return r;
	content = a->encrypted ? data + sizeof(a->crypt) : data;
	if (a->encrypted) {
		size -= sizeof(a->crypt);
		r = decrypt(im, a, MANIFEST_FILE, data + sizeof(a->crypt), &size);
	}
	if (r == 0)
		r = manifest_decode(im, content, size);
	return r < 0 ? r : digests_check(im, a);
}

static int state_read(struct images *im, const struct access *a)
{
	const Img__Manifest__File *listed = im->manifest->files[0];
	auto_close int fd = listed_open(im, STATE_FILE, listed);
	auto_free uint8_t *data = NULL;
	uint64_t size = listed->size;
	int r;

	if (fd < 0)
		return fd;
	if (size > STATE_MAX)
		return fail(-EBADMSG,
		            "checkpoint %s: " STATE_FILE ": %" PRIu64
		            " bytes are too many; " DAMAGED,
		            im->dir, size);
	data = small_read(im, fd, STATE_FILE, size, &r);
	if (!data)
		return r;
	r = state_verify(im, a, data, size);
	if (r == 0 && a->encrypted)
		r = decrypt(im, a, STATE_FILE, data, &size);
	return r < 0 ? r : state_decode(im, data, size);
}

uint64_t images_pages_size(const struct images *im, size_t file)
{
	return im->plain ? im->plain[file] : im->manifest->files[file + 1]->size;
}

/* How much is in the file that LISTED says, whatever it was made of. */
static int content_size(struct images *im, const struct access *a, size_t file)
{
	const Img__Manifest__File *listed = im->manifest->files[file + 1];

	im->content[file] = listed->size;
	if (a->encrypted && crypt_plain_size(listed->size, &im->content[file]) < 0)
		return fail(-EBADMSG, "checkpoint %s: %s: cut off; " DAMAGED, im->dir,
		            listed->name);
	im->plain[file] = listed->codec ? listed->plain : im->content[file];
	if (listed->codec ? pack_size_check(im->content[file], listed->plain) < 0 : listed->plain)
		return fail(-EBADMSG,
		            "checkpoint %s: %s: %" PRIu64 " bytes cannot hold %" PRIu64
		            " bytes of pages; " DAMAGED,
		            im->dir, listed->name, listed->size, listed->plain);
	return 0;
}

static int pages_open(struct images *im, const struct access *a)
{
	size_t n = im->manifest->n_files - 1;

	im->pages = calloc(n + 1, sizeof(*im->pages));
	im->content = calloc(n + 1, sizeof(*im->content));
	im->plain = calloc(n + 1, sizeof(*im->plain));
	if (!im->pages || !im->content || !im->plain)
		return -ENOMEM;
	while (im->npages < n) {
		const Img__Manifest__File *listed = im->manifest->files[im->npages + 1];
		int fd = content_size(im, a, im->npages);

		if (fd == 0)
			fd = listed_open(im, listed->name, listed);
		if (fd < 0)
			return fd;
		im->pages[im->npages++] = fd;
	}
	return 0;
}

static int images_load(struct images *im, struct access *a)
{
	int r;

	im->dirfd = open(im->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (im->dirfd < 0)
		return fail(-errno, "checkpoint %s", im->dir);
	r = manifest_read(im, a);
	if (r == 0)
		r = state_read(im, a);
	if (r == 0)
		r = pages_open(im, a);
	if (r == 0 && a->use != PAGES_LEFT)
		r = pages_verify(im, a);
	if (r == 0 && a->use == PAGES_USED)
		r = pages_unpack(im);
	return r;
}

int images_read(const char *dir, enum pages_use use, const struct image_keys *keys,
                struct images **ret)
{
	struct access a = { .use = use, .keys = keys };
	struct images *im;
	int r = images_new(dir, &im);

	if (r < 0)
		return r;
	r = images_load(im, &a);
	if (r < 0) {
		images_free(im);
		return r;
	}
	*ret = im;
	return 0;
}

void images_free(struct images *im)
{
	if (!im)
		return;
	for (size_t i = 0; i < im->npages; i++)
		close(im->pages[i]);
	free(im->pages);
	free(im->content);
	free(im->plain);
	free(im->records);
	if (im->heap)
		heap_done(im->heap);
	free(im->heap);
	free(im->dir);
	if (im->dirfd >= 0)
		close(im->dirfd);
	free(im);
}

/* The first record that is not before (KIND, OWNER). */
static size_t lower_bound(const struct images *im, uint64_t kind, uint64_t owner)
{
	size_t low = 0, high = im->nrecords;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct record *r = &im->records[mid];

		if (r->kind < kind || (r->kind == kind && r->owner < owner))
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

const struct record *images_kind(const struct images *im, enum record_kind kind, size_t *ret_n)
{
	size_t first = lower_bound(im, kind, 0);

	*ret_n = lower_bound(im, (uint64_t)kind + 1, 0) - first;
	return im->records + first;
}

const struct record *images_find(const struct images *im, enum record_kind kind, uint32_t owner,
                                 size_t *ret_n)
{
	size_t first = lower_bound(im, kind, owner);

	*ret_n = lower_bound(im, kind, (uint64_t)owner + 1) - first;
	return im->records + first;
}

const ProtobufCMessage *images_one(const struct images *im, enum record_kind kind, uint32_t owner)
{
	size_t n;
	const struct record *r = images_find(im, kind, owner, &n);

	return n ? r->msg : NULL;
}
