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

static int manifest_read(struct images *im)
{
	uint64_t size;
	auto_close int fd = file_open(im, MANIFEST_FILE, &size);
	auto_free uint8_t *data = NULL;
	int r;

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
	if (size > MANIFEST_MAX + sizeof(struct manifest_header))
		return fail(-EBADMSG,
		            "checkpoint %s: " MANIFEST_FILE ": %" PRIu64
		            " bytes are too many; " DAMAGED,
		            im->dir, size);
	data = malloc(size + 1);
	if (!data)
		return -ENOMEM;
	r = read_full(fd, data, size);
	if (r < 0)
		return fail(r, "checkpoint %s: " MANIFEST_FILE ": read", im->dir);
	return manifest_decode(im, data, size);
}

static int state_read(struct images *im)
{
	const Img__Manifest__File *listed = im->manifest->files[0];
	auto_close int fd = listed_open(im, STATE_FILE, listed);
	auto_free uint8_t *data = NULL;
	int r;

	if (fd < 0)
		return fd;
	if (listed->size > STATE_MAX)
		return fail(-EBADMSG,
		            "checkpoint %s: " STATE_FILE ": %" PRIu64
		            " bytes are too many; " DAMAGED,
		            im->dir, listed->size);
	data = malloc(listed->size + 1);
	if (!data)
		return -ENOMEM;
	r = read_full(fd, data, listed->size);
	if (r < 0)
		return fail(r, "checkpoint %s: " STATE_FILE ": read", im->dir);
	r = state_verify(im, data, listed->size);
	if (r < 0)
		return r;
	return state_decode(im, data, listed->size);
}

static int pages_open(struct images *im)
{
	size_t n = im->manifest->n_files - 1;

	if (!n)
		return 0;
	im->pages = calloc(n, sizeof(*im->pages));
	if (!im->pages)
		return -ENOMEM;
	while (im->npages < n) {
		char name[FILE_NAME_MAX];
		int fd;

		snprintf(name, sizeof(name), PAGES_FILE, (unsigned)im->npages);
		fd = listed_open(im, name, im->manifest->files[im->npages + 1]);
		if (fd < 0)
			return fd;
		im->pages[im->npages++] = fd;
	}
	return 0;
}

static int images_load(struct images *im, bool verify_pages)
{
	int r;

	im->dirfd = open(im->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (im->dirfd < 0)
		return fail(-errno, "checkpoint %s", im->dir);
	r = manifest_read(im);
	if (r == 0)
		r = state_read(im);
	if (r == 0)
		r = pages_open(im);
	if (r == 0 && verify_pages)
		r = pages_verify(im);
	return r;
}

int images_read(const char *dir, bool verify_pages, struct images **ret)
{
	struct images *im;
	int r = images_new(dir, &im);

	if (r < 0)
		return r;
	r = images_load(im, verify_pages);
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
