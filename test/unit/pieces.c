/* images/pieces.h: what is left to its reader, and what becomes of it */
#include "images/pieces.h"

#include <errno.h>

#include "images/hash.h"
#include "images/output.h"
#include "images/pages.h"

#include "checkpoint.h"

#define PAGE   4096UL
#define PIECE  (HASH_PIECE / PAGE) /* in pages */
#define PIECES 3

static struct place place;
static struct image_writer *writer;
static struct images *im;

/* With a page file of so many pages, all zeros. */
static void begin(size_t pages)
{
	static const char zeros[1 << 20];
	struct pages_file *file;

	log_setup(LOG_ERROR, fopen("/dev/null", "w"));
	place = place_new();
	check(!image_writer_new(place.fd, 0600, NULL, &writer));
	check(!image_add_pages(writer, &file));
	for (size_t left = pages * PAGE, n; left; left -= n) {
		n = left < sizeof(zeros) ? left : sizeof(zeros);
		check(!pages_file_write(file, zeros, n));
	}
}

/* The process PID has N pages, of the file's page AT on. */
static void reads(uint32_t pid, size_t at, size_t n)
{
	uint64_t start = at + 16, count = n;
	Img__Pages pages = IMG__PAGES__INIT;

	pages.start = &start, pages.count = &count;
	pages.n_start = pages.n_count = 1;
	pages.offset = at * PAGE;
	check(!image_put(writer, KIND_pages, pid, &pages.base));
}

/* Sealed and read again, as a restore does it. */
static void leave(void)
{
	put_task(writer, 1);
	check(!seal(writer, false));
	image_writer_free(writer);
	check(!images_read(place.dir, PAGES_LATER, NULL, &im));
	check(!images_verify_but(im));
}

static void end(void)
{
	images_free(im);
	place_free(&place);
}

/* LEFT: "yn" is: the first piece is left to its reader, the second is not. */
static void are_left(const char *left)
{
	for (size_t i = 0; left[i]; i++)
		check((piece_left(im, 0, i * HASH_PIECE) != NULL) == (left[i] == 'y'));
	check(!piece_left(im, 0, HASH_PIECE / 2));
	check(images_verify_late(im) == 0);
	end();
}

TEST(what_one_reads_is_left_to_him)
{
	begin(PIECES * PIECE - 7);
	reads(1, 0, PIECES * PIECE - 7);
	leave();
	check(piece_size(im, 0, 0) == HASH_PIECE);
	check(piece_size(im, 0, 2 * HASH_PIECE) == HASH_PIECE - 7 * PAGE);
	are_left("yyy");
}

TEST(records_of_one_that_follow_each_other_are_one_stretch)
{
	begin(PIECES * PIECE);
	reads(1, 0, 5);
	reads(1, 5, PIECE);
	reads(1, PIECE + 5, 2 * PIECE - 5);
	leave();
	are_left("yyy");
}

TEST(a_piece_of_two_is_left_to_nobody)
{
	begin(PIECES * PIECE);
	reads(1, 0, PIECE + 5);
	reads(2, PIECE + 5, 2 * PIECE - 5);
	leave();
	are_left("yny");
}

TEST(what_two_read_is_left_to_nobody)
{
	begin(PIECES * PIECE);
	reads(1, 0, 2 * PIECE);
	reads(2, PIECE, 2 * PIECE);
	leave();
	are_left("yny");
}

TEST(what_is_read_twice_is_left_to_nobody)
{
	begin(PIECES * PIECE);
	reads(1, 0, 2 * PIECE);
	reads(1, PIECE, 2 * PIECE);
	leave();
	are_left("yny");
}

TEST(what_has_gaps_is_left_to_nobody)
{
	begin(PIECES * PIECE);
	reads(1, 0, PIECE + 5);
	reads(1, PIECE + 6, PIECE - 6);
	leave();
	are_left("ynn");
}

TEST(what_is_small_is_verified_at_once)
{
	begin(100);
	reads(1, 0, 100);
	leave();
	are_left("n");
}

TEST(what_a_reader_found_is_compared)
{
	begin(PIECE);
	reads(1, 0, PIECE);
	leave();
	check(piece_left(im, 0, 0));
	*piece_left(im, 0, 0) = (struct piece_sum){ 42, PIECE_MADE };
	check(images_verify_late(im) == -EBADMSG);
	check(log_failure() && strstr(log_failure(), "wrong checksum"));
	log_forget();
	end();
}

TEST(what_a_reader_is_awaited_for_is_compared_later)
{
	struct piece_sum *sum;

	begin(2 * PIECE);
	reads(1, 0, 2 * PIECE);
	leave();
	sum = piece_left(im, 0, 0);
	check(sum);
	sum->state = PIECE_AWAITED;
	check(images_verify_late(im) == 0);
	check(sum[1].state == PIECE_MADE);
	*sum = (struct piece_sum){ sum[1].hash, PIECE_MADE }; /* both are zeros */
	check(images_verify_late(im) == 0);
	end();
}
