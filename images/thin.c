/*
 * First the manifest of a parent is replaced, by one that knows the holes: from then on there are
 * zeros for everybody who reads it, so that its checksums are right whether they have been made
 * or not. Only then they are made. Nearer parents come first: they are the ones that somebody might still
 * want to restore, and refuse at once.
 */
#define _GNU_SOURCE
#include "images/thin.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "images/chain.h"
#include "images/decode.h"
#include "images/format.h"
#include "images/holes.h"
#include "images/needed.h"
#include "images/output.h"
#include "images/place.h"
#include "images/receive.h"
#include "lib/cleanup.h"
#include "lib/deadline.h"
#include "lib/fd.h"
#include "lib/log.h"

#define CHUNK     (1u << 20)
#define HOLES_MAX (1u << 19) /* in one checkpoint: its manifest has to list them */

struct holes {
	ARRAY(uint64_t) start;
	ARRAY(uint64_t) end;
};

struct thin {
	struct images *im;
	const struct image_keys *keys;
	bool sync;
	struct neededs needed;
	size_t at; /* in these: the first that is of the file that is next, or behind it */
	uint8_t *buf;
	uint64_t freed;
};

/* One parent. */
struct thin_dir {
	struct thin *t;
	struct images *im;
	size_t n;                   /* files, of which here is ... */
	Img__Manifest__File *files; /* ... what the manifest will say ... */
	uint8_t *digests;
	struct holes *holes; /* ... which is in here */
	int lock;
};

static void thin_done(struct thin *t)
{
	array_done(&t->needed);
	free(t->buf);
	images_free(t->im);
}

static void thin_dir_done(struct thin_dir *d)
{
	for (size_t i = 0; d->holes && i < d->n; i++) {
		array_done(&d->holes[i].start);
		array_done(&d->holes[i].end);
	}
	free(d->holes);
	free(d->files);
	free(d->digests);
	closep(&d->lock);
}

/* ---- can it be done? ---- */

static int open_to_change(const struct images *im, size_t file)
{
	const char *name = im->manifest->files[file + 1]->name;
	int fd = openat(im->dirfd, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	return fd < 0 ? fail(-errno, "checkpoint %s: %s: open to remove pages", im->dir, name) : fd;
}

/* A hole behind its end changes nothing. */
static int probe(const struct images *im)
{
	auto_close int fd = -1;

	if (im->manifest->n_files < 2)
		return 0;
	fd = open_to_change(im, 0);
	if (fd < 0)
		return fd;
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
	              (off_t)im->manifest->files[1]->size, (off_t)HOLE_PAGE) < 0)
		return fail(
			errno == EOPNOTSUPP ? -ENOTSUP : -errno,
			"checkpoint %s: --dedup: its file system cannot make holes in files; fold "
			"the chain with crtool squash",
			im->dir);
	return 0;
}

static int fail_encrypted(const char *dir)
{
	return fail(
		-ENOTSUP,
		"checkpoint %s: --dedup: no pages can be removed from what is encrypted; fold the "
		"chain with crtool squash",
		dir);
}

static int check_one(const struct images *im, const struct image_keys *keys)
{
	if (dir_is_encrypted(im->dirfd) == 1)
		return fail_encrypted(im->dir);
	for (size_t i = 1; i < im->manifest->n_files; i++)
		if (im->manifest->files[i]->codec)
			return fail(-ENOTSUP,
			            "checkpoint %s: --dedup: no pages can be removed from what is "
			            "compressed; fold the chain with crtool squash",
			            im->dir);
	if (im->manifest->files[0]->digest.len && !(keys && keys->has_sign))
		return fail(-EINVAL, "checkpoint %s: is signed; give the key, too (--sign)",
		            im->dir);
	return probe(im);
}

int thin_check(const struct images *first, const struct image_keys *keys)
{
	int r = 0;

	for (const struct images *im = first; r == 0 && im; im = im->parent)
		r = check_one(im, keys);
	return r;
}

/* ---- what becomes holes ---- */

static int hole_add(struct holes *h, uint64_t start, uint64_t end)
{
	uint64_t *s, *e;

	if (start >= end)
		return 0;
	s = array_add(&h->start);
	e = array_add(&h->end);
	if (!s || !e)
		return -ENOMEM;
	*s = start;
	*e = end;
	return 0;
}

/* All that nobody needs of page file FILE of the chain. */
static int holes_find(struct thin *t, size_t file, struct holes *ret)
{
	uint64_t done = 0, limit = images_pages_size(t->im, file) / HOLE_PAGE;
	int r = 0;

	for (; r == 0 && t->at < t->needed.n && t->needed.v[t->at].file == file; t->at++) {
		const struct needed *n = &t->needed.v[t->at];
		uint64_t end = (n->end + HOLE_PAGE - 1) / HOLE_PAGE;

		r = hole_add(ret, done, n->start / HOLE_PAGE);
		done = end > done ? end : done;
	}
	return r < 0 ? r : hole_add(ret, done, limit);
}

static int dir_holes(struct thin_dir *d, size_t first)
{
	size_t sum = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < d->n; i++) {
		r = holes_find(d->t, first + i, &d->holes[i]);
		sum += d->holes[i].start.n;
	}
	if (r == 0 && sum > HOLES_MAX)
		return fail(-ENOTSUP,
		            "checkpoint %s: --dedup: what can be removed is in %zu pieces, more "
		            "than the "
		            "%u that it can have; fold the chain with crtool squash",
		            d->im->dir, sum, HOLES_MAX);
	return r;
}

/* ---- the manifest ---- */

static bool same_holes(const Img__Manifest__File *f, const struct holes *h)
{
	size_t size = h->start.n * sizeof(uint64_t);

	return f->n_hole_start == h->start.n &&
	       (!size ||
	        (!memcmp(f->hole_start, h->start.v, size) && !memcmp(f->hole_end, h->end.v, size)));
}

/* The sums of a file before and with its holes, in one pass: nothing is vouched for that was not seen. */
struct sums {
	struct file_hash before, after;
};

static void sums_done(struct sums *s)
{
	file_hash_done(&s->before);
	file_hash_done(&s->after);
}

static int sums_read(struct thin_dir *d, size_t i, struct sums *s)
{
	const Img__Manifest__File *listed = d->im->manifest->files[i + 1];
	uint8_t *buf = d->t->buf;
	int r = 0;

	for (uint64_t at = 0; r == 0 && at < listed->size; at += CHUNK) {
		size_t n = listed->size - at < CHUNK ? (size_t)(listed->size - at) : CHUNK;

		if (interrupted())
			return fail(-EINTR, "checkpoint %s: interrupted; --dedup can be done again",
			            d->im->dir);
		r = pread_full(d->im->pages[i], buf, n, (off_t)at);
		if (r < 0)
			return fail(r, "checkpoint %s: %s: read", d->im->dir, listed->name);
		holes_blank(listed, at, buf, n);
		file_hash_update(&s->before, buf, n);
		holes_blank(&d->files[i], at, buf, n);
		file_hash_update(&s->after, buf, n);
	}
	return r;
}

static int file_sums(struct thin_dir *d, size_t i)
{
	const struct access a = { .use = PAGES_VERIFIED, .keys = d->t->keys };
	const struct crypto *crypto = access_verifies(&a) ? a.keys->crypto : NULL;
	uint8_t *digest = d->digests + i * CRYPTO_DIGEST, old[CRYPTO_DIGEST];
	auto_(sums_done) struct sums s = {};
	uint64_t hash = 0;
	int r = file_hash_init(&s.before, crypto);

	if (r == 0)
		r = file_hash_init(&s.after, crypto);
	if (r == 0)
		r = sums_read(d, i, &s);
	if (r < 0)
		return r;
	hash = file_hash_digest(&s.before);
	d->files[i].hash = file_hash_digest(&s.after);
	if (crypto) {
		r = file_hash_sha256(&s.before, old);
		if (r == 0)
			r = file_hash_sha256(&s.after, digest);
		d->files[i].digest = (ProtobufCBinaryData){ CRYPTO_DIGEST, digest };
	}
	return r < 0 ? r : sums_judge(d->im, &a, i + 1, hash, old);
}

/* What the manifest says of file I from now on. */
static int file_list(struct thin_dir *d, size_t i, bool *changed)
{
	const struct holes *h = &d->holes[i];

	d->files[i] = *d->im->manifest->files[i + 1];
	if (same_holes(&d->files[i], h))
		return 0;
	*changed = true;
	d->files[i].n_hole_start = d->files[i].n_hole_end = h->start.n;
	d->files[i].hole_start = h->start.v;
	d->files[i].hole_end = h->end.v;
	return file_sums(d, i);
}

static int dir_replace(struct thin_dir *d)
{
	struct output out = { .dirfd = d->im->dirfd, .keys = d->t->keys };
	auto_free Img__Manifest__File **list = calloc(d->n + 1, sizeof(*list));
	Img__Manifest whole = *d->im->manifest;
	struct stat st;
	int r;

	if (!list)
		return -ENOMEM;
	if (fstatat(out.dirfd, MANIFEST_FILE, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return output_fail(&out, -errno, MANIFEST_FILE, "stat");
	out.mode = st.st_mode & 0666;
	list[0] = whole.files[0];
	for (size_t i = 0; i < d->n; i++)
		list[i + 1] = &d->files[i];
	whole.files = list;
	r = manifest_replace(&out, &whole, d->t->sync);
	/* What is removed must not be found missing by the manifest that was there before. */
	if (r == 0 && d->t->sync && fsync(out.dirfd) < 0)
		return output_fail(&out, -errno, ".", "fsync");
	return r;
}

/* ---- the files ---- */

static uint64_t blocks(int fd)
{
	struct stat st = {};

	fstat(fd, &st);
	return (uint64_t)st.st_blocks * 512;
}

static int file_punch(struct thin_dir *d, size_t i)
{
	const struct holes *h = &d->holes[i];
	auto_close int fd = open_to_change(d->im, i);
	uint64_t before;

	if (fd < 0)
		return fd;
	before = blocks(fd);
	for (size_t k = 0; k < h->start.n; k++)
		if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		              (off_t)(h->start.v[k] * HOLE_PAGE),
		              (off_t)((h->end.v[k] - h->start.v[k]) * HOLE_PAGE)) < 0)
			return fail(-errno, "checkpoint %s: %s: remove pages", d->im->dir,
			            d->im->manifest->files[i + 1]->name);
	before -= blocks(fd);
	d->t->freed += (int64_t)before > 0 ? before : 0;
	return 0;
}

static int dir_thin(struct thin *t, struct images *im, size_t first)
{
	auto_(thin_dir_done) struct thin_dir d = {
		.t = t, .im = im, .n = im->manifest->n_files - 1, .lock = -1
	};
	bool changed = false;
	int r = place_hold(im->dirfd, &d.lock);

	d.files = calloc(d.n + 1, sizeof(*d.files));
	d.digests = calloc(d.n + 1, CRYPTO_DIGEST);
	d.holes = calloc(d.n + 1, sizeof(*d.holes));
	if (!d.files || !d.digests || !d.holes)
		return -ENOMEM;
	if (r == 0)
		r = dir_holes(&d, first);
	for (size_t i = 0; r == 0 && i < d.n; i++)
		r = file_list(&d, i, &changed);
	if (r == 0 && changed)
		r = dir_replace(&d);
	for (size_t i = 0; r == 0 && i < d.n; i++)
		if (d.holes[i].start.n)
			r = file_punch(&d, i);
	return r;
}

/* ---- the whole ---- */

/* Before others lose anything, it must be whole itself. */
static int load(struct thin *t, const char *dir, int dirfd)
{
	struct access own = { .use = PAGES_VERIFIED, .keys = t->keys };
	struct access parents = { .use = PAGES_FOUND, .keys = t->keys };
	int r = dir_is_encrypted(dirfd) == 1 ? fail_encrypted(dir) : images_new(dir, &t->im);

	if (r == 0)
		r = images_load(t->im, &own, true);
	if (r == 0)
		r = holes_refuse(t->im);
	if (r == 0)
		r = chain_load(t->im, &parents);
	if (r == 0)
		r = thin_check(t->im->parent, t->keys);
	return r < 0 || !t->im->parent ? r : needed_find(t->im, t->im->own_pages, &t->needed);
}

int thin(const char *dir, const struct image_keys *keys, bool sync, struct thinned *ret)
{
	auto_(thin_done) struct thin t = { .keys = keys, .sync = sync, .buf = malloc(CHUNK) };
	auto_close int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), lock = -1;
	int r = fd < 0 ? images_explain_open(-errno, dir) : place_hold(fd, &lock);
	size_t first;

	*ret = (struct thinned){};
	if (r == 0 && !t.buf)
		r = -ENOMEM;
	if (r == 0)
		r = load(&t, dir, fd);
	if (r < 0)
		return r;
	first = t.im->own_pages;
	for (struct images *p = t.im->parent; r == 0 && p; p = p->parent) {
		r = dir_thin(&t, p, first);
		first += p->own_pages;
		ret->parents++;
	}
	ret->freed = t.freed;
	return r;
}
