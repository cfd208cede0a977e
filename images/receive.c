/*
 * A stream is read once, from its start to its end, before anything else is
 * done: then it is known that it is whole. Pages come long before it is known whose they
 * are, so they are kept in memory (memfd), and given back piece by piece as they reach
 * their process (images/spend.h): at no time is there more than one copy of a page.
 */
#define _GNU_SOURCE
#include "images/receive.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <unistd.h>

#include "images/decode.h"
#include "images/format.h"
#include "images/hash.h"
#include "images/place.h"
#include "images/stream.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"

#define ZSTD_MAGIC "\x28\xb5\x2f\xfd"
#define LZ4_MAGIC  "\x04\x22\x4d\x18"
#define GZIP_MAGIC "\x1f\x8b"

/* A file that comes in. */
struct incoming {
	int fd; /* -1: it is not kept */
	uint64_t size;
	struct file_hash hash;
};

struct receiver {
	struct images *im;
	struct access *access;
	int fd;
	int dirfd; /* of a directory that it becomes; -1: none */
	bool one;  /* what follows the stream is somebody else's, and it need not reach the disk */
	uint64_t number; /* of the next frame */
	uint8_t *data;   /* of the current one */
	struct bytes state, manifest, signature;
	ARRAY(struct incoming) pages;
};

static int cut_off(const struct receiver *rc, int r)
{
	if (r == -ENODATA)
		return fail(-EBADMSG,
		            "checkpoint %s: the stream ends in frame %" PRIu64
		            "; the dump did not finish, or the transport broke",
		            rc->im->dir, rc->number);
	return fail(r, "checkpoint %s: read the stream", rc->im->dir);
}

static int bad_frame(const struct receiver *rc, const char *what)
{
	return fail(-EBADMSG, "checkpoint %s: frame %" PRIu64 " of the stream: %s; " DAMAGED,
	            rc->im->dir, rc->number, what);
}

static int header_read(const struct receiver *rc)
{
	struct stream_header h = {};
	int r = read_full(rc->fd, &h, sizeof(h));

	if (!memcmp(h.magic, ZSTD_MAGIC, 4) || !memcmp(h.magic, LZ4_MAGIC, 4) ||
	    !memcmp(h.magic, GZIP_MAGIC, 2))
		return fail(-EBADMSG,
		            "checkpoint %s: the stream is compressed; put what unpacks it before "
		            "(zstd -dc, lz4 -dc, gzip -dc)",
		            rc->im->dir);
	if (r == -ENODATA && !*h.magic)
		return fail(-EBADMSG, "checkpoint %s: the stream is empty; the dump failed",
		            rc->im->dir);
	if (r < 0)
		return cut_off(rc, r);
	if (memcmp(h.magic, STREAM_MAGIC, sizeof(h.magic)) != 0 || h.reserved)
		return fail(-EBADMSG, "checkpoint %s: this is no stream of crtool", rc->im->dir);
	if (h.version != STREAM_VERSION)
		return fail(-EBADMSG,
		            "checkpoint %s: a stream of version %" PRIu32 ", this crtool reads %d",
		            rc->im->dir, h.version, STREAM_VERSION);
	return 0;
}

static int frame_read(struct receiver *rc, struct frame_header *h)
{
	int r = read_full(rc->fd, h, sizeof(*h));

	if (r == 0 && h->size > FRAME_MAX)
		return bad_frame(rc, "too long");
	if (r == 0)
		r = read_full(rc->fd, rc->data, h->size);
	if (r < 0)
		return cut_off(rc, r);
	if (h->hash != frame_hash(h, rc->data))
		return bad_frame(rc, "wrong checksum");
	return h->number != rc->number ? bad_frame(rc, "out of order") : 0;
}

/* One more piece of a file that is kept as a whole, of at most MAX bytes. */
static int bytes_add(struct receiver *rc, struct bytes *b, uint32_t size, uint64_t max)
{
	uint64_t cap = b->data ? FRAME_MAX : 0;
	uint8_t *more;

	if (size > max - b->size)
		return bad_frame(rc, "the file that it is of is too long");
	while (cap < b->size)
		cap *= 2;
	if (!b->data || b->size + size > cap) {
		more = realloc(b->data, cap ? cap * 2 : FRAME_MAX);
		if (!more)
			return -ENOMEM;
		b->data = more;
	}
	memcpy(b->data + b->size, rc->data, size);
	b->size += size;
	return 0;
}

static int pages_file_open(const struct receiver *rc, const char *name)
{
	int fd;

	if (rc->dirfd >= 0)
		fd = openat(rc->dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		            0600);
	else if (rc->access->use >= PAGES_USED)
		fd = memfd_create(name, MFD_CLOEXEC);
	else
		return -1;
	return fd < 0 ? fail(-errno, "checkpoint %s: %s: create", rc->im->dir, name) : fd;
}

/* The next page file. */
static int incoming_add(struct receiver *rc)
{
	const struct access *a = rc->access;
	struct crypto *crypto = access_verifies(a) ? a->keys->crypto : NULL;
	struct incoming *in = array_add(&rc->pages);
	char name[FILE_NAME_MAX];

	if (!in)
		return -ENOMEM;
	in->fd = -1;
	if (file_hash_init(&in->hash, crypto) < 0)
		return -ENOMEM;
	snprintf(name, sizeof(name), PAGES_FILE, (unsigned)rc->pages.n - 1);
	in->fd = pages_file_open(rc, name);
	return in->fd < -1 ? in->fd : 0;
}

static int pages_add(struct receiver *rc, size_t file, uint32_t size)
{
	struct incoming *in;
	int r = file < PAGES_FILES_MAX ? 0 : bad_frame(rc, "of no file that can be");

	/* Any of several writers may be the first. */
	while (r == 0 && rc->pages.n <= file)
		r = incoming_add(rc);
	if (r < 0)
		return r;
	in = &rc->pages.v[file];
	file_hash_update(&in->hash, rc->data, size);
	if (in->fd >= 0)
		r = pwrite_full(in->fd, rc->data, size, (off_t)in->size);
	in->size += size;
	return r < 0 ? fail(r, "checkpoint %s: keep its pages", rc->im->dir) : 0;
}

static int frame_take(struct receiver *rc, const struct frame_header *h)
{
	if (h->file == 0)
		return bytes_add(rc, &rc->state, h->size, STATE_MAX);
	if (h->file == FRAME_MANIFEST)
		return bytes_add(rc, &rc->manifest, h->size, MANIFEST_FILE_MAX);
	if (h->file == FRAME_SIGNATURE)
		return bytes_add(rc, &rc->signature, h->size, 4096);
	return pages_add(rc, h->file - 1, h->size);
}

/* All frames, and nothing behind them. */
static int receive(struct receiver *rc)
{
	struct frame_header h = {};
	char more;
	int r = header_read(rc);

	while (r == 0) {
		r = frame_read(rc, &h);
		if (r < 0 || h.file == FRAME_END)
			break;
		r = frame_take(rc, &h);
		rc->number++;
	}
	if (r < 0)
		return r;
	if (h.size || (!rc->one && read_full(rc->fd, &more, 1) != -ENODATA))
		return bad_frame(rc, "something follows the end");
	if (!rc->manifest.data)
		return bad_frame(rc, "the end, but there was no manifest");
	return 0;
}

/* What came in of the file NUMBER of the manifest is what that says. */
static int size_check(const struct receiver *rc, size_t number, uint64_t size)
{
	const Img__Manifest__File *listed = rc->im->manifest->files[number];

	if (size != listed->size)
		return fail(-EBADMSG,
		            "checkpoint %s: %s: %" PRIu64 " bytes instead of %" PRIu64 "; " DAMAGED,
		            rc->im->dir, listed->name, size, listed->size);
	return 0;
}

static int pages_judge(struct receiver *rc, size_t file)
{
	struct incoming *in = &rc->pages.v[file];
	uint8_t digest[CRYPTO_DIGEST];
	uint64_t hash = file_hash_digest(&in->hash);
	int r = size_check(rc, file + 1, in->size);

	if (r == 0 && access_verifies(rc->access) && file_hash_sha256(&in->hash, digest) < 0)
		r = -EIO;
	return r < 0 ? r : sums_judge(rc->im, rc->access, file + 1, hash, digest);
}

static int judge(struct receiver *rc)
{
	struct images *im = rc->im;
	int r = manifest_judge(im, rc->access, &rc->manifest, &rc->signature);

	/* An empty page file has no frame. */
	while (r == 0 && rc->pages.n + 1 < im->manifest->n_files)
		r = incoming_add(rc);
	if (r < 0)
		return r;
	if (rc->pages.n + 1 != im->manifest->n_files)
		return fail(-EBADMSG, "checkpoint %s: %zu page files instead of %zu; " DAMAGED,
		            im->dir, rc->pages.n, im->manifest->n_files - 1);
	r = size_check(rc, 0, rc->state.size);
	if (r == 0)
		r = state_verify(im, rc->access, rc->state.data, rc->state.size);
	for (size_t i = 0; r == 0 && i < rc->pages.n; i++)
		r = pages_judge(rc, i);
	return r;
}

static void receiver_done(struct receiver *rc)
{
	bytes_done(&rc->state);
	bytes_done(&rc->manifest);
	bytes_done(&rc->signature);
	array_each (in, &rc->pages) {
		closep(&in->fd);
		file_hash_done(&in->hash);
	}
	array_done(&rc->pages);
	free(rc->data);
}

/* The page files are ours from now on. */
static int pages_take(struct receiver *rc)
{
	struct images *im = rc->im;
	int r = pages_sizes(im, rc->access);

	for (size_t i = 0; r == 0 && i < rc->pages.n; i++) {
		im->pages[i] = take_fd(&rc->pages.v[i].fd);
		im->own[i] = im->pages[i] >= 0;
		im->npages = i + 1;
	}
	/* What is encrypted has to be opened yet. */
	if (r == 0 && rc->access->encrypted && rc->access->use >= PAGES_USED)
		r = pages_verify(im, rc->access);
	return r;
}

int stream_load(struct images *im, struct access *a, int fd)
{
	auto_(receiver_done) struct receiver rc = {
		.im = im, .access = a, .fd = fd, .dirfd = -1, .data = malloc(FRAME_MAX)
	};
	int r = rc.data ? receive(&rc) : -ENOMEM;

	if (r == 0)
		r = judge(&rc);
	if (r == 0)
		r = state_judge(im, a, &rc.state);
	return r < 0 ? r : pages_take(&rc);
}

/* ---- to and from a directory ---- */

static bool is_encrypted(const struct bytes *manifest)
{
	return manifest->size >= 8 && !memcmp(manifest->data, CRYPT_MAGIC, 8);
}

static int file_keep(const struct receiver *rc, const char *name, const struct bytes *b)
{
	auto_close int fd =
		openat(rc->dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r = fd < 0 ? -errno : write_full(fd, b->data, b->size);

	if (r == 0 && !rc->one && fsync(fd) < 0)
		r = -errno;
	return r < 0 ? place_fail(rc->dirfd, r, name, "write") : 0;
}

/* What comes afterwards has its place. */
static int later_keep(const struct receiver *rc, size_t file)
{
	const Img__Manifest *m = rc->im->manifest;
	uint64_t later = m && file + 1 < m->n_files ? m->files[file + 1]->later : 0;

	if (!later)
		return 0;
	if (!rc->one)
		return fail(-EBADMSG,
		            "checkpoint %s: is the last round of a migration (--post-copy)",
		            rc->im->dir);
	if (later > PAGES_MAX || ftruncate(rc->pages.v[file].fd, (off_t)later) < 0)
		return place_fail(rc->dirfd, later > PAGES_MAX ? -EFBIG : -errno,
		                  m->files[file + 1]->name, "make room");
	return 0;
}

/* All is there but the manifest, which makes it a checkpoint. */
static int keep_all(struct receiver *rc)
{
	int r = file_keep(rc, STATE_FILE, &rc->state);

	for (size_t i = 0; r == 0 && i < rc->pages.n; i++)
		r = later_keep(rc, i);
	array_each (in, &rc->pages)
		if (r == 0 && !rc->one && fsync(in->fd) < 0)
			r = place_fail(rc->dirfd, -errno, "pages", "fsync");
	if (r == 0 && rc->signature.data)
		r = file_keep(rc, SIGNATURE_FILE, &rc->signature);
	if (r == 0)
		r = file_keep(rc, MANIFEST_TMP, &rc->manifest);
	if (r == 0 && (renameat(rc->dirfd, MANIFEST_TMP, rc->dirfd, MANIFEST_FILE) < 0 ||
	               (!rc->one && fsync(rc->dirfd) < 0)))
		r = place_fail(rc->dirfd, -errno, MANIFEST_FILE, "rename into place");
	return r;
}

/* A manifest that is judged is decrypted in place: it is kept as it came. */
static int judge_copy(struct receiver *rc)
{
	struct bytes own = rc->manifest;
	int r;

	rc->manifest.data = malloc(own.size + 1);
	if (!rc->manifest.data) {
		rc->manifest = own;
		return -ENOMEM;
	}
	memcpy(rc->manifest.data, own.data, own.size);
	r = judge(rc);
	free(rc->manifest.data);
	rc->manifest = own;
	return r;
}

static void remove_all(const struct receiver *rc)
{
	char name[FILE_NAME_MAX];

	unlinkat(rc->dirfd, STATE_FILE, 0);
	unlinkat(rc->dirfd, MANIFEST_TMP, 0);
	unlinkat(rc->dirfd, SIGNATURE_FILE, 0);
	for (size_t i = 0; i < rc->pages.n; i++) {
		snprintf(name, sizeof(name), PAGES_FILE, (unsigned)i);
		unlinkat(rc->dirfd, name, 0);
	}
}

static int unpack_to(struct receiver *rc)
{
	const struct image_keys *keys = rc->access->keys;
	int r = rc->data ? receive(rc) : -ENOMEM;

	if (r == 0 && (!is_encrypted(&rc->manifest) || (keys && keys->has_crypt)))
		r = judge_copy(rc);
	if (r == 0)
		r = keep_all(rc);
	if (r < 0)
		remove_all(rc);
	return r;
}

static int unpack_from(int fd, int dirfd, const struct image_keys *keys, bool one)
{
	struct access a = { .use = PAGES_VERIFIED, .keys = keys };
	auto_close int lock = -1;
	struct images *im;
	int r = place_take(dirfd, &lock);

	if (r == 0)
		r = images_new(IMAGES_STREAM, &im);
	if (r == 0) {
		auto_(receiver_done) struct receiver rc = { .im = im,
			                                    .access = &a,
			                                    .fd = fd,
			                                    .dirfd = dirfd,
			                                    .data = malloc(FRAME_MAX),
			                                    .one = one };

		r = unpack_to(&rc);
		images_free(im);
	}
	return r;
}

int stream_unpack(int fd, int dirfd, const struct image_keys *keys)
{
	return unpack_from(fd, dirfd, keys, false);
}

int stream_unpack_one(int fd, int dirfd, const struct image_keys *keys)
{
	return unpack_from(fd, dirfd, keys, true);
}
