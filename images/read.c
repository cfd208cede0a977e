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

#include "images/chain.h"
#include "images/decode.h"
#include "images/format.h"
#include "images/heap.h"
#include "images/holes.h"
#include "images/judge.h"
#include "images/pack.h"
#include "images/receive.h"
#include "images/pieces.h"
#include "images/spend.h"
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
	uint64_t size, wanted = listed->later ? listed->later : listed->size;
	auto_close int fd = file_open(im, name, &size);

	if (fd == -ENOENT)
		return fail(-EBADMSG, "checkpoint %s: %s is missing; " DAMAGED, im->dir, name);
	if (fd == -EBADMSG || fd == -ELOOP)
		return fail(-EBADMSG, "checkpoint %s: %s is not a regular file; " DAMAGED, im->dir,
		            name);
	if (fd < 0)
		return fail(fd, "checkpoint %s: %s", im->dir, name);
	if (size != wanted)
		return fail(-EBADMSG,
		            "checkpoint %s: %s: %" PRIu64 " bytes instead of %" PRIu64 "; " DAMAGED,
		            im->dir, name, size, wanted);
	return take_fd(&fd);
}

/* All SIZE bytes of a file. */
static int small_read(const struct images *im, int fd, const char *name, uint64_t size,
                      struct bytes *ret)
{
	int r;

	ret->data = malloc(size + 1);
	ret->size = size;
	if (!ret->data)
		return -ENOMEM;
	r = read_full(fd, ret->data, size);
	return r < 0 ? fail(r, "checkpoint %s: %s: read", im->dir, name) : 0;
}

static int manifest_open(const struct images *im, uint64_t *ret_size)
{
	auto_close int fd = file_open(im, MANIFEST_FILE, ret_size);

	if (fd == -ENOENT)
		return fail(-ENOENT,
		            "no checkpoint in %s: " MANIFEST_FILE
		            " is missing; the dump did not finish, or it went elsewhere: "
		            "give its directory",
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

/* Whatever is there; who judges it knows how long it has to be. */
static int signature_read(const struct images *im, struct bytes *ret)
{
	uint64_t size;
	auto_close int fd = file_open(im, SIGNATURE_FILE, &size);

	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return fail(fd, "checkpoint %s: " SIGNATURE_FILE, im->dir);
	return small_read(im, fd, SIGNATURE_FILE, size < 4096 ? size : 4096, ret);
}

static int manifest_read(struct images *im, struct access *a)
{
	auto_(bytes_done) struct bytes file = {}, signature = {};
	uint64_t size = 0;
	auto_close int fd = manifest_open(im, &size);
	int r = fd < 0 ? fd : small_read(im, fd, MANIFEST_FILE, size, &file);

	if (r == 0 && access_verifies(a))
		r = signature_read(im, &signature);
	return r < 0 ? r : manifest_judge(im, a, &file, &signature);
}

static int state_read(struct images *im, const struct access *a)
{
	const Img__Manifest__File *listed = im->manifest->files[0];
	auto_close int fd = listed_open(im, STATE_FILE, listed);
	auto_(bytes_done) struct bytes file = {};
	int r;

	if (fd < 0)
		return fd;
	if (listed->size > STATE_MAX)
		return fail(-EBADMSG,
		            "checkpoint %s: " STATE_FILE ": %" PRIu64
		            " bytes are too many; " DAMAGED,
		            im->dir, listed->size);
	r = small_read(im, fd, STATE_FILE, listed->size, &file);
	if (r == 0)
		r = state_verify(im, a, file.data, file.size);
	return r < 0 ? r : state_judge(im, a, &file);
}

bool images_is_later(const struct images *im, size_t file)
{
	return file + 1 < im->manifest->n_files && im->manifest->files[file + 1]->later;
}

uint64_t images_pages_size(const struct images *im, size_t file)
{
	return im->plain ? im->plain[file] : im->manifest->files[file + 1]->size;
}

static int pages_open(struct images *im, const struct access *a)
{
	int r = pages_sizes(im, a);

	while (r == 0 && im->npages < im->manifest->n_files - 1) {
		const Img__Manifest__File *listed = im->manifest->files[im->npages + 1];
		int fd = listed_open(im, listed->name, listed);

		if (fd < 0)
			return fd;
		im->pages[im->npages++] = fd;
	}
	im->own_pages = im->npages;
	return r;
}

/* Page files that can be read as they lie; where there is a key, what it says comes first. */
static bool may_wait(const struct images *im, const struct access *a)
{
	for (size_t i = 1; i < im->manifest->n_files; i++)
		if (im->manifest->files[i]->codec)
			return false;
	return a->use == PAGES_LATER && !im->manifest->parent && !a->encrypted &&
	       !access_verifies(a);
}

int images_explain_open(int r, const char *dir)
{
	return r == -ENOENT
	               ? fail(r,
	                      "checkpoint %s: there is no such directory; give one that a dump "
	                      "was made in",
	                      dir)
	               : fail(r, "checkpoint %s", dir);
}

static int directory_load(struct images *im, struct access *a, bool state)
{
	int r;

	if (im->dirfd < 0)
		im->dirfd = open(im->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (im->dirfd < 0)
		return images_explain_open(-errno, im->dir);
	r = manifest_read(im, a);
	if (r == 0 && state)
		r = state_read(im, a);
	if (r == 0)
		r = pages_open(im, a);
	if (r == 0)
		im->unverified = may_wait(im, a);
	if (r == 0 && a->use >= PAGES_VERIFIED && a->use != PAGES_TRUSTED && !im->unverified)
		r = pages_verify(im, a);
	return r;
}

int images_verify_but(struct images *im)
{
	const struct access a = { .use = PAGES_VERIFIED };
	int r = im->unverified ? pieces_leave(im) : 0;

	return r == 0 && im->unverified ? pages_verify(im, &a) : r;
}

int images_verify_late(struct images *im)
{
	const struct access a = { .use = PAGES_VERIFIED };
	bool awaited = pieces_take(im);
	int r = im->unverified ? pages_verify(im, &a) : 0;

	im->unverified = r < 0 || awaited;
	return r;
}

int images_load(struct images *im, struct access *a, bool state)
{
	int r = strcmp(im->dir, IMAGES_STREAM) ? directory_load(im, a, state)
	                                       : stream_load(im, a, STDIN_FILENO);

	if (r == 0)
		r = chain_check(im);
	return r == 0 && a->use >= PAGES_USED ? pages_unpack(im) : r;
}

int images_read(const char *dir, enum pages_use use, const struct image_keys *keys,
                struct images **ret)
{
	struct access a = { .use = use, .keys = keys };
	struct images *im;
	int r = images_new(dir, &im);

	if (r < 0)
		return r;
	r = images_load(im, &a, true);
	if (r == 0 && use != PAGES_LEFT)
		r = holes_refuse(im);
	if (r == 0 && (use != PAGES_LEFT || im->manifest->folded))
		r = chain_load(im, &a);
	if (r < 0) {
		images_free(im);
		return r;
	}
	*ret = im;
	return 0;
}

static void images_free_one(struct images *im)
{
	size_t n = im->parent ? im->own_pages : im->npages;

	for (size_t i = 0; i < n; i++)
		closep(&im->pages[i]);
	images_spend_done(im);
	pieces_done(im);
	free(im->pages);
	free(im->content);
	free(im->plain);
	free(im->own);
	free(im->records);
	if (im->heap)
		heap_done(im->heap);
	free(im->heap);
	free(im->dir);
	if (im->dirfd >= 0)
		close(im->dirfd);
	free(im);
}

void images_free(struct images *im)
{
	while (im) {
		struct images *parent = im->parent;

		images_free_one(im);
		im = parent;
	}
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
