/*
 * Fuzzing the decoders of images/. The first byte of an input chooses one:
 *
 *   's'  state.img, then what restore and show do with its records
 *   'm'  manifest.img as it is
 *   'M'  a manifest message: its header with the right checksum is ours, since
 *        no fuzzer finds one
 *   'F'  frames of a stream, whose checksums and numbers are ours: a file and a size
 *        in 256ths of what is left, a byte each, and the bytes
 *   'S'  a stream as it is
 *   'l', 'z'  a compressed page file, by lz4 and zstd; its size is a byte, in half blocks
 *
 * The seeds are written into the corpus directory at the start: one message of
 * every kind, as our own writer makes them.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "images/decode.h"
#include "images/format.h"
#include "images/hash.h"
#include "images/pack.h"
#include "images/pages.h"
#include "images/receive.h"
#include "images/show.h"
#include "images/stream.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/file.pb-c.h"
#include "proto/task.pb-c.h"
#include "proto/thread.pb-c.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A manifest of one page file of 1 MiB, as records may refer to it. */
static int manifest_fake(struct images *im)
{
	static Img__Manifest__File state, pages;
	static Img__Manifest__File *files[] = { &state, &pages };
	static Img__Manifest manifest;

	img__manifest__file__init(&state);
	img__manifest__file__init(&pages);
	img__manifest__init(&manifest);
	pages.size = 1 << 20;
	manifest.page_size = 4096;
	manifest.n_files = 2;
	manifest.files = files;
	im->manifest = &manifest;
	im->pages = malloc(sizeof(*im->pages));
	if (!im->pages)
		return -1;
	im->pages[0] = -1;
	im->npages = 1;
	return 0;
}

static void state_try(struct images *im, const uint8_t *data, size_t size)
{
	FILE *null = fopen("/dev/null", "we");

	if (null && manifest_fake(im) == 0 && state_decode(im, data, size) == 0) {
		images_print(im, false, null);
		images_print(im, true, null);
	}
	if (null)
		fclose(null);
}

static void manifest_try(struct images *im, const uint8_t *data, size_t size)
{
	struct manifest_header h = { .magic = MANIFEST_MAGIC, .version = FORMAT_VERSION };
	auto_free uint8_t *whole = malloc(sizeof(h) + size);

	if (!whole)
		return;
	h.size = (uint32_t)size;
	h.hash = XXH3_64bits(data, size);
	memcpy(whole, &h, sizeof(h));
	memcpy(whole + sizeof(h), data, size);
	manifest_decode(im, whole, sizeof(h) + size);
}

/* Whatever comes out has the right size. */
static void pack_try(struct images *im, uint32_t codec, const uint8_t *data, size_t size)
{
	if (!size || manifest_fake(im) < 0)
		return;
	im->manifest->files[1]->codec = codec;
	im->manifest->files[1]->name = (char *)"pages-0.img";
	im->content = malloc(sizeof(*im->content));
	im->plain = malloc(sizeof(*im->plain));
	im->own = calloc(1, sizeof(*im->own));
	im->pages[0] = memfd_create("fuzz", MFD_CLOEXEC);
	if (!im->content || !im->plain || !im->own || im->pages[0] < 0)
		return;
	im->content[0] = size - 1;
	im->plain[0] = data[0] % 8 * (uint64_t)PACK_BLOCK / 2;
	if (pwrite(im->pages[0], data + 1, size - 1, 0) != (ssize_t)size - 1)
		return;
	if (pack_size_check(size - 1, im->plain[0]) == 0 && pages_unpack(im) == 0 &&
	    lseek(im->pages[0], 0, SEEK_END) != (off_t)im->plain[0])
		abort();
	im->manifest->files[1]->codec = 0;
}

static void stream_try(struct images *im, int fd)
{
	struct access a = { .use = PAGES_USED };

	if (fd >= 0 && lseek(fd, 0, SEEK_SET) == 0)
		stream_load(im, &a, fd);
}

static void frames_write(int fd, const uint8_t *data, size_t size)
{
	static const uint32_t special[] = { FRAME_END, FRAME_MANIFEST, FRAME_SIGNATURE };
	const struct stream_header header = { .magic = STREAM_MAGIC, .version = STREAM_VERSION };
	bool ok = write(fd, &header, sizeof(header)) == sizeof(header);

	for (uint64_t number = 0; ok && size >= 2; number++) {
		struct frame_header h = { .number = number, .file = data[0] };

		if (data[0] >= 253)
			h.file = special[data[0] - 253];
		size -= 2;
		h.size = (uint32_t)(data[1] == 255 ? size : size * data[1] / 256);
		data += 2;
		h.hash = frame_hash(&h, data);
		ok = write(fd, &h, sizeof(h)) == sizeof(h) &&
		     write(fd, data, h.size) == (ssize_t)h.size;
		data += h.size, size -= h.size;
	}
}

static void any_stream_try(struct images *im, bool forge, const uint8_t *data, size_t size)
{
	auto_close int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd >= 0 && forge)
		frames_write(fd, data, size);
	if (fd < 0 || (!forge && write(fd, data, size) != (ssize_t)size))
		return;
	stream_try(im, fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct images *im;

	if (!size || images_new("fuzz", &im) < 0)
		return 0;
	if (data[0] == 's')
		state_try(im, data + 1, size - 1);
	else if (data[0] == 'm')
		manifest_decode(im, data + 1, size - 1);
	else if (data[0] == 'M')
		manifest_try(im, data + 1, size - 1);
	else if (data[0] == 'l' || data[0] == 'z')
		pack_try(im, data[0] == 'l' ? CODEC_LZ4 : CODEC_ZSTD, data + 1, size - 1);
	else if (data[0] == 'F' || data[0] == 'S')
		any_stream_try(im, data[0] == 'F', data + 1, size - 1);
	images_free(im);
	log_forget();
	log_losses_forget(); /* or each of them looks like a leak, and is looked for */
	return 0;
}

/* ---- seeds ---- */

static void seed_write(const char *dir, const char *name, char which, const char *from, size_t skip)
{
	char path[PATH_MAX], data[65536];
	FILE *in = fopen(from, "re"), *out;
	size_t n = in ? fread(data, 1, sizeof(data), in) : 0;

	snprintf(path, sizeof(path), "%s/seed-%s", dir, name);
	out = fopen(path, "we");
	if (out) {
		fputc(which, out);
		if (n > skip)
			fwrite(data + skip, 1, n - skip, out);
		fclose(out);
	}
	if (in)
		fclose(in);
}

static void put_kind(struct image_writer *w, uint32_t kind)
{
	const ProtobufCMessageDescriptor *desc = kind_descriptor(kind);
	auto_free ProtobufCMessage *msg = malloc(desc->sizeof_message);
	Img__File file = IMG__FILE__INIT;

	if (!msg)
		return;
	desc->message_init(msg);
	if (kind_family(kind) == FAMILY_FD) {
		file.id = file.kind = kind;
		file.flags = 2;
		image_put(w, KIND_file, kind, &file.base);
	}
	image_put(w, kind, kind_family(kind) == FAMILY_FD ? kind : 41, msg);
}

static void put_all(struct image_writer *w)
{
	uint32_t tids[] = { 41, 42 };
	uint64_t start[] = { 0x400, 3 }, count[] = { 1, 2 };
	uint8_t regs[27] = { 1, 2, 3 };
	char comm[] = "redis";
	Img__Task task = IMG__TASK__INIT;
	Img__Thread thread = IMG__THREAD__INIT;
	Img__Pages pages = IMG__PAGES__INIT;

	task.pid = thread.tid = 41;
	task.tids = tids;
	task.n_tids = 2;
	task.comm = thread.comm = comm;
	thread.regs = (ProtobufCBinaryData){ sizeof(regs), regs };
	pages.start = start;
	pages.count = count;
	pages.n_start = pages.n_count = 2;
	image_put(w, KIND_task, 41, &task.base);
	image_put(w, KIND_thread, 41, &thread.base);
	image_put(w, KIND_pages, 41, &pages.base);
	for (uint32_t k = 0; k < KIND_LIMIT; k++)
		if (kind_family(k) == FAMILY_FD || kind_family(k) == FAMILY_ASPECT)
			put_kind(w, k);
}

static void seeds_write(const char *corpus)
{
	static const char *const files[] = { "state.img", "manifest.img", "pages-0.img" };
	char dir[] = "/tmp/crtool-fuzz-XXXXXX", path[PATH_MAX];
	auto_close int fd = mkdtemp(dir) ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	Img__Manifest__Parent parent = IMG__MANIFEST__PARENT__INIT;
	Img__Manifest m = IMG__MANIFEST__INIT;
	uint8_t id[CHAIN_ID] = { 1 };
	char above[] = "../1";
	struct image_writer *w;
	struct pages_file *p;

	if (fd < 0 || image_writer_new(fd, 0600, NULL, &w) < 0)
		return;
	put_all(w);
	image_add_pages(w, &p);
	m.page_size = 4096;
	m.id = parent.id = (ProtobufCBinaryData){ sizeof(id), id };
	parent.path = above;
	m.parent = &parent;
	image_seal(w, &m, false);
	image_writer_free(w);
	snprintf(path, sizeof(path), "%s/state.img", dir);
	seed_write(corpus, "state", 's', path, 0);
	snprintf(path, sizeof(path), "%s/manifest.img", dir);
	seed_write(corpus, "manifest", 'm', path, 0);
	seed_write(corpus, "message", 'M', path, sizeof(struct manifest_header));
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		unlinkat(fd, files[i], 0);
	rmdir(dir);
}

static void write_stream(int fd)
{
	static const char zeros[4096];
	Img__Manifest m = IMG__MANIFEST__INIT;
	struct image_writer *w;
	struct pages_file *p;

	m.page_size = 4096;
	if (image_writer_stream(fd, 1000, NULL, &w) < 0)
		return;
	if (image_add_pages(w, &p) == 0 && pages_file_write(p, zeros, sizeof(zeros)) == 0)
		image_seal(w, &m, false);
	image_writer_free(w);
}

/* The same stream as it is, and as its frames. */
static void seed_stream(const char *dir)
{
	auto_close int fd = memfd_create("seed", MFD_CLOEXEC);
	uint8_t data[16384], *at = data + sizeof(struct stream_header);
	char path[PATH_MAX];
	ssize_t n;
	FILE *file;

	write_stream(fd);
	n = pread(fd, data, sizeof(data), 0);
	snprintf(path, sizeof(path), "%s/seed-stream", dir);
	file = fopen(path, "we");
	if (!file || n < 0)
		return;
	fputc('S', file);
	fwrite(data, 1, (size_t)n, file);
	fclose(file);
	snprintf(path, sizeof(path), "%s/seed-frames", dir);
	file = fopen(path, "we");
	if (!file)
		return;
	fputc('F', file);
	for (size_t left = (size_t)n - sizeof(struct stream_header); left;) {
		struct frame_header h;
		size_t rest;

		memcpy(&h, at, sizeof(h));
		rest = left - sizeof(h);
		/* so many 256ths are not always exact; nothing shall be lost of them */
		fputc(h.file == FRAME_END        ? 253
		      : h.file == FRAME_MANIFEST ? 254
		                                 : (int)h.file,
		      file);
		fputc(rest ? (int)((h.size * 256 + rest - 1) / rest) & 255 : 0, file);
		fwrite(at + sizeof(h), 1, h.size, file);
		at += sizeof(h) + h.size, left -= sizeof(h) + h.size;
	}
	fclose(file);
}

/* Two blocks, one of which is shorter. */
static void seed_pack(const char *dir, const char *name, char which, enum codec_id id)
{
	const struct compression how = { id, 1 };
	uint8_t *plain = calloc(2, PACK_BLOCK), *out = malloc(2 * PACK_BLOCK);
	char path[PATH_MAX];
	struct codec *c = NULL;
	FILE *file = NULL;

	snprintf(path, sizeof(path), "%s/seed-%s", dir, name);
	if (plain && out && codec_new(&how, &c) == 0)
		file = fopen(path, "we");
	if (file) {
		uint32_t n[2] = { (uint32_t)codec_pack(c, plain, PACK_BLOCK, out, PACK_BLOCK) };

		n[1] = (uint32_t)codec_pack(c, plain, PACK_BLOCK / 2, out + n[0], PACK_BLOCK);
		fputc(which, file);
		fputc(3, file);
		fwrite(out, 1, n[0] + n[1], file);
		fwrite(n, 1, sizeof(n), file);
		fclose(file);
	}
	codec_free(c);
	free(plain);
	free(out);
}

/* The first argument that is no option is the corpus. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	log_setup(LOG_ERROR, NULL);
	for (int i = 1; i < *argc; i++) {
		if ((*argv)[i][0] == '-')
			continue;
		if (access((*argv)[i], W_OK) == 0) {
			seeds_write((*argv)[i]);
			seed_stream((*argv)[i]);
			seed_pack((*argv)[i], "lz4", 'l', CODEC_LZ4);
			seed_pack((*argv)[i], "zstd", 'z', CODEC_ZSTD);
		}
		break;
	}
	return 0;
}
