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

#include "images/chain.h"
#include "images/decode.h"
#include "images/judge.h"
#include "images/output.h"
#include "images/place.h"
#include "images/stream.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"

#define CHUNK (256u << 10)

struct pages_file {
	struct image_file file;
	uint32_t index;
};

struct image_writer {
	struct output out;
	int lock; /* ours, for the lock of the directory */
	struct image_file state;
	uint8_t *buf; /* records that are not written yet */
	size_t have, cap;
	ARRAY(struct pages_file *) pages;
	bool sealed;
	/* For image_kept(): all that was written. */
	bool keep;
	uint8_t *kept, *kept_manifest;
	size_t kept_n, kept_cap, kept_manifest_n;
};

static int writer_start(struct image_writer *w)
{
	struct state_header header = { .magic = STATE_MAGIC, .version = FORMAT_VERSION };
	int r = w->out.stream ? 0 : place_take(w->out.dirfd, &w->lock);

	if (r < 0)
		return r;
	if (output_encrypts(&w->out))
		r = crypt_header_new(w->out.keys, &w->out.crypt);
	if (r < 0)
		return fail(r, "encrypt: prepare the keys");
	w->buf = malloc(CHUNK);
	if (!w->buf)
		return -ENOMEM;
	w->cap = CHUNK;
	memcpy(w->buf, &header, sizeof(header));
	w->have = sizeof(header);
	return image_file_create_sealed(&w->state, &w->out, STATE_FILE);
}

static int writer_new(const struct output *out, struct image_writer **ret)
{
	struct image_writer *w = calloc(1, sizeof(*w));
	int r;

	if (!w) {
		stream_out_free(out->stream);
		return -ENOMEM;
	}
	w->out = *out;
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
	return writer_new(&(struct output){ .dirfd = dirfd, .mode = mode, .keys = keys }, ret);
}

int image_writer_stream(int fd, unsigned stall_ms, const struct image_keys *keys,
                        struct image_writer **ret)
{
	struct output how = { .dirfd = -1, .keys = keys };
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
			image_file_done(&(*p)->file, w->sealed);
		free(*p);
	}
	array_done(&w->pages);
	image_file_done(&w->state, w->sealed);
	closep(&w->lock);
	stream_out_free(w->out.stream);
	free(w->kept);
	free(w->kept_manifest);
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
	w->out.compression = *how;
	return 0;
}

static int keep(struct image_writer *w)
{
	if (w->kept_cap - w->kept_n < w->have) {
		size_t cap = 2 * (w->kept_n + w->have);
		uint8_t *more = realloc(w->kept, cap);

		if (!more)
			return -ENOMEM;
		w->kept = more;
		w->kept_cap = cap;
	}
	memcpy(w->kept + w->kept_n, w->buf, w->have);
	w->kept_n += w->have;
	return 0;
}

static int state_flush(struct image_writer *w)
{
	int r = w->keep ? keep(w) : 0;

	if (r == 0)
		r = image_file_append(&w->state, w->buf, w->have);

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
		return output_fail(&w->out, -EFBIG, STATE_FILE, kind_name(kind));
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

static int add_pages(struct image_writer *w, bool later, struct pages_file **ret)
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
	r = later ? image_file_create(&p->file, &w->out, name)
	          : image_file_create_pages(&p->file, &w->out, name);
	if (r < 0)
		return r;
	p->file.later = later;
	*ret = p;
	return 0;
}

int image_add_pages(struct image_writer *w, struct pages_file **ret)
{
	return add_pages(w, false, ret);
}

int image_add_later(struct image_writer *w, struct pages_file **ret)
{
	return add_pages(w, true, ret);
}

void pages_file_grow(struct pages_file *p, uint64_t size)
{
	p->file.size += size;
}

int pages_file_lend(struct pages_file *p)
{
	return image_file_lend(&p->file);
}

int pages_file_returned(struct pages_file *p, uint64_t hash)
{
	return image_file_returned(&p->file, hash);
}

int pages_file_fail(const struct pages_file *p, int r)
{
	return output_fail(p->file.out, r, p->file.name, "write");
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
	return image_file_append(&p->file, data, size);
}

/* The names of all the files of the checkpoint, state.img first, the pages by index. */
static int manifest_list(struct image_writer *w, const Img__Manifest *manifest, bool sync)
{
	size_t n = w->pages.n + 1;
	auto_free Img__Manifest__File *files = calloc(n, sizeof(*files));
	auto_free Img__Manifest__File **list = calloc(n, sizeof(*list));
	auto_free uint8_t *digests = calloc(n, CRYPTO_DIGEST);
	Img__Manifest whole = *manifest;
	int r = 0;

	if (!files || !list || !digests)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < n; i++) {
		struct image_file *f = i ? &w->pages.v[i - 1]->file : &w->state;

		list[i] = &files[i];
		r = image_file_list(f, list[i], digests + i * CRYPTO_DIGEST);
	}
	if (r < 0)
		return r;
	whole.n_files = n;
	whole.files = list;
	if (w->keep)
		r = manifest_bytes(&w->out, &whole, &w->kept_manifest, &w->kept_manifest_n);
	return r < 0 ? r : manifest_write(&w->out, &whole, sync);
}

int image_seal(struct image_writer *w, const Img__Manifest *manifest, bool sync)
{
	int r = state_flush(w);

	if (r == 0)
		r = image_file_finish(&w->state, sync);
	for (size_t i = 0; r == 0 && i < w->pages.n; i++)
		r = image_file_finish(&w->pages.v[i]->file, sync);
	if (r == 0)
		r = manifest_list(w, manifest, sync);
	if (r == 0 && sync && !w->out.stream && fsync(w->out.dirfd) < 0) {
		r = output_fail(&w->out, -errno, ".", "fsync");
		unlinkat(w->out.dirfd, MANIFEST_FILE, 0);
		if (output_signs(&w->out))
			unlinkat(w->out.dirfd, SIGNATURE_FILE, 0);
	}
	w->sealed = r == 0;
	return r;
}

void image_keep(struct image_writer *w)
{
	w->keep = true;
}

int image_kept(struct image_writer *w, struct images *parent, struct images **ret)
{
	struct access plain = { .use = PAGES_FOUND };
	struct images *im;
	int r = images_new("that was sent", &im);

	if (r < 0)
		return r;
	r = manifest_decode(im, w->kept_manifest, w->kept_manifest_n);
	if (r == 0)
		r = state_decode(im, w->kept, w->kept_n);
	if (r == 0)
		r = pages_sizes(im, &plain);
	if (r == 0)
		r = chain_join(im, parent);
	if (r < 0)
		images_free(im);
	else
		*ret = im;
	return r;
}

uint64_t image_size(const struct image_writer *w)
{
	uint64_t sum = w->state.stored;

	array_each (p, &w->pages)
		sum += (*p)->file.stored;
	return sum;
}
