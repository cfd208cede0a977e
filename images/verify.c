/*
 * Verifying page files: the pieces of all files are taken one by one by a few
 * threads. It is bound by copying from the page cache, 8 GB/s and core; to map
 * the file instead is not faster on tmpfs, and whoever cuts the file off
 * meanwhile would kill us.
 */
#define _GNU_SOURCE
#include "images/verify.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>

#include "images/decode.h"
#include "images/format.h"
#include "images/hash.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"

#define CHUNK       (512u << 10)
#define THREADS_MAX 16

int state_verify(const struct images *im, const uint8_t *data, size_t size)
{
	struct file_hash h = {};
	uint64_t hash = 0;
	int r = file_hash_init(&h);

	if (r == 0) {
		file_hash_update(&h, data, size);
		hash = file_hash_digest(&h);
	}
	file_hash_done(&h);
	if (r == 0 && hash != im->manifest->files[0]->hash)
		return fail(-EBADMSG,
		            "checkpoint %s: " STATE_FILE
		            ": wrong checksum of its %zu bytes; " DAMAGED,
		            im->dir, size);
	return r;
}

/* A piece of a page file, to be hashed. */
struct piece {
	uint32_t file;
	uint64_t at, size;
	int result;
	uint64_t hash;
};

struct verification {
	const struct images *im;
	ARRAY(struct piece) pieces; /* of all files, in order */
	size_t next;                /* not taken yet */
};

static uint64_t pages_size(const struct images *im, size_t file)
{
	return im->manifest->files[file + 1]->size;
}

static int pieces_list(struct verification *v)
{
	for (size_t i = 0; i < v->im->npages; i++) {
		uint64_t size = pages_size(v->im, i);

		for (uint64_t at = 0; at < size; at += HASH_PIECE) {
			struct piece *p = array_add(&v->pieces);

			if (!p)
				return -ENOMEM;
			p->file = (uint32_t)i;
			p->at = at;
			p->size = size - at < HASH_PIECE ? size - at : HASH_PIECE;
		}
	}
	return 0;
}

static int piece_hash(struct piece *p, int fd, XXH3_state_t *hash, uint8_t *buf)
{
	XXH3_64bits_reset(hash);
	for (uint64_t done = 0; done < p->size;) {
		size_t n = p->size - done < CHUNK ? (size_t)(p->size - done) : CHUNK;
		int r = pread_full(fd, buf, n, (off_t)(p->at + done));

		if (r < 0)
			return r;
		XXH3_64bits_update(hash, buf, n);
		done += n;
	}
	p->hash = XXH3_64bits_digest(hash);
	return 0;
}

static void *verify_some(void *arg)
{
	struct verification *v = arg;
	auto_free uint8_t *buf = malloc(CHUNK);
	XXH3_state_t *hash = XXH3_createState();
	size_t i;

	while ((i = __atomic_fetch_add(&v->next, 1, __ATOMIC_RELAXED)) < v->pieces.n) {
		struct piece *p = &v->pieces.v[i];

		p->result = buf && hash ? piece_hash(p, v->im->pages[p->file], hash, buf) : -ENOMEM;
	}
	XXH3_freeState(hash);
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

	while (n + 1 < want && n + 1 < v->pieces.n && n < THREADS_MAX &&
	       !pthread_create(&helpers[n], NULL, verify_some, v))
		n++;
	verify_some(v);
	while (n)
		pthread_join(helpers[--n], NULL);
}

/* Judge one file by its pieces, the first of which is FIRST. */
static int file_judge(const struct images *im, uint32_t file, const struct piece *first)
{
	uint64_t size = pages_size(im, file);
	size_t n = (size_t)(size / HASH_PIECE + (size % HASH_PIECE != 0));
	auto_free uint64_t *hashes = calloc(n + 1, sizeof(*hashes));

	if (!hashes)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		if (first[i].result < 0)
			return fail(first[i].result,
			            "checkpoint %s: " PAGES_FILE ": read at %" PRIu64, im->dir,
			            file, first[i].at);
		hashes[i] = first[i].hash;
	}
	if (pieces_hash(hashes, n) != im->manifest->files[file + 1]->hash)
		return fail(-EBADMSG,
		            "checkpoint %s: " PAGES_FILE ": wrong checksum of its %" PRIu64
		            " bytes; " DAMAGED,
		            im->dir, file, size);
	return 0;
}

int pages_verify(const struct images *im)
{
	struct verification v = { .im = im };
	int r = pieces_list(&v);
	size_t first = 0;

	if (r == 0)
		verify_all(&v);
	for (uint32_t i = 0; r == 0 && i < im->npages; i++) {
		r = file_judge(im, i, v.pieces.v + first);
		while (first < v.pieces.n && v.pieces.v[first].file == i)
			first++;
	}
	array_done(&v.pieces);
	return r;
}
