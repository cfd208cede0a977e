/* Checkpoints as streams: what comes out is what went in, or an error. */
#include <signal.h>
#include <sys/mman.h>

#include "images/decode.h"
#include "images/receive.h"
#include "images/stream.h"

#include "keys.h"

#define SIZE (5u << 20)

/* A stream of a checkpoint with two page files, in memory. */
static int written(const struct image_keys *k, const struct compression *how)
{
	int fd = memfd_create("stream", MFD_CLOEXEC);
	char *buf = malloc(SIZE);
	struct image_writer *w;
	struct pages_file *one, *two;

	page_content(buf, SIZE, 3);
	check(!image_writer_stream(fd, 1000, k, &w));
	check(!how || !image_compress(w, how));
	check(!image_add_pages(w, &one) && !image_add_pages(w, &two));
	check(!pages_file_write(two, buf, 8192));
	put_task(w, 1);
	check(!pages_file_write(one, buf, SIZE));
	check(!pages_file_write(two, buf + 8192, 4096));
	put_pages(w, 1);
	check(!seal(w, true));
	image_writer_free(w);
	free(buf);
	return fd;
}

/* Is it read? The message of a failure must hold TEXT. FD is read from its start, and stays open. */
static int load_from(int fd, enum pages_use use, const struct image_keys *k, const char *text,
                     struct images **ret)
{
	struct access a = { .use = use, .keys = k };
	struct images *im;
	int r;

	check(!images_new("-", &im) && lseek(fd, 0, SEEK_SET) == 0);
	r = stream_load(im, &a, fd);
	if (r < 0 && (!log_failure() || !strstr(log_failure(), text)))
		printf("# %d: %s\n", r, log_failure() ? log_failure() : "no message");
	check(r == 0 || (log_failure() && strstr(log_failure(), text)));
	log_forget();
	if (r == 0 && ret)
		*ret = im;
	else
		images_free(im);
	return r;
}

static void same_pages(struct images *im)
{
	char *want = malloc(SIZE), *got = malloc(SIZE);

	page_content(want, SIZE, 3);
	check(im->npages == 2 && images_pages_size(im, 0) == SIZE);
	check(images_pages_size(im, 1) == 12288);
	check(pread(im->pages[0], got, SIZE, 0) == SIZE && !memcmp(got, want, SIZE));
	check(pread(im->pages[1], got, SIZE, 0) == 12288 && !memcmp(got, want, 12288));
	check(im->own[0] && im->own[1]);
	free(want);
	free(got);
}

TEST(what_was_written_is_read_with_any_keys)
{
	for (int which = 0; which <= (SIGN | CRYPT); which++) {
		struct image_keys k = keys_of(which);
		int fd = written(&k, NULL);
		struct images *im;

		for (int use = PAGES_LEFT; use <= PAGES_USED; use++) {
			check(!load_from(fd, (enum pages_use)use, &k, "", &im));
			check(images_one(im, KIND_task, 1));
			if (use == PAGES_USED)
				same_pages(im);
			images_free(im);
		}
		close(fd);
	}
}

TEST(keys_are_asked_for_as_for_a_directory)
{
	struct image_keys crypt = keys_of(CRYPT), sign = keys_of(SIGN), none = keys_of(0);
	int fd = written(&crypt, NULL);

	check(load_from(fd, PAGES_LEFT, &none, "is encrypted; give its key", NULL) == -EBADMSG);
	crypt.crypt[0] ^= 1;
	check(load_from(fd, PAGES_LEFT, &crypt, "with another key", NULL) == -EBADMSG);
	check(load_from(fd, PAGES_LEFT, &sign, "manifest.sig is missing", NULL) == -EBADMSG);
	close(fd);
	fd = written(&sign, NULL);
	sign.verify[0] ^= 1;
	check(load_from(fd, PAGES_LEFT, &sign, "is not by the key", NULL) == -EBADMSG);
	close(fd);
}

static off_t size_of(int fd)
{
	return lseek(fd, 0, SEEK_END);
}

static int cut(int fd, off_t size)
{
	char *buf = malloc((size_t)size + 1);
	int to = memfd_create("cut", MFD_CLOEXEC);

	check(pread(fd, buf, (size_t)size, 0) == size && write(to, buf, (size_t)size) == size);
	free(buf);
	return to;
}

TEST(a_stream_that_is_cut_off_anywhere_is_refused)
{
	int fd = written(NULL, NULL);
	off_t size = size_of(fd);

	for (off_t at = 0; at < size; at += at < 200 || at > size - 600 ? 1 : 49999) {
		int part = cut(fd, at);

		check(load_from(part, PAGES_USED, NULL, "stream", NULL) == -EBADMSG);
		close(part);
	}
	close(fd);
}

TEST(every_flipped_bit_is_found)
{
	int fd = written(NULL, NULL);
	off_t size = size_of(fd);

	for (off_t at = 0; at < size; at += at < 200 || at > size - 600 ? 1 : 49999) {
		char byte;

		check(pread(fd, &byte, 1, at) == 1);
		byte ^= (char)(1 << at % 8);
		check(pwrite(fd, &byte, 1, at) == 1);
		check(load_from(fd, PAGES_LEFT, NULL, "stream", NULL) == -EBADMSG);
		byte ^= (char)(1 << at % 8);
		check(pwrite(fd, &byte, 1, at) == 1);
	}
	close(fd);
}

TEST(what_follows_the_end_is_refused)
{
	int fd = written(NULL, NULL);

	check(pwrite(fd, "x", 1, size_of(fd)) == 1);
	check(load_from(fd, PAGES_LEFT, NULL, "something follows the end", NULL) == -EBADMSG);
	close(fd);
}

TEST(another_program_s_stream_is_told)
{
	static const struct {
		const char *head, *text;
	} streams[] = {
		{ "\x28\xb5\x2f\xfd________________", "zstd -dc" },
		{ "\x1f\x8b______________________", "gzip -dc" },
		{ "crtlstat________________", "this is no stream" },
		{ "crtlstrm\2\0\0\0\0\0\0\0________", "version 2" },
		{ "", "the stream is empty" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(streams); i++) {
		int fd = memfd_create("other", MFD_CLOEXEC);

		check(write(fd, streams[i].head, *streams[i].head ? 20 : 0) >= 0);
		check(load_from(fd, PAGES_LEFT, NULL, streams[i].text, NULL) == -EBADMSG);
		close(fd);
	}
}

/* ---- hostile frames, whose checksums are right ---- */

static void forge(int fd, uint32_t file, uint64_t number, const void *data, uint32_t size)
{
	struct frame_header h = { .file = file, .size = size, .number = number };

	h.hash = frame_hash(&h, data);
	check(write(fd, &h, sizeof(h)) == sizeof(h) && write(fd, data, size) == (ssize_t)size);
}

static int forged(void)
{
	struct stream_header h = { .magic = STREAM_MAGIC, .version = STREAM_VERSION };
	int fd = memfd_create("forged", MFD_CLOEXEC);

	check(write(fd, &h, sizeof(h)) == sizeof(h));
	return fd;
}

TEST(frames_that_nobody_writes_are_refused)
{
	int fd = forged();

	forge(fd, 1, 1, "x", 1);
	check(load_from(fd, PAGES_USED, NULL, "out of order", NULL) == -EBADMSG);
	close(fd);
	fd = forged();
	forge(fd, 1025, 0, "x", 1);
	check(load_from(fd, PAGES_USED, NULL, "of no file that can be", NULL) == -EBADMSG);
	close(fd);
	fd = forged();
	forge(fd, UINT32_MAX - 3, 0, "x", 1);
	check(load_from(fd, PAGES_USED, NULL, "of no file that can be", NULL) == -EBADMSG);
	close(fd);
	fd = forged();
	forge(fd, FRAME_END, 0, "x", 1);
	check(load_from(fd, PAGES_USED, NULL, "something follows", NULL) == -EBADMSG);
	close(fd);
	fd = forged();
	forge(fd, FRAME_END, 0, "", 0);
	check(load_from(fd, PAGES_USED, NULL, "there was no manifest", NULL) == -EBADMSG);
	close(fd);
}

TEST(small_files_have_a_limit)
{
	static const char zeros[4097];
	int fd = forged();

	forge(fd, FRAME_SIGNATURE, 0, zeros, sizeof(zeros));
	check(load_from(fd, PAGES_USED, NULL, "too long", NULL) == -EBADMSG);
	close(fd);
}

/* ---- directories ---- */

TEST(a_stream_becomes_a_directory_and_a_stream_again)
{
	for (int which = 0; which <= (SIGN | CRYPT); which++) {
		struct image_keys k = keys_of(which), none = keys_of(0);
		struct place p = place_new();
		int fd = written(&k, NULL), again = memfd_create("again", MFD_CLOEXEC);
		struct images *im;

		check(lseek(fd, 0, SEEK_SET) == 0);
		/* Without a key nothing that is encrypted can be judged, but kept. */
		check(!stream_unpack(fd, p.fd, which == CRYPT ? &none : &k));
		check(!images_read(p.dir, PAGES_VERIFIED, &k, &im));
		images_free(im);
		check(!stream_pack(p.dir, again, 1000, which == CRYPT ? NULL : &k));
		check(!load_from(again, PAGES_USED, &k, "", &im));
		same_pages(im);
		images_free(im);
		check(place_empty(&p) == 4u + (which & SIGN));
		place_free(&p);
		close(again);
		close(fd);
	}
}

TEST(a_bad_stream_leaves_no_directory)
{
	int fd = written(NULL, NULL);
	struct place p = place_new();

	check(ftruncate(fd, size_of(fd) - 1) == 0 && lseek(fd, 0, SEEK_SET) == 0);
	check(stream_unpack(fd, p.fd, NULL) == -EBADMSG);
	check(place_empty(&p) == 0);
	place_free(&p);
	close(fd);
}

TEST(a_full_directory_is_left_alone)
{
	int fd = written(NULL, NULL);
	struct place p = place_new();

	checkpoint_write(&p);
	check(lseek(fd, 0, SEEK_SET) == 0);
	check(stream_unpack(fd, p.fd, NULL) == -EEXIST);
	check(place_empty(&p) == 3);
	place_free(&p);
	close(fd);
}

TEST(a_reader_that_has_gone_or_sleeps_is_told)
{
	static char data[1 << 20];
	struct stream_out *s;
	int p[2];

	signal(SIGPIPE, SIG_IGN);
	check(!pipe(p) && !stream_out_new(p[1], 100, &s));
	check(stream_put(s, 1, data, sizeof(data)) == -ETIMEDOUT);
	check(strstr(log_failure(), "takes nothing"));
	log_forget();
	check(stream_put(s, 1, data, 1) == -ETIMEDOUT); /* half a frame is out there */
	stream_out_free(s);
	close(p[0]);
	check(stream_out_new(p[1], 100, &s) < 0 && strstr(log_failure(), "nobody reads it"));
	close(p[1]);
}
