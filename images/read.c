/*
 * Reading a checkpoint: nothing in it is believed. The names of the files are
 * ours, the manifest only confirms them; each must have the size and the
 * checksum that the manifest says before it is decoded. The page files are
 * left open; they are hashed by several threads, one file each.
 */
#define _GNU_SOURCE
#include "images/images.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <sys/stat.h>

#include "images/decode.h"
#include "images/format.h"
#include "images/hash.h"
#include "images/heap.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"

#define CHUNK       (256u << 10)
#define THREADS_MAX 16

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
	if (XXH3_64bits(data, listed->size) != listed->hash)
		return fail(-EBADMSG,
		            "checkpoint %s: " STATE_FILE ": wrong checksum of its %" PRIu64
		            " bytes; " DAMAGED,
		            im->dir, listed->size);
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

/* The page files, taken one by one by the threads. */
struct verification {
	const struct images *im;
	size_t next;
	int *result; /* by index: 0, -EBADMSG for a wrong checksum, -errno */
};

static int pages_hash(int fd, uint64_t size, uint8_t *buf, uint64_t *ret)
{
	XXH3_state_t *hash = XXH3_createState();
	int r = hash && XXH3_64bits_reset(hash) == XXH_OK ? 0 : -ENOMEM;

	for (uint64_t at = 0; r == 0 && at < size;) {
		size_t n = size - at < CHUNK ? (size_t)(size - at) : CHUNK;

		r = pread_full(fd, buf, n, (off_t)at);
		if (r < 0)
			break;
		XXH3_64bits_update(hash, buf, n);
		at += n;
	}
	if (r == 0)
		*ret = XXH3_64bits_digest(hash);
	XXH3_freeState(hash);
	return r;
}

static void *verify_some(void *arg)
{
	struct verification *v = arg;
	const struct images *im = v->im;
	auto_free uint8_t *buf = malloc(CHUNK);
	size_t i;

	while ((i = __atomic_fetch_add(&v->next, 1, __ATOMIC_RELAXED)) < im->npages) {
		const Img__Manifest__File *listed = im->manifest->files[i + 1];
		uint64_t hash = 0;

		v->result[i] = buf ? pages_hash(im->pages[i], listed->size, buf, &hash) : -ENOMEM;
		if (v->result[i] == 0 && hash != listed->hash)
			v->result[i] = -EBADMSG;
	}
	return NULL;
}

static size_t cpus_allowed(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return 1;
	return (size_t)CPU_COUNT(&set);
}

/* This thread takes part; that a helper cannot be started only costs time. */
static void verify_all(struct verification *v)
{
	pthread_t helpers[THREADS_MAX];
	size_t want = cpus_allowed(), n = 0;

	while (n + 1 < want && n + 1 < v->im->npages && n < THREADS_MAX &&
	       !pthread_create(&helpers[n], NULL, verify_some, v))
		n++;
	verify_some(v);
	while (n)
		pthread_join(helpers[--n], NULL);
}

static int pages_verify(const struct images *im)
{
	auto_free int *result = calloc(im->npages + 1, sizeof(*result));
	struct verification v = { .im = im, .result = result };

	if (!result)
		return -ENOMEM;
	verify_all(&v);
	for (size_t i = 0; i < im->npages; i++) {
		if (result[i] == -EBADMSG)
			return fail(-EBADMSG,
			            "checkpoint %s: " PAGES_FILE ": wrong checksum of its %" PRIu64
			            " bytes; " DAMAGED,
			            im->dir, (unsigned)i, im->manifest->files[i + 1]->size);
		if (result[i] < 0)
			return fail(result[i], "checkpoint %s: " PAGES_FILE ": read", im->dir,
			            (unsigned)i);
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
