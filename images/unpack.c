/*
 * The way back: what restored tasks read must be readable anywhere, so the
 * pages of compressed files are put into memory, by several threads. Nothing is
 * believed: the index must cover the file exactly, and a block holds as many bytes as
 * it has to, whatever it says itself; so no file becomes more than the
 * manifest tells, which is compared with what the machine has.
 */
#define _GNU_SOURCE
#include "images/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>

#include "images/decode.h"
#include "lib/array.h"
#include "lib/cleanup.h"
#include "lib/cpus.h"
#include "lib/fd.h"
#include "lib/log.h"

#define THREADS_MAX 16

static uint64_t blocks_of(uint64_t plain)
{
	return plain / PACK_BLOCK + (plain % PACK_BLOCK != 0);
}

int pack_size_check(uint64_t size, uint64_t plain)
{
	uint64_t n = blocks_of(plain);

	/* A byte for each block, and its entry in the index. */
	return plain % 4096 || n > size / 5 || (size && !n) ? -EBADMSG : 0;
}

/* Of one file. */
struct unpacking {
	const struct images *im;
	size_t file;
	const struct compression how;
	uint32_t *index;
	uint64_t *at; /* where each block lies */
	size_t n, next;
	int to;
	int result;
	size_t bad; /* the block that RESULT is about */
};

static uint64_t plain_size(const struct unpacking *u, size_t block)
{
	uint64_t left = images_pages_size(u->im, u->file) - (uint64_t)block * PACK_BLOCK;

	return left < PACK_BLOCK ? left : PACK_BLOCK;
}

static const char *name_of(const struct unpacking *u)
{
	return u->im->manifest->files[u->file + 1]->name;
}

/* The blocks, each of a size that can be, fill the file up to the index. */
static int index_check(struct unpacking *u, uint64_t end)
{
	uint64_t at = 0;

	for (size_t i = 0; i < u->n; i++) {
		if (!u->index[i] || u->index[i] > plain_size(u, i))
			return fail(-EBADMSG,
			            "checkpoint %s: %s: block %zu has %" PRIu32
			            " bytes, which cannot be; " DAMAGED,
			            u->im->dir, name_of(u), i, u->index[i]);
		u->at[i] = at;
		at += u->index[i];
	}
	if (at != end)
		return fail(-EBADMSG,
		            "checkpoint %s: %s: the blocks have %" PRIu64
		            " bytes instead of %" PRIu64 "; " DAMAGED,
		            u->im->dir, name_of(u), at, end);
	return 0;
}

static int index_read(struct unpacking *u)
{
	uint64_t size = u->im->content[u->file], end;
	int r;

	u->n = (size_t)blocks_of(images_pages_size(u->im, u->file));
	end = size - u->n * sizeof(*u->index);
	u->index = calloc(u->n + 1, sizeof(*u->index));
	u->at = calloc(u->n + 1, sizeof(*u->at));
	if (!u->index || !u->at)
		return -ENOMEM;
	r = pread_full(u->im->pages[u->file], u->index, u->n * sizeof(*u->index), (off_t)end);
	if (r < 0)
		return fail(r, "checkpoint %s: %s: read its index", u->im->dir, name_of(u));
	return index_check(u, end);
}

/*
 * What lies in memory of our own (a stream) goes as it is unpacked, so that there is never twice as much; but for pages
 * that blocks have in common.
 */
static void block_spend(const struct unpacking *u, size_t i)
{
	if (u->im->own[u->file])
		fallocate(u->im->pages[u->file], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		          (off_t)u->at[i], u->index[i]);
}

static int block_unpack(struct unpacking *u, struct codec *codec, size_t i, uint8_t *packed,
                        uint8_t *out)
{
	uint64_t plain = plain_size(u, i);
	int r = pread_full(u->im->pages[u->file], packed, u->index[i], (off_t)u->at[i]);

	if (r == 0 && u->index[i] < plain)
		r = codec_unpack(codec, packed, u->index[i], out, plain);
	if (r < 0)
		return r;
	r = pwrite_full(u->to, u->index[i] < plain ? out : packed, plain, (off_t)i * PACK_BLOCK);
	if (r == 0)
		block_spend(u, i);
	return r;
}

static void *unpack_some(void *arg)
{
	struct unpacking *u = arg;
	auto_free uint8_t *packed = malloc(PACK_BLOCK), *out = malloc(PACK_BLOCK);
	struct codec *codec = NULL;
	int r = packed && out ? codec_new(&u->how, &codec) : -ENOMEM;
	size_t i = 0;

	while (r == 0 && (i = __atomic_fetch_add(&u->next, 1, __ATOMIC_RELAXED)) < u->n)
		r = block_unpack(u, codec, i, packed, out);
	if (r < 0 && __atomic_exchange_n(&u->result, r, __ATOMIC_SEQ_CST) == 0)
		__atomic_store_n(&u->bad, i, __ATOMIC_SEQ_CST);
	codec_free(codec);
	return NULL;
}

/* This thread takes part; that a helper cannot be started only costs time. */
static int unpack_all(struct unpacking *u)
{
	pthread_t helpers[THREADS_MAX];
	size_t want = cpus_allowed(THREADS_MAX + 1), n = 0;

	while (n + 1 < want && n + 1 < u->n && n < THREADS_MAX &&
	       !pthread_create(&helpers[n], NULL, unpack_some, u))
		n++;
	unpack_some(u);
	while (n)
		pthread_join(helpers[--n], NULL);
	if (u->result == -EBADMSG)
		return fail(
			-EBADMSG,
			"checkpoint %s: %s: block %zu is not what was compressed there; " DAMAGED,
			u->im->dir, name_of(u), u->bad);
	return u->result;
}

static void unpacking_done(struct unpacking *u)
{
	free(u->index);
	free(u->at);
	closep(&u->to);
}

static int file_unpack(struct images *im, size_t file)
{
	const Img__Manifest__File *f = im->manifest->files[file + 1];
	auto_(unpacking_done) struct unpacking u = {
		.im = im, .file = file, .how = { .codec = (enum codec_id)f->codec }, .to = -1
	};
	struct codec *codec;
	int r = codec_new(&u.how, &codec);

	if (r < 0)
		return fail(r,
		            "checkpoint %s: %s: is compressed with %s, whose library is not here",
		            im->dir, f->name, codec_name(f->codec));
	codec_free(codec);
	r = index_read(&u);
	if (r < 0)
		return r;
	u.to = memfd_create(f->name, MFD_CLOEXEC);
	if (u.to < 0 || ftruncate(u.to, (off_t)images_pages_size(im, file)) < 0)
		return fail(-errno, "checkpoint %s: memory for its page files", im->dir);
	r = unpack_all(&u);
	if (r < 0)
		return log_failure() ? r : fail(r, "checkpoint %s: %s: unpack", im->dir, f->name);
	close(im->pages[file]);
	im->pages[file] = take_fd(&u.to);
	im->own[file] = true;
	return 0;
}

/* A few bytes may claim to be a lot: better said than tried. */
static int memory_check(const struct images *im)
{
	uint64_t need = 0, have;
	struct sysinfo info;

	if (sysinfo(&info) < 0)
		return 0;
	have = ((uint64_t)info.totalram + info.totalswap) * info.mem_unit;
	for (size_t i = 0; i < im->npages; i++)
		if (im->manifest->files[i + 1]->codec)
			need += images_pages_size(im, i);
	if (need > have)
		return fail(-ENOMEM,
		            "checkpoint %s: its pages are %" PRIu64
		            " MiB, more than this machine has (%" PRIu64 " MiB)",
		            im->dir, need >> 20, have >> 20);
	return 0;
}

int pages_unpack(struct images *im)
{
	int r = memory_check(im);

	for (size_t i = 0; r == 0 && i < im->npages; i++)
		if (im->manifest->files[i + 1]->codec)
			r = file_unpack(im, i);
	return r;
}
