/*
 * The page files of the parents become page files of the checkpoint itself, behind its own and in
 * the order in which it counted them before: so state.img and its own page files stay as they are,
 * its increments find everything at its number, and only the manifest is replaced, in one moment.
 * What the checkpoint has no use for is left out, as holes.
 */
#define _GNU_SOURCE
#include "images/squash.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "images/chain.h"
#include "images/decode.h"
#include "images/holes.h"
#include "images/needed.h"
#include "images/output.h"
#include "images/place.h"
#include "lib/array.h"
#include "lib/cleanup.h"
#include "lib/deadline.h"
#include "lib/fd.h"
#include "lib/log.h"

#define CHUNK (1u << 20)

struct squash {
	struct images *im;
	struct output out;
	size_t own; /* page files that it has already; those of the parents follow */
	struct neededs needed;
	struct image_file *files; /* of the parents */
	uint8_t *digests, *buf;
	bool sync, sealed;
};

static void squash_done(struct squash *s)
{
	for (size_t i = 0; s->files && i < s->im->npages - s->own; i++)
		image_file_done(&s->files[i], s->sealed);
	free(s->files);
	free(s->digests);
	free(s->buf);
	array_done(&s->needed);
	images_free(s->im);
}

/* ---- the files ---- */

static int copy(struct squash *s, size_t file, struct image_file *to, uint64_t start, uint64_t end)
{
	while (start < end) {
		size_t n = end - start < CHUNK ? (size_t)(end - start) : CHUNK;
		int r = interrupted() ? -EINTR : 0;

		if (r < 0)
			return fail(r, "checkpoint %s: interrupted; nothing was changed",
			            s->im->dir);
		r = pread_full(s->im->pages[file], s->buf, n, (off_t)start);
		if (r < 0)
			return fail(r, "checkpoint %s: read the pages of its parents", s->im->dir);
		r = image_file_append(to, s->buf, n);
		if (r < 0)
			return r;
		start += n;
	}
	return 0;
}

/* Page file FILE, of a parent, into TO: *AT is the first that is needed of it, then the first of the next one. */
static int file_fill(struct squash *s, size_t file, struct image_file *to, size_t *at)
{
	uint64_t done = 0, size = images_pages_size(s->im, file);
	int r = 0;

	for (; r == 0 && *at < s->needed.n && s->needed.v[*at].file == file; ++*at) {
		const struct needed *n = &s->needed.v[*at];

		if (n->start > done) {
			r = image_file_hole(to, n->start - done);
			done = n->start;
		}
		if (r == 0 && n->end > done) {
			r = copy(s, file, to, done, n->end);
			done = n->end;
		}
	}
	return r == 0 && done < size ? image_file_hole(to, size - done) : r;
}

/* The one of that name means nothing: somebody was killed in the middle of this. */
static int file_fold(struct squash *s, size_t file, uint32_t codec, size_t *at)
{
	struct image_file *f = &s->files[file - s->own];
	struct output out = s->out;
	char name[FILE_NAME_MAX];
	int r;

	compression_parse(codec ? codec_name(codec) : NULL, &s->out.compression);
	snprintf(name, sizeof(name), PAGES_FILE, (unsigned)file);
	if (unlinkat(out.dirfd, name, 0) < 0 && errno != ENOENT)
		return output_fail(&out, -errno, name, "remove what was left");
	r = image_file_create_pages(f, &s->out, name);
	if (r == 0)
		r = file_fill(s, file, f, at);
	return r == 0 ? image_file_finish(f, s->sync) : r;
}

static int files_fold(struct squash *s)
{
	size_t file = s->own, at = 0;
	int r = 0;

	for (const struct images *p = s->im->parent; p; p = p->parent)
		for (size_t i = 0; r == 0 && i < p->npages; i++)
			r = file_fold(s, file++, p->manifest->files[i + 1]->codec, &at);
	return r;
}

/* ---- the manifest ---- */

static int manifest_fold(struct squash *s)
{
	size_t folded = s->im->npages - s->own, n = s->own + 1;
	auto_free Img__Manifest__File *files = calloc(folded, sizeof(*files));
	auto_free Img__Manifest__File **list = calloc(n + folded, sizeof(*list));
	Img__Manifest whole = *s->im->manifest;
	int r = 0;

	if (!files || !list)
		return -ENOMEM;
	memcpy(list, whole.files, n * sizeof(*list));
	for (size_t i = 0; r == 0 && i < folded; i++) {
		list[n + i] = &files[i];
		r = image_file_list(&s->files[i], &files[i], s->digests + i * CRYPTO_DIGEST);
	}
	if (r < 0)
		return r;
	whole.files = list;
	whole.n_files = n + folded;
	whole.parent = NULL;
	whole.folded = (uint32_t)folded;
	r = manifest_replace(&s->out, &whole, s->sync);
	s->sealed = r == 0;
	if (r == 0 && s->sync && fsync(s->out.dirfd) < 0)
		return output_fail(&s->out, -errno, ".", "fsync");
	return r;
}

/* ---- the whole ---- */

/* Whoever signs vouches for all files, and those that are there stay as they are. */
static int signed_check(const struct squash *s)
{
	if (s->im->manifest->files[0]->digest.len && !output_signs(&s->out))
		return fail(-EINVAL, "checkpoint %s: is signed; give the key, too (--sign)",
		            s->im->dir);
	return 0;
}

/* Those of the parents are to be read, our own only verified. */
static int load(struct squash *s, const char *dir)
{
	struct access own = { .use = PAGES_VERIFIED, .keys = s->out.keys };
	struct access parents = { .use = PAGES_USED, .keys = s->out.keys };
	int r = images_new(dir, &s->im);

	if (r == 0)
		r = images_load(s->im, &own, true);
	if (r == 0)
		r = holes_refuse(s->im);
	if (r == 0)
		r = chain_load(s->im, &parents);
	if (r < 0)
		return r;
	s->own = s->im->own_pages;
	s->out.dirfd = s->im->dirfd;
	s->out.crypt = own.crypt;
	if (s->im->npages > PAGES_FILES_MAX)
		return fail(-ENOTSUP,
		            "checkpoint %s: it and its parents have %zu page files, more than "
		            "the %u that one can have; squash one of its parents first",
		            dir, s->im->npages, PAGES_FILES_MAX);
	return s->im->parent ? signed_check(s) : 0;
}

static int prepare(struct squash *s)
{
	size_t folded = s->im->npages - s->own;
	struct stat st;

	if (fstatat(s->out.dirfd, MANIFEST_FILE, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return output_fail(&s->out, -errno, MANIFEST_FILE, "stat");
	s->out.mode = st.st_mode & 0666;
	s->files = calloc(folded + 1, sizeof(*s->files));
	s->digests = calloc(folded + 1, CRYPTO_DIGEST);
	s->buf = malloc(CHUNK);
	if (!s->files || !s->digests || !s->buf)
		return -ENOMEM;
	for (size_t i = 0; i < folded; i++)
		s->files[i].fd = -1;
	return needed_find(s->im, s->own, &s->needed);
}

int squash(const char *dir, const struct image_keys *keys, bool sync, size_t *ret_parents)
{
	auto_(squash_done) struct squash s = { .out.keys = keys, .sync = sync };
	auto_close int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), lock = -1;
	int r = fd < 0 ? images_explain_open(-errno, dir) : place_hold(fd, &lock);

	*ret_parents = 0;
	if (r == 0)
		r = load(&s, dir);
	if (r < 0 || !s.im->parent)
		return r;
	for (const struct images *p = s.im->parent; p; p = p->parent)
		++*ret_parents;
	r = prepare(&s);
	if (r == 0)
		r = files_fold(&s);
	return r == 0 ? manifest_fold(&s) : r;
}
