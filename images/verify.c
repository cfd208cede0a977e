/*
 * Verifying page files: the pieces of all files are taken one by one by a few
 * threads. It is bound by copying from the page cache, 8 GB/s and core; to map
 * the file instead is not faster on tmpfs, and whoever cuts the file off
 * meanwhile would kill us.
 *
 * What is hashed is at the same time decrypted and copied: with a signature or
 * a key the restored tasks read memory that nobody can write to, and not once
 * more the files. What is compressed is so still (images/unpack.c).
 */
#define _GNU_SOURCE
#include "images/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/mman.h>

#include "images/decode.h"
#include "images/format.h"
#include "images/hash.h"
#include "images/holes.h"
#include "images/pieces.h"
#include "lib/cleanup.h"
#include "lib/cpus.h"
#include "lib/fd.h"
#include "lib/log.h"

#define CHUNK       (512u << 10)
#define THREADS_MAX 16

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u
#endif

int sums_judge(const struct images *im, const struct access *a, size_t number, uint64_t hash,
               const uint8_t *digest)
{
	const Img__Manifest__File *f = im->manifest->files[number];

	if (hash != f->hash)
		return fail(-EBADMSG,
		            "checkpoint %s: %s: wrong checksum of its %" PRIu64 " bytes; " DAMAGED,
		            im->dir, f->name, f->size);
	if (access_verifies(a) && memcmp(digest, f->digest.data, CRYPTO_DIGEST) != 0)
		return fail(-EBADMSG,
		            "checkpoint %s: %s: was changed since the checkpoint was signed",
		            im->dir, f->name);
	return 0;
}

int state_verify(const struct images *im, const struct access *a, const uint8_t *data, size_t size)
{
	uint8_t digest[CRYPTO_DIGEST];
	struct file_hash h = {};
	uint64_t hash = 0;
	int r = file_hash_init(&h, access_verifies(a) ? a->keys->crypto : NULL);

	if (r == 0) {
		file_hash_update(&h, data, size);
		hash = file_hash_digest(&h);
		if (access_verifies(a))
			r = file_hash_sha256(&h, digest);
	}
	file_hash_done(&h);
	return r < 0 ? r : sums_judge(im, a, 0, hash, digest);
}

int chunk_fail(const struct images *im, const char *name, int r, uint64_t number)
{
	if (r != -EBADMSG)
		return r;
	return fail(r,
	            "checkpoint %s: %s: chunk %" PRIu64
	            " is not what was encrypted there; the checkpoint was changed",
	            im->dir, name, number);
}

/* A piece of a page file, to be hashed. */
struct piece {
	uint32_t file;
	uint64_t at, size;
	int result;
	uint64_t hash;
	uint8_t digest[CRYPTO_DIGEST];
	uint64_t bad_chunk; /* if the result is -EBADMSG */
};

struct verification {
	struct images *im;
	const struct access *access;
	ARRAY(struct piece) pieces; /* of all files, in order */
	size_t wanted;              /* so many of them are to be read */
	int *copies;                /* of all files; NULL: none is wanted */
	size_t next;                /* not taken yet */
};

/* What one thread works with. */
struct worker {
	struct verification *v;
	uint8_t *buf, *plain;
	XXH3_state_t *hash;
	struct digest *digest; /* NULL: not verified */
	struct aead *aead;     /* of the current piece; NULL: not encrypted */
};

static uint64_t stored_size(const struct images *im, size_t file)
{
	return im->manifest->files[file + 1]->size;
}

/* Somebody else makes its checksum, or it is there: nothing is read. */
static bool is_others(const struct images *im, const struct piece *p)
{
	const struct piece_sum *sums = pieces_sums(im, p->file);

	return sums && sums[p->at / HASH_PIECE].state != PIECE_OURS;
}

static int pieces_list(struct verification *v)
{
	for (size_t i = 0; i < v->im->npages; i++) {
		uint64_t size = stored_size(v->im, i);

		for (uint64_t at = 0; at < size; at += HASH_PIECE) {
			struct piece *p = array_add(&v->pieces);

			if (!p)
				return -ENOMEM;
			p->file = (uint32_t)i;
			p->at = at;
			p->size = size - at < HASH_PIECE ? size - at : HASH_PIECE;
			v->wanted += !is_others(v->im, p);
		}
	}
	return 0;
}

/* Bytes of the content of a page file, at AT in it. */
static int keep(const struct worker *w, const struct piece *p, const uint8_t *data, size_t size,
                uint64_t at)
{
	return w->v->copies ? pwrite_full(w->v->copies[p->file], data, size, (off_t)at) : 0;
}

/* N bytes of whole chunks (or the last one) from the place AT of the file on. */
static int open_chunks(const struct worker *w, struct piece *p, const uint8_t *data, size_t n,
                       uint64_t at)
{
	uint64_t end = stored_size(w->v->im, p->file);

	while (n) {
		size_t size = n < CRYPT_CHUNK ? n : CRYPT_CHUNK;
		uint64_t number = at / CRYPT_CHUNK;
		int r = crypt_open(w->aead, number, at + size == end, data, size, w->plain);

		if (r == -EBADMSG)
			p->bad_chunk = number;
		if (r == 0)
			r = keep(w, p, w->plain, size - CRYPTO_TAG, number * CRYPT_PLAIN);
		if (r < 0)
			return r;
		data += size, n -= size, at += size;
	}
	return 0;
}

_Static_assert(CHUNK % CRYPT_CHUNK == 0 && HASH_PIECE % CHUNK == 0, "chunks are read whole");

static int piece_read(struct worker *w, struct piece *p)
{
	int fd = w->v->im->pages[p->file];

	for (uint64_t done = 0; done < p->size;) {
		size_t n = p->size - done < CHUNK ? (size_t)(p->size - done) : CHUNK;
		int r = pread_full(fd, w->buf, n, (off_t)(p->at + done));

		if (r < 0)
			return r == -EBADMSG ? -EIO : r;
		holes_blank(w->v->im->manifest->files[p->file + 1], p->at + done, w->buf, n);
		XXH3_64bits_update(w->hash, w->buf, n);
		if (w->digest)
			digest_add(w->digest, w->buf, n);
		/* A checksum that is wrong as well tells more: the piece is read to its end. */
		if (w->aead && p->result == 0)
			p->result = open_chunks(w, p, w->buf, n, p->at + done);
		else if (!w->aead)
			p->result = keep(w, p, w->buf, n, p->at + done);
		if (p->result < 0 && p->result != -EBADMSG)
			return p->result;
		done += n;
	}
	/* There is a copy now. */
	if (w->v->copies && w->v->im->own[p->file])
		fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)p->at,
		          (off_t)p->size);
	return p->result;
}

static int piece_verify(struct worker *w, struct piece *p)
{
	const struct access *a = w->v->access;
	int r;

	XXH3_64bits_reset(w->hash);
	if (w->digest)
		piece_digest_start(w->digest);
	if (a->encrypted) {
		w->aead = crypt_aead(a->keys, &a->crypt,
		                     w->v->im->manifest->files[p->file + 1]->name);
		if (!w->aead)
			return -ENOMEM;
	}
	r = piece_read(w, p);
	aead_free(take_ptr(w->aead));
	p->hash = XXH3_64bits_digest(w->hash);
	if (w->digest && digest_end(w->digest, p->digest) < 0)
		return -EIO;
	return r;
}

static bool worker_init(struct worker *w, struct verification *v)
{
	const struct access *a = v->access;

	*w = (struct worker){ .v = v, .buf = malloc(CHUNK), .hash = XXH3_createState() };
	if (access_verifies(a))
		w->digest = digest_new(a->keys->crypto);
	if (a->encrypted)
		w->plain = malloc(CRYPT_PLAIN);
	return w->buf && w->hash && (w->digest || !access_verifies(a)) &&
	       (w->plain || !a->encrypted);
}

static void worker_done(struct worker *w)
{
	if (w->plain)
		crypto_wipe(w->plain, CRYPT_PLAIN);
	free(w->plain);
	free(w->buf);
	digest_free(w->digest);
	XXH3_freeState(w->hash);
}

static void *verify_some(void *arg)
{
	struct verification *v = arg;
	struct worker w;
	bool ready = worker_init(&w, v);
	size_t i;

	while ((i = __atomic_fetch_add(&v->next, 1, __ATOMIC_RELAXED)) < v->pieces.n) {
		struct piece *p = &v->pieces.v[i];

		if (!is_others(v->im, p))
			p->result = ready ? piece_verify(&w, p) : -ENOMEM;
	}
	worker_done(&w);
	return NULL;
}

/* This thread takes part; that a helper cannot be started only costs time. */
static void verify_all(struct verification *v)
{
	pthread_t helpers[THREADS_MAX];
	size_t want = cpus_allowed(THREADS_MAX + 1), n = 0;

	while (n + 1 < want && n + 1 < v->wanted && n < THREADS_MAX &&
	       !pthread_create(&helpers[n], NULL, verify_some, v))
		n++;
	verify_some(v);
	while (n)
		pthread_join(helpers[--n], NULL);
}

/* The first of N pieces that could not be read; NULL: none. */
static const struct piece *first_bad(const struct piece *p, size_t n, int but)
{
	for (size_t i = 0; i < n; i++)
		if (p[i].result < 0 && p[i].result != but)
			return &p[i];
	return NULL;
}

/* The checksums of all N pieces of a file are there: false, some are left to their reader. */
static bool collect(const struct images *im, const struct piece *first, size_t n, uint64_t *hashes)
{
	bool whole = true;

	for (size_t i = 0; i < n; i++) {
		struct piece_sum *sums = pieces_sums(im, first->file);

		hashes[i] = first[i].hash;
		if (!sums)
			continue;
		if (sums[i].state == PIECE_OURS)
			sums[i] = (struct piece_sum){ first[i].hash, PIECE_MADE };
		hashes[i] = sums[i].hash;
		whole &= sums[i].state == PIECE_MADE;
	}
	return whole;
}

/* Judge one file by its pieces, the first of which is FIRST. */
static int file_judge(const struct verification *v, uint32_t file, const struct piece *first)
{
	const struct images *im = v->im;
	const Img__Manifest__File *f = im->manifest->files[file + 1];
	size_t n = (size_t)(f->size / HASH_PIECE + (f->size % HASH_PIECE != 0));
	auto_free uint64_t *hashes = calloc(n + 1, sizeof(*hashes));
	auto_free uint8_t(*digests)[CRYPTO_DIGEST] = calloc(n + 1, CRYPTO_DIGEST);
	const struct piece *bad = first_bad(first, n, -EBADMSG);
	uint8_t digest[CRYPTO_DIGEST];
	int r = 0;

	if (!hashes || !digests)
		return -ENOMEM;
	if (bad)
		return fail(bad->result, "checkpoint %s: %s: read at %" PRIu64, im->dir, f->name,
		            bad->at);
	if (!collect(im, first, n, hashes))
		return 0;
	for (size_t i = 0; i < n; i++)
		memcpy(digests[i], first[i].digest, CRYPTO_DIGEST);
	if (access_verifies(v->access)) {
		struct digest *d = digest_new(v->access->keys->crypto);

		r = d ? pieces_digest(d, (const uint8_t(*)[CRYPTO_DIGEST])digests, n, digest)
		      : -ENOMEM;
		digest_free(d);
	}
	if (r == 0)
		r = sums_judge(im, v->access, file + 1, pieces_hash(hashes, n), digest);
	bad = first_bad(first, n, 0);
	return r == 0 && bad ? chunk_fail(im, f->name, bad->result, bad->bad_chunk) : r;
}

/* ---- copies ---- */

static int copy_new(const char *name, uint64_t size)
{
	auto_close int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

	if (fd < 0) /* before Linux 6.3 */
		fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
		return -errno;
	return take_fd(&fd);
}

static int copies_new(struct verification *v)
{
	const struct images *im = v->im;

	v->copies = malloc((im->npages + 1) * sizeof(*v->copies));
	if (!v->copies)
		return -ENOMEM;
	for (size_t i = 0; i < im->npages; i++)
		v->copies[i] = -1;
	for (size_t i = 0; i < im->npages; i++) {
		v->copies[i] = copy_new(im->manifest->files[i + 1]->name, im->content[i]);
		if (v->copies[i] < 0)
			return fail(v->copies[i], "checkpoint %s: memory for its page files",
			            im->dir);
	}
	return 0;
}

/* They stand in for the files now. */
static int copies_use(struct verification *v)
{
	for (size_t i = 0; i < v->im->npages; i++) {
		if (!v->im->own[i] &&
		    fcntl(v->copies[i], F_ADD_SEALS,
		          F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
			return fail(-errno, "checkpoint %s: seal the copy of a page file",
			            v->im->dir);
		close(v->im->pages[i]);
		v->im->pages[i] = take_fd(&v->copies[i]);
	}
	return 0;
}

static void verification_done(struct verification *v)
{
	for (size_t i = 0; v->copies && i < v->im->npages; i++)
		closep(&v->copies[i]);
	free(v->copies);
	array_done(&v->pieces);
}

int pages_verify(struct images *im, const struct access *a)
{
	auto_(verification_done) struct verification v = { .im = im, .access = a };
	bool copy = a->use >= PAGES_USED && (access_verifies(a) || a->encrypted);
	int r = pieces_list(&v);
	size_t first = 0;

	if (r == 0 && copy)
		r = copies_new(&v);
	if (r == 0)
		verify_all(&v);
	for (uint32_t i = 0; r == 0 && i < im->npages; i++) {
		r = file_judge(&v, i, v.pieces.v + first);
		while (first < v.pieces.n && v.pieces.v[first].file == i)
			first++;
	}
	return r == 0 && copy ? copies_use(&v) : r;
}
