/* Files that are written, one byte after the other. */
#define _GNU_SOURCE
#include "images/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "images/pack.h"
#include "images/place.h"
#include "images/stream.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"

int output_fail(const struct output *o, int r, const char *file, const char *what)
{
	return place_fail(o->dirfd, r, file, what);
}

static int disk_write(struct sink *sink, const void *data, size_t size)
{
	struct image_file *f = (struct image_file *)sink;
	struct stream_out *stream = f->out->stream;
	int r = stream ? stream_put(stream, frame_file(f->name), data, size)
	               : write_full(f->fd, data, size);

	if (r < 0)
		return stream ? r : output_fail(f->out, r, f->name, "write");
	file_hash_update(&f->hash, data, size);
	f->stored += size;
	return 0;
}

static int disk_end(struct sink *sink)
{
	return 0;
}

int image_file_create(struct image_file *f, const struct output *o, const char *name)
{
	*f = (struct image_file){ .out = o, .fd = -1 };
	f->disk = (struct sink){ disk_write, disk_end, NULL, NULL };
	f->first = &f->disk;
	snprintf(f->name, sizeof(f->name), "%s", name);
	if (file_hash_init(&f->hash, output_signs(o) ? o->keys->crypto : NULL) < 0)
		return -ENOMEM;
	if (o->stream)
		return 0;
	f->fd = openat(o->dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
	               o->mode);
	if (f->fd < 0)
		return output_fail(o, -errno, name, "create");
	f->created = true;
	return 0;
}

int image_file_create_sealed(struct image_file *f, const struct output *o, const char *name)
{
	int r = image_file_create(f, o, name);

	if (r == 0 && output_encrypts(o))
		r = crypt_sink_new(crypt_aead(o->keys, &o->crypt, name), &f->disk, &f->first);
	return r;
}

int image_file_create_pages(struct image_file *f, const struct output *o, const char *name)
{
	int r = image_file_create_sealed(f, o, name);

	if (r == 0 && o->compression.codec)
		r = pack_sink_new(&o->compression, f->first, &f->first);
	f->codec = o->compression.codec;
	return r;
}

int image_file_append(struct image_file *f, const void *data, size_t size)
{
	f->size += size;
	return f->first->write(f->first, data, size);
}

/* Of a file that is neither compressed nor encrypted, on a disk. */
static int disk_hole(struct image_file *f, const void *zeros, size_t size)
{
	if (lseek(f->fd, (off_t)size, SEEK_CUR) < 0)
		return output_fail(f->out, -errno, f->name, "leave a hole");
	file_hash_update(&f->hash, zeros, size);
	f->size += size, f->stored += size;
	return 0;
}

int image_file_hole(struct image_file *f, uint64_t size)
{
	static const uint8_t zeros[64 << 10];
	bool plain = f->first == &f->disk && !f->out->stream;
	int r = 0;

	while (r == 0 && size) {
		size_t n = size < sizeof(zeros) ? (size_t)size : sizeof(zeros);

		r = plain ? disk_hole(f, zeros, n) : image_file_append(f, zeros, n);
		size -= n;
	}
	/* The last hole has nothing behind it that would make the file as long. */
	if (r == 0 && plain && ftruncate(f->fd, (off_t)f->stored) < 0)
		r = output_fail(f->out, -errno, f->name, "leave a hole");
	return r;
}

int image_file_lend(struct image_file *f)
{
	bool plain = f->first == &f->disk && !f->out->stream && !output_signs(f->out);

	return plain && !f->size ? f->fd : -1;
}

int image_file_returned(struct image_file *f, uint64_t hash)
{
	struct stat st;

	if (fstat(f->fd, &st) < 0 || (uint64_t)st.st_size != f->size)
		return output_fail(f->out, -EIO, f->name, "another one wrote to it");
	f->stored = f->size;
	f->lent_hash = hash;
	f->lent = true;
	return 0;
}

/* Some file systems (NFS) report a failed write(2) only here. */
int image_file_finish(struct image_file *f, bool sync)
{
	int r = f->first->end(f->first), fd = take_fd(&f->fd);

	if (f->out->stream)
		return r;
	if (r < 0) {
		close(fd);
		return r;
	}
	if (sync && fsync(fd) < 0) {
		r = -errno;
		close(fd);
		return output_fail(f->out, r, f->name, "fsync");
	}
	return close(fd) < 0 ? output_fail(f->out, -errno, f->name, "close") : 0;
}

void image_file_done(struct image_file *f, bool keep)
{
	if (f->fd >= 0)
		close(f->fd);
	if (f->created && !keep)
		unlinkat(f->out->dirfd, f->name, 0);
	if (f->first && f->first->free)
		f->first->free(f->first);
	f->first = NULL;
	file_hash_done(&f->hash);
}

int image_file_list(struct image_file *f, Img__Manifest__File *ret, uint8_t *digest)
{
	img__manifest__file__init(ret);
	ret->name = f->name;
	ret->size = f->stored;
	ret->hash = f->lent ? f->lent_hash : file_hash_digest(&f->hash);
	if (f->later)
		ret->later = f->size;
	if (f->codec) {
		ret->codec = f->codec;
		ret->plain = f->size;
	}
	if (!output_signs(f->out))
		return 0;
	ret->digest = (ProtobufCBinaryData){ CRYPTO_DIGEST, digest };
	return file_hash_sha256(&f->hash, digest) < 0 ? output_fail(f->out, -EIO, f->name, "digest")
	                                              : 0;
}
