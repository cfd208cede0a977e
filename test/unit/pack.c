/* Compressed page files: what comes back is what was there, or an error that says where. */
#include <sys/mman.h>

#include "images/decode.h"
#include "images/pack.h"

#include "keys.h"

static const struct compression codecs[] = { { CODEC_LZ4, 1 },
	                                     { CODEC_ZSTD, 1 },
	                                     { CODEC_ZSTD, 9 } };

/* Pages that shrink; every third block does not. */
static void fill(uint8_t *buf, size_t size)
{
	uint64_t x = 1;

	for (size_t i = 0; i < size; i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		buf[i] = (uint8_t)(i / PACK_BLOCK % 3 == 2 ? x >> 56 : i / 64);
	}
}

static void write_packed(const struct place *p, const struct image_keys *k,
                         const struct compression *how, const uint8_t *data, size_t size)
{
	struct image_writer *w;
	struct pages_file *file;

	check(!image_writer_new(p->fd, 0600, k, &w));
	check(!image_compress(w, how));
	put_task(w, 1);
	check(!image_add_pages(w, &file));
	for (size_t at = 0, n = 4096; at < size; at += n, n = n * 2 % (600 << 10) + 4096) {
		n = size - at < n ? size - at : n;
		check(!pages_file_write(file, data + at, n));
	}
	check(pages_file_size(file) == size);
	check(!seal(w, true));
	image_writer_free(w);
}

static void read_packed(const struct place *p, const struct image_keys *k, const uint8_t *data,
                        size_t size)
{
	uint8_t *got = malloc(size + 1);
	struct images *im;

	check(!images_read(p->dir, PAGES_USED, k, &im));
	check(images_pages_size(im, 0) == size);
	check(pread(im->pages[0], got, size + 1, 0) == (ssize_t)size);
	check(!memcmp(got, data, size));
	images_free(im);
	check(!images_read(p->dir, PAGES_VERIFIED, k, &im));
	images_free(im);
	check(!images_read(p->dir, PAGES_LEFT, k, &im));
	images_free(im);
	free(got);
}

TEST(what_was_compressed_comes_back_with_any_keys)
{
	static const size_t sizes[] = {
		0, 4096, PACK_BLOCK - 4096, PACK_BLOCK, PACK_BLOCK + 4096, 7 * PACK_BLOCK + 8192
	};
	uint8_t *data = malloc(7 * PACK_BLOCK + 8192);

	fill(data, 7 * PACK_BLOCK + 8192);
	for (int which = 0; which <= (SIGN | CRYPT); which += SIGN | CRYPT) {
		struct image_keys k = keys_of(which);

		for (size_t i = 0; i < ARRAY_SIZE(sizes) * ARRAY_SIZE(codecs); i++) {
			struct place p = place_new();

			write_packed(&p, &k, &codecs[i / ARRAY_SIZE(sizes)], data,
			             sizes[i % ARRAY_SIZE(sizes)]);
			read_packed(&p, &k, data, sizes[i % ARRAY_SIZE(sizes)]);
			place_free(&p);
		}
	}
	free(data);
}

TEST(what_does_not_shrink_is_stored_as_it_is)
{
	uint8_t *data = malloc(3 * PACK_BLOCK), *got;

	fill(data, 3 * PACK_BLOCK);
	for (size_t i = 0; i < ARRAY_SIZE(codecs); i++) {
		struct place p = place_new();
		size_t size;

		write_packed(&p, NULL, &codecs[i], data, 3 * PACK_BLOCK);
		size = load(&p, "pages-0.img", &got);
		check(size > PACK_BLOCK && size < PACK_BLOCK + PACK_BLOCK / 8);
		check(memmem(got, size, data + 2 * PACK_BLOCK, PACK_BLOCK));
		free(got);
		place_free(&p);
	}
	free(data);
}

/* ---- hostile files: their checksums would be right ---- */

struct forged {
	struct images *im;
	Img__Manifest m;
	Img__Manifest__File files[2], *list[2];
};

static void forge(struct forged *f, uint32_t codec, uint64_t plain, const void *data, size_t size)
{
	static char state[] = "state.img", pages[] = "pages-0.img";

	check(!images_new("forged", &f->im));
	img__manifest__init(&f->m);
	for (int i = 0; i < 2; i++) {
		img__manifest__file__init(&f->files[i]);
		f->files[i].name = i ? pages : state;
		f->list[i] = &f->files[i];
	}
	f->files[1].codec = codec;
	f->m.files = f->list;
	f->m.n_files = 2;
	f->im->manifest = &f->m;
	f->im->npages = 1;
	f->im->pages = malloc(sizeof(int));
	f->im->content = malloc(sizeof(uint64_t));
	f->im->plain = malloc(sizeof(uint64_t));
	f->im->own = calloc(1, sizeof(bool));
	f->im->content[0] = size;
	f->im->plain[0] = plain;
	f->im->pages[0] = memfd_create("forged", MFD_CLOEXEC);
	check(write(f->im->pages[0], data, size) == (ssize_t)size);
}

/* Unpacking it says R, and TEXT. */
static bool unpacks(uint32_t codec, uint64_t plain, const void *data, size_t size, int want,
                    const char *text)
{
	struct forged f = {};
	int r;

	forge(&f, codec, plain, data, size);
	r = pack_size_check(size, plain);
	if (r == 0)
		r = pages_unpack(f.im);
	if (r != want || (log_failure() && !strstr(log_failure(), text)))
		printf("# %d: %s\n", r, log_failure());
	text = log_failure() ? strstr(log_failure(), text) : r == -EBADMSG ? "" : NULL;
	log_forget();
	f.im->manifest = NULL;
	images_free(f.im);
	return r == want && (r == 0 || text);
}

/* A packed file of N blocks of zeros. */
static size_t zeros_packed(const struct compression *how, size_t n, uint8_t *out)
{
	uint8_t *zeros = calloc(1, PACK_BLOCK);
	struct codec *codec;
	uint32_t size;
	size_t at = 0;

	check(!codec_new(how, &codec));
	size = (uint32_t)codec_pack(codec, zeros, PACK_BLOCK, out, PACK_BLOCK);
	check(size);
	for (size_t i = 0; i < n; i++)
		memcpy(out + (at += i ? size : 0), out, size);
	at += size;
	for (size_t i = 0; i < n; i++, at += sizeof(size))
		memcpy(out + at, &size, sizeof(size));
	codec_free(codec);
	free(zeros);
	return at;
}

TEST(no_block_becomes_more_or_less_than_it_has_to)
{
	uint8_t *file = malloc(4 * PACK_BLOCK);

	for (size_t i = 0; i < ARRAY_SIZE(codecs); i++) {
		uint32_t codec = codecs[i].codec;
		size_t size = zeros_packed(&codecs[i], 2, file);

		check(unpacks(codec, 2 * PACK_BLOCK, file, size, 0, ""));
		/* the last block would be longer than it is told to be, or shorter */
		check(unpacks(codec, 2 * PACK_BLOCK - 4096, file, size, -EBADMSG,
		              "block 1 is not"));
		size = zeros_packed(&codecs[i], 1, file);
		check(unpacks(codec, PACK_BLOCK - 4096, file, size, -EBADMSG, "block 0 is not"));
		check(unpacks(codec, PACK_BLOCK, file, size, 0, ""));
		check(unpacks(codec, 2 * PACK_BLOCK, file, size, -EBADMSG, "block"));
		check(unpacks(codec, 0, file, size, -EBADMSG, ""));
		check(unpacks(codec, 4095, file, size, -EBADMSG, ""));
		/* cut off, wherever */
		for (size_t cut = 0; cut < size; cut++)
			check(unpacks(codec, PACK_BLOCK, file, cut, -EBADMSG, "block"));
	}
	free(file);
}

TEST(every_flipped_bit_is_found_or_harmless)
{
	uint8_t *file = malloc(4 * PACK_BLOCK);

	for (size_t i = 0; i < ARRAY_SIZE(codecs); i++) {
		size_t size = zeros_packed(&codecs[i], 2, file);

		for (size_t bit = 0; bit<8 * size; bit += size> 200 ? 7 : 1) {
			struct forged f = {};
			int r;

			file[bit / 8] ^= (uint8_t)(1u << bit % 8);
			forge(&f, codecs[i].codec, 2 * PACK_BLOCK, file, size);
			r = pages_unpack(f.im);
			check(r == 0 || (r == -EBADMSG && strstr(log_failure(), "block")));
			check(r == 0 || bit / 8 >= size - 8 || strstr(log_failure(), "compressed"));
			log_forget();
			f.im->manifest = NULL;
			images_free(f.im);
			file[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
	}
	free(file);
}

TEST(a_bomb_is_refused_before_it_is_lit)
{
	static const struct compression zstd = { CODEC_ZSTD, 19 };
	const uint64_t blocks = 1 << 22; /* 1 TiB */
	size_t size = 5 * blocks;
	uint8_t *file = calloc(1, size);

	check(unpacks(zstd.codec, blocks * PACK_BLOCK, file, size, -ENOMEM,
	              "more than this machine has"));
	check(unpacks(zstd.codec, UINT64_MAX & ~UINT64_C(4095), file, size, -EBADMSG, ""));
	free(file);
}

TEST(a_codec_of_the_future_is_refused)
{
	struct forged f = {};

	forge(&f, 3, PACK_BLOCK, "12345", 5);
	check(pages_unpack(f.im) == -ENOTSUP);
	f.im->manifest = NULL;
	images_free(f.im);
}

TEST(what_compress_means)
{
	static const char *const wrong[] = { "",       "gzip",    "lz4:1",   "zstd:",
		                             "zstd:0", "zstd:20", "zstd:1x", "zstd1" };
	struct compression c;

	check(!compression_parse(NULL, &c) && c.codec == CODEC_NONE);
	check(!compression_parse("lz4", &c) && c.codec == CODEC_LZ4);
	check(!compression_parse("zstd", &c) && c.codec == CODEC_ZSTD && c.level == 1);
	check(!compression_parse("zstd:19", &c) && c.codec == CODEC_ZSTD && c.level == 19);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		check(compression_parse(wrong[i], &c) == -EINVAL);
}
