/* Each bit of each file of a checkpoint, of each way to write one, is flipped: all of that is found. */
#include <sys/mman.h>

#include "images/decode.h"
#include "images/pack.h"
#include "images/receive.h"

#include "keys.h"

#define SIZE 4096 /* of its page file */

static const struct way {
	int keys;
	struct compression how;
	bool stream;
	size_t step; /* every so many bits of the pages, which are many; of all else each */
} ways[] = {
	{ 0, {}, false, 1 },
	{ SIGN, {}, false, 33 },
	{ CRYPT, {}, false, 33 },
	{ SIGN | CRYPT, {}, false, 33 },
	{ 0, { CODEC_LZ4, 1 }, false, 1 },
	{ CRYPT, { CODEC_ZSTD, 1 }, false, 1 },
	{ 0, {}, true, 3 },
	{ SIGN | CRYPT, { CODEC_ZSTD, 1 }, true, 1 },
};

static void write_way(const struct way *way, const struct image_keys *k, struct image_writer *w)
{
	char buf[SIZE] = "";
	struct pages_file *file;

	check(!way->how.codec || !image_compress(w, &way->how));
	if (!way->how.codec)
		page_content(buf, sizeof(buf), 1);
	put_task(w, 1);
	check(!image_add_pages(w, &file));
	check(!pages_file_write(file, buf, sizeof(buf)));
	check(!seal(w, false));
	image_writer_free(w);
}

static void flip(int fd, off_t bit)
{
	uint8_t byte;

	check(pread(fd, &byte, 1, bit / 8) == 1);
	byte ^= (uint8_t)(1u << bit % 8);
	check(pwrite(fd, &byte, 1, bit / 8) == 1);
}

static bool is_found(int r, const char *name, off_t bit)
{
	if (r != -EBADMSG || !log_failure())
		printf("# %s, bit %jd: %d\n", name, (intmax_t)bit, r);
	r = r == -EBADMSG && log_failure();
	log_forget();
	return r;
}

static void each_bit_of_file(const struct way *way, const struct image_keys *k,
                             const struct place *p, const char *name)
{
	int fd = openat(p->fd, name, O_RDWR | O_CLOEXEC);
	off_t bits = lseek(fd, 0, SEEK_END) * 8;
	size_t step = strncmp(name, "pages", 5) ? 1 : way->step;

	check(fd >= 0 && bits > 0);
	for (off_t bit = 0; bit < bits; bit += (off_t)step) {
		struct images *im = NULL;
		int r;

		flip(fd, bit);
		r = images_read(p->dir, PAGES_USED, k, &im);
		images_free(im);
		check(is_found(r, name, bit));
		flip(fd, bit);
	}
	close(fd);
}

static void each_bit_of_directory(const struct way *way, const struct image_keys *k)
{
	static const char *const files[] = { "state.img", "pages-0.img", MANIFEST_FILE };
	struct place p = place_new();
	struct image_writer *w;
	struct images *im;

	check(!image_writer_new(p.fd, 0600, k, &w));
	write_way(way, k, w);
	check(!images_read(p.dir, PAGES_USED, k, &im));
	images_free(im);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		each_bit_of_file(way, k, &p, files[i]);
	if (way->keys & SIGN)
		each_bit_of_file(way, k, &p, SIGNATURE_FILE);
	place_free(&p);
}

static int load_stream(int fd, const struct image_keys *k)
{
	struct access a = { .use = PAGES_USED, .keys = k };
	struct images *im;
	int r;

	check(!images_new("-", &im) && lseek(fd, 0, SEEK_SET) == 0);
	r = stream_load(im, &a, fd);
	images_free(im);
	return r;
}

static void each_bit_of_stream(const struct way *way, const struct image_keys *k)
{
	int fd = memfd_create("stream", MFD_CLOEXEC);
	struct image_writer *w;
	off_t bits;

	check(!image_writer_stream(fd, 1000, k, &w));
	write_way(way, k, w);
	check(load_stream(fd, k) == 0);
	bits = lseek(fd, 0, SEEK_END) * 8;
	for (off_t bit = 0; bit < bits; bit += (off_t)way->step) {
		flip(fd, bit);
		check(is_found(load_stream(fd, k), "stream", bit));
		flip(fd, bit);
	}
	close(fd);
}

static void each_bit(const struct way *way)
{
	struct image_keys k = keys_of(way->keys);

	if (way->stream)
		each_bit_of_stream(way, &k);
	else
		each_bit_of_directory(way, &k);
}

TEST(every_flipped_bit_of_a_directory_is_found)
{
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
		if (!ways[i].stream)
			each_bit(&ways[i]);
}

TEST(every_flipped_bit_of_a_stream_is_found)
{
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
		if (ways[i].stream)
			each_bit(&ways[i]);
}
