/*
 * Writing a checkpoint. All or nothing: the files lie under their names from
 * the start, since a directory without a manifest is not a checkpoint; the
 * manifest is written under a temporary name and renamed when all the rest is
 * there. Whatever ends before that removes the files again.
 *
 * Only one writes at a time (images/place.c). state.img is created first,
 * exclusively. Its records gather in memory and go out in chunks, so that the whole
 * dump of a small process costs one write(2).
 */
#define _GNU_SOURCE
#include "images/images.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "images/crypt.h"
#include "images/format.h"
#include "images/hash.h"
#include "images/pack.h"
#include "images/place.h"
#include "images/stream.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"

#define CHUNK (256u << 10)

/* A file of the checkpoint, with its running checksum. */
struct image_file {
	struct sink disk; /* the last of the chain: hashes and writes */
	struct sink *first;
	struct image_writer *writer;
	char name[FILE_NAME_MAX];
	int fd; /* -1: not created, or sealed */
	bool created;
	uint64_t size;   /* what was written to it ... */
	uint64_t stored; /* ... and is on the disk */
	struct file_hash hash;
};

struct pages_file {
	struct image_file file;
	uint32_t index;
};

struct image_writer {
	int dirfd;                 /* the caller's */
	int lock;                  /* ours, for the lock of the directory */
	struct stream_out *stream; /* instead of all that; or NULL */
	unsigned mode;
	const struct image_keys *keys; /* the caller's, or NULL */
	struct crypt_header crypt;     /* where they have one for it */
	struct compression compression;
	struct image_file state;
	uint8_t *buf; /* records that are not written yet */
	size_t have, cap;
	ARRAY(struct pages_file *) pages;
	bool sealed;
};

static int writer_fail(const struct image_writer *w, int r, const char *file, const char *what)
{
	return place_fail(w->dirfd, r, file, what);
}

static int disk_write(struct sink *sink, const void *data, size_t size)
{
	struct image_file *f = (struct image_file *)sink;
	struct stream_out *stream = f->writer->stream;
	int r = stream ? stream_put(stream, frame_file(f->name), data, size)
	               : write_full(f->fd, data, size);

	if (r < 0)
		return stream ? r : writer_fail(f->writer, r, f->name, "write");
	file_hash_update(&f->hash, data, size);
	f->stored += size;
	return 0;
}

static int disk_end(struct sink *sink)
{
	return 0;
}

static bool encrypts(const struct image_writer *w)
{
	return w->keys && w->keys->has_crypt;
}

static bool signs(const struct image_writer *w)
{
	return w->keys && w->keys->has_sign;
}

/* A file whose bytes go to the disk as they are. */
static int file_create(struct image_file *f, struct image_writer *w, const char *name)
{
	*f = (struct image_file){ .writer = w, .fd = -1 };
	f->disk = (struct sink){ disk_write, disk_end, NULL, NULL };
	f->first = &f->disk;
	snprintf(f->name, sizeof(f->name), "%s", name);
	if (file_hash_init(&f->hash, signs(w) ? w->keys->crypto : NULL) < 0)
		return -ENOMEM;
	if (w->stream)
		return 0;
	f->fd = openat(w->dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
	               w->mode);
	if (f->fd < 0)
		return writer_fail(w, -errno, name, "create");
	f->created = true;
	return 0;
}

/* One that is encrypted, where that was asked for. */
static int file_create_sealed(struct image_file *f, struct image_writer *w, const char *name)
{
	int r = file_create(f, w, name);

	if (r == 0 && encrypts(w))
		r = crypt_sink_new(crypt_aead(w->keys, &w->crypt, name), &f->disk, &f->first);
	return r;
}

/* Page files are compressed, where that was asked for, before they are encrypted. */
static int file_create_pages(struct image_file *f, struct image_writer *w, const char *name)
{
	int r = file_create_sealed(f, w, name);

	if (r == 0 && w->compression.codec)
		r = pack_sink_new(&w->compression, f->first, &f->first);
	return r;
}

static int file_append(struct image_file *f, const void *data, size_t size)
{
	f->size += size;
	return f->first->write(f->first, data, size);
}

/* Some file systems (NFS) report a failed write(2) only here. */
static int file_finish(struct image_file *f, bool sync)
{
	int r = f->first->end(f->first), fd = take_fd(&f->fd);

	if (f->writer->stream)
		return r;
	if (r < 0) {
		close(fd);
		return r;
	}
	if (sync && fsync(fd) < 0) {
		r = -errno;
		close(fd);
		return writer_fail(f->writer, r, f->name, "fsync");
	}
	return close(fd) < 0 ? writer_fail(f->writer, -errno, f->name, "close") : 0;
}

static void file_done(struct image_file *f, bool keep)
{
	if (f->fd >= 0)
		close(f->fd);
	if (f->created && !keep)
		unlinkat(f->writer->dirfd, f->name, 0);
	if (f->first && f->first->free)
		f->first->free(f->first);
	f->first = NULL;
	file_hash_done(&f->hash);
}

static int writer_start(struct image_writer *w)
{
	struct state_header header = { .magic = STATE_MAGIC, .version = FORMAT_VERSION };
	int r = w->stream ? 0 : place_take(w->dirfd, &w->lock);

	if (r < 0)
		return r;
	if (encrypts(w))
		r = crypt_header_new(w->keys, &w->crypt);
	if (r < 0)
		return fail(r, "encrypt: prepare the keys");
	w->buf = malloc(CHUNK);
	if (!w->buf)
		return -ENOMEM;
	w->cap = CHUNK;
	memcpy(w->buf, &header, sizeof(header));
	w->have = sizeof(header);
	return file_create_sealed(&w->state, w, STATE_FILE);
}

static int writer_new(const struct image_writer *how, struct image_writer **ret)
{
	struct image_writer *w = malloc(sizeof(*w));
	int r;

	if (!w) {
		stream_out_free(how->stream);
		return -ENOMEM;
	}
	*w = *how;
	w->lock = w->state.fd = -1;
	r = writer_start(w);
	if (r < 0) {
		image_writer_free(w);
		return r;
	}
	*ret = w;
	return 0;
}

int image_writer_new(int dirfd, unsigned mode, const struct image_keys *keys,
                     struct image_writer **ret)
{
	return writer_new(&(struct image_writer){ .dirfd = dirfd, .mode = mode, .keys = keys },
	                  ret);
}

int image_writer_stream(int fd, unsigned stall_ms, const struct image_keys *keys,
                        struct image_writer **ret)
{
	struct image_writer how = { .dirfd = -1, .keys = keys };
	int r = stream_out_new(fd, stall_ms, &how.stream);

	if (r < 0)
		return r;
	return writer_new(&how, ret);
}

void image_writer_free(struct image_writer *w)
{
	if (!w)
		return;
	array_each (p, &w->pages) {
		if (*p)
			file_done(&(*p)->file, w->sealed);
		free(*p);
	}
	array_done(&w->pages);
	file_done(&w->state, w->sealed);
	closep(&w->lock);
	stream_out_free(w->stream);
	free(w->buf);
	free(w);
}

int image_compress(struct image_writer *w, const struct compression *how)
{
	struct codec *codec;
	int r = codec_new(how, &codec);

	if (r < 0)
		return fail(r, "--compress %s: its library cannot be loaded; install it",
		            codec_name(how->codec));
	codec_free(codec);
	w->compression = *how;
	return 0;
}

static int state_flush(struct image_writer *w)
{
	int r = file_append(&w->state, w->buf, w->have);

	w->have = 0;
	return r;
}

/* Room for SIZE more bytes of state.img. */
static int state_reserve(struct image_writer *w, size_t size)
{
	uint8_t *more;
	int r;

	if (w->cap - w->have >= size)
		return 0;
	r = state_flush(w);
	if (r < 0 || w->cap >= size)
		return r;
	more = realloc(w->buf, size);
	if (!more)
		return -ENOMEM;
	w->buf = more;
	w->cap = size;
	return 0;
}

int image_put(struct image_writer *w, enum record_kind kind, uint32_t owner,
              const ProtobufCMessage *msg)
{
	size_t size = protobuf_c_message_get_packed_size(msg);
	struct record_header header = { .kind = kind, .size = (uint32_t)size, .owner = owner };
	int r;

	assert(msg->descriptor == kind_descriptor(kind));
	if (size > RECORD_MAX)
		return writer_fail(w, -EFBIG, STATE_FILE, kind_name(kind));
	r = state_reserve(w, sizeof(header) + record_padded(size));
	if (r < 0)
		return r;
	memcpy(w->buf + w->have, &header, sizeof(header));
	w->have += sizeof(header);
	protobuf_c_message_pack(msg, w->buf + w->have);
	memset(w->buf + w->have + size, 0, record_padded(size) - size);
	w->have += record_padded(size);
	return 0;
}

int image_add_pages(struct image_writer *w, struct pages_file **ret)
{
	struct pages_file **slot = w->pages.n < PAGES_FILES_MAX ? array_add(&w->pages) : NULL;
	struct pages_file *p = slot ? calloc(1, sizeof(*p)) : NULL;
	char name[FILE_NAME_MAX];
	int r;

	if (!p)
		return -ENOMEM;
	*slot = p;
	p->index = (uint32_t)w->pages.n - 1;
	snprintf(name, sizeof(name), PAGES_FILE, p->index);
	r = file_create_pages(&p->file, w, name);
	if (r < 0)
		return r;
	*ret = p;
	return 0;
}

uint32_t pages_file_index(const struct pages_file *p)
{
	return p->index;
}

uint64_t pages_file_size(const struct pages_file *p)
{
	return p->file.size;
}

int pages_file_write(struct pages_file *p, const void *data, size_t size)
{
	return file_append(&p->file, data, size);
}

/* A small file with all its content. */
static int file_store(struct image_file *f, const void *data, size_t size, bool sync)
{
	int r = file_append(f, data, size);

	return r < 0 ? r : file_finish(f, sync);
}

/* The signature comes first: with the manifest the checkpoint is there. */
static int signature_write(struct image_writer *w, struct image_file *sig, const uint8_t *data,
                           size_t size, bool sync)
{
	uint8_t signature[CRYPTO_SIGNATURE];
	int r = crypto_sign(w->keys->crypto, w->keys->sign, data, size, signature);

	if (r < 0)
		return writer_fail(w, r, SIGNATURE_FILE, "sign");
	r = file_create(sig, w, SIGNATURE_FILE);
	return r < 0 ? r : file_store(sig, signature, sizeof(signature), sync);
}

/* DATA, the bytes of manifest.img as they will be. */
static int manifest_store(struct image_writer *w, const uint8_t *data, size_t size, bool sync)
{
	struct image_file f = { .writer = w, .fd = -1 }, sig = { .writer = w, .fd = -1 };
	int r = signs(w) ? signature_write(w, &sig, data, size, sync) : 0;

	if (r == 0)
		r = file_create(&f, w, MANIFEST_TMP);
	if (r == 0)
		r = file_store(&f, data, size, sync);
	if (r == 0 && w->stream)
		r = stream_end(w->stream);
	else if (r == 0 && renameat(w->dirfd, MANIFEST_TMP, w->dirfd, MANIFEST_FILE) < 0)
		r = writer_fail(w, -errno, MANIFEST_FILE, "rename into place");
	file_done(&f, r == 0);
	file_done(&sig, r == 0);
	return r;
}

static int manifest_encrypt(struct image_writer *w, const uint8_t *data, size_t size, bool sync)
{
	size_t sealed = crypt_sealed_size(size);
	auto_free uint8_t *buf = malloc(sizeof(w->crypt) + sealed);
	struct aead *aead = crypt_aead(w->keys, &w->crypt, MANIFEST_FILE);
	int r = buf && aead ? 0 : -ENOMEM;

	if (r == 0) {
		memcpy(buf, &w->crypt, sizeof(w->crypt));
		r = crypt_seal_all(aead, data, size, buf + sizeof(w->crypt));
	}
	aead_free(aead);
	return r < 0 ? r : manifest_store(w, buf, sizeof(w->crypt) + sealed, sync);
}

static int manifest_write(struct image_writer *w, const Img__Manifest *manifest, bool sync)
{
	struct manifest_header header = { .magic = MANIFEST_MAGIC, .version = FORMAT_VERSION };
	size_t size = img__manifest__get_packed_size(manifest);
	auto_free uint8_t *buf = malloc(sizeof(header) + size);

	if (!buf)
		return -ENOMEM;
	if (size > MANIFEST_MAX)
		return writer_fail(w, -EFBIG, MANIFEST_FILE, "too much to say");
	img__manifest__pack(manifest, buf + sizeof(header));
	header.size = (uint32_t)size;
	header.hash = XXH3_64bits(buf + sizeof(header), size);
	memcpy(buf, &header, sizeof(header));
	size += sizeof(header);
	return encrypts(w) ? manifest_encrypt(w, buf, size, sync)
	                   : manifest_store(w, buf, size, sync);
}

/* The names of all the files of the checkpoint, state.img first, the pages by index. */
static int manifest_list(struct image_writer *w, const Img__Manifest *manifest, bool sync)
{
	size_t n = w->pages.n + 1;
	auto_free Img__Manifest__File *files = calloc(n, sizeof(*files));
	auto_free Img__Manifest__File **list = calloc(n, sizeof(*list));
	auto_free uint8_t *digests = calloc(n, CRYPTO_DIGEST);
	Img__Manifest whole = *manifest;

	if (!files || !list || !digests)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct image_file *f = i ? &w->pages.v[i - 1]->file : &w->state;

		img__manifest__file__init(&files[i]);
		files[i].name = f->name;
		files[i].size = f->stored;
		files[i].hash = file_hash_digest(&f->hash);
		if (i && w->compression.codec) {
			files[i].codec = w->compression.codec;
			files[i].plain = f->size;
		}
		list[i] = &files[i];
		if (!signs(w))
			continue;
		files[i].digest =
			(ProtobufCBinaryData){ CRYPTO_DIGEST, digests + i * CRYPTO_DIGEST };
		if (file_hash_sha256(&f->hash, files[i].digest.data) < 0)
			return writer_fail(w, -EIO, f->name, "digest");
	}
	whole.n_files = n;
	whole.files = list;
	return manifest_write(w, &whole, sync);
}

int image_seal(struct image_writer *w, const Img__Manifest *manifest, bool sync)
{
	int r = state_flush(w);

	if (r == 0)
		r = file_finish(&w->state, sync);
	for (size_t i = 0; r == 0 && i < w->pages.n; i++)
		r = file_finish(&w->pages.v[i]->file, sync);
	if (r == 0)
		r = manifest_list(w, manifest, sync);
	if (r == 0 && sync && !w->stream && fsync(w->dirfd) < 0) {
		r = writer_fail(w, -errno, ".", "fsync");
		unlinkat(w->dirfd, MANIFEST_FILE, 0);
		if (signs(w))
			unlinkat(w->dirfd, SIGNATURE_FILE, 0);
	}
	w->sealed = r == 0;
	return r;
}
