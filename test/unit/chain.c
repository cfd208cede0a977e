/* Increments: parents that are there, missing, others, and circles. */
#include "images/output.h"
#include "images/pages.h"

#include "checkpoint.h"

static struct place top; /* the checkpoints are directories in it */

static void top_new(void)
{
	log_setup(LOG_ERROR, fopen("/dev/null", "w"));
	top = place_new();
}

static void path_of(const char *name, char path[static 64])
{
	snprintf(path, 64, "%.40s/%.1s", top.dir, name);
}

static void top_free(void)
{
	static const char *const names[] = { "a", "b", "c" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct place p = { .fd = openat(top.fd, names[i], O_RDONLY | O_DIRECTORY) };

		path_of(names[i], p.dir);
		if (p.fd >= 0)
			place_free(&p);
	}
	place_free(&top);
}

/* A checkpoint NAME whose id is all ID, of one page of ID; its pages are those of FILE, maybe of a parent. */
static void make(const char *name, int id, const char *parent, int parent_id, uint32_t file)
{
	uint8_t own[CHAIN_ID], other[CHAIN_ID], page[4096];
	uint64_t start = 0x10, count = 1;
	Img__Manifest m = IMG__MANIFEST__INIT;
	Img__Manifest__Parent p = IMG__MANIFEST__PARENT__INIT;
	Img__Pages pages = IMG__PAGES__INIT;
	struct image_writer *w;
	struct pages_file *f;
	int fd;

	check(!mkdirat(top.fd, name, 0700));
	fd = openat(top.fd, name, O_RDONLY | O_DIRECTORY);
	check(!image_writer_new(fd, 0600, NULL, &w));
	put_task(w, 1);
	memset(page, id, sizeof(page));
	check(!image_add_pages(w, &f) && !pages_file_write(f, page, sizeof(page)));
	pages.file = file;
	pages.parent = parent != NULL;
	pages.start = &start, pages.count = &count;
	pages.n_start = pages.n_count = 1;
	check(!image_put(w, KIND_pages, 1, &pages.base));
	m.page_size = 4096;
	memset(own, id, sizeof(own));
	memset(other, parent_id, sizeof(other));
	m.id = (ProtobufCBinaryData){ sizeof(own), own };
	p.path = (char *)parent;
	p.id = (ProtobufCBinaryData){ sizeof(other), other };
	m.parent = parent ? &p : NULL;
	check(!image_seal(w, &m, false));
	image_writer_free(w);
	close(fd);
}

/* Read NAME: the first byte of its page, or -errno. */
static int read_page(const char *name, enum pages_use use)
{
	const Img__Pages *msg;
	struct images *im;
	struct page_iter it;
	struct page_run run;
	char path[128];
	uint8_t byte;
	int r;

	path_of(name, path);
	r = images_read(path, use, NULL, &im);
	if (r < 0)
		return r;
	msg = (const Img__Pages *)images_one(im, KIND_pages, 1);
	check(msg && !pages_check(im, msg));
	it = pages_iter(im, msg);
	check(pages_next(&it, &run));
	r = use == PAGES_LEFT ? 0 : pread(im->pages[msg->file], &byte, 1, (off_t)run.offset);
	images_free(im);
	return use == PAGES_LEFT ? 0 : r == 1 ? byte : -EIO;
}

TEST(pages_are_found_along_the_chain)
{
	top_new();
	make("a", 1, NULL, 0, 0);
	make("b", 2, "../a", 1, 0);
	make("c", 3, "../b", 2, 1);
	check(read_page("a", PAGES_USED) == 1);
	check(read_page("b", PAGES_USED) == 1);
	check(read_page("c", PAGES_USED) == 1);
	check(read_page("c", PAGES_LEFT) == 0);
	top_free();
}

TEST(a_parent_must_be_there_and_be_the_one)
{
	top_new();
	make("b", 2, "../a", 1, 0);
	check(read_page("b", PAGES_USED) == -EBADMSG);
	check(read_page("b", PAGES_LEFT) == 0); /* who only looks needs no parent */
	make("a", 7, NULL, 0, 0);
	check(read_page("b", PAGES_USED) == -EBADMSG);
	top_free();
}

TEST(pages_of_a_parent_without_so_many_files_are_refused)
{
	top_new();
	make("a", 1, NULL, 0, 0);
	make("b", 2, "../a", 1, 1);
	check(read_page("b", PAGES_USED) == -EBADMSG);
	top_free();
}

/* NAME, of one page file of its own and FOLDED others, with a record of FILE of these. */
static int read_folded(uint32_t folded, uint32_t file, bool parent)
{
	uint8_t own[CHAIN_ID] = { 1 }, page[4096];
	uint64_t start = 0x10, count = 1;
	Img__Manifest m = IMG__MANIFEST__INIT;
	Img__Manifest__Parent p = { PROTOBUF_C_MESSAGE_INIT(&img__manifest__parent__descriptor),
		                    (char *)"../b",
		                    { sizeof(own), own } };
	Img__Pages pages = IMG__PAGES__INIT;
	struct image_writer *w;
	int fd, r;

	top_new();
	check(!mkdirat(top.fd, "a", 0700));
	fd = openat(top.fd, "a", O_RDONLY | O_DIRECTORY);
	check(!image_writer_new(fd, 0600, NULL, &w));
	put_task(w, 1);
	for (int i = 0; i < 3; i++) {
		struct pages_file *f;

		memset(page, i, sizeof(page));
		check(!image_add_pages(w, &f) && !pages_file_write(f, page, sizeof(page)));
	}
	pages.file = file;
	pages.parent = true;
	pages.start = &start, pages.count = &count;
	pages.n_start = pages.n_count = 1;
	check(!image_put(w, KIND_pages, 1, &pages.base));
	m.page_size = 4096;
	m.id = (ProtobufCBinaryData){ sizeof(own), own };
	m.folded = folded;
	m.parent = parent ? &p : NULL;
	check(!image_seal(w, &m, false));
	image_writer_free(w);
	close(fd);
	r = read_page("a", PAGES_USED);
	top_free();
	return r;
}

TEST(folded_parents_are_counted_from_their_first)
{
	check(read_folded(2, 0, false) == 1);
	check(read_folded(2, 1, false) == 2);
	check(read_folded(3, 0, false) == 0);
	check(read_folded(2, 2, false) == -EBADMSG);
	check(read_folded(4, 0, false) == -EBADMSG);
	check(read_folded(UINT32_MAX, 0, false) == -EBADMSG);
	check(read_folded(2, 0, true) == -EBADMSG);
}

/* The parent "a", of four pages, gets these holes; "b" needs page NEEDED of it. */
static int read_holes(const uint64_t *start, const uint64_t *end, size_t n, uint32_t codec,
                      uint64_t needed)
{
	uint8_t page[4 * 4096] = {}, id[CHAIN_ID];
	Img__Manifest m = IMG__MANIFEST__INIT;
	uint64_t from = 0x10, count = 1;
	Img__Pages pages = IMG__PAGES__INIT;
	struct output out = { .mode = 0600 };
	struct image_writer *w;
	struct pages_file *f;
	struct images *im;
	char path[64];
	int r;

	top_new();
	make("b", 2, "../a", 1, 0);
	check(!mkdirat(top.fd, "a", 0700));
	out.dirfd = openat(top.fd, "a", O_RDONLY | O_DIRECTORY);
	check(!image_writer_new(out.dirfd, 0600, NULL, &w));
	put_task(w, 1);
	check(!image_add_pages(w, &f) && !pages_file_write(f, page, sizeof(page)));
	pages.start = &from, pages.count = &count;
	pages.n_start = pages.n_count = 1;
	m.page_size = 4096;
	memset(id, 1, sizeof(id));
	m.id = (ProtobufCBinaryData){ sizeof(id), id };
	check(!image_seal(w, &m, false));
	image_writer_free(w);
	path_of("a", path);
	check(!images_read(path, PAGES_LEFT, NULL, &im));
	im->manifest->files[1]->hole_start = (uint64_t *)start;
	im->manifest->files[1]->hole_end = (uint64_t *)end;
	im->manifest->files[1]->n_hole_start = im->manifest->files[1]->n_hole_end = n;
	im->manifest->files[1]->codec = codec;
	check(!manifest_replace(&out, im->manifest, false));
	im->manifest->files[1]->hole_start = im->manifest->files[1]->hole_end = NULL;
	im->manifest->files[1]->n_hole_start = im->manifest->files[1]->n_hole_end = 0;
	images_free(im);
	check(images_read(path, PAGES_USED, NULL, &im) == -EBADMSG);
	path_of("b", path);
	r = images_read(path, PAGES_USED, NULL, &im);
	if (r == 0) {
		Img__Pages *msg = (Img__Pages *)images_one(im, KIND_pages, 1);

		msg->offset = needed * 4096;
		r = pages_check(im, msg);
		images_free(im);
	}
	close(out.dirfd);
	top_free();
	return r;
}

TEST(pages_in_holes_of_a_parent_are_not_there)
{
	const uint64_t start[] = { 0, 2 }, end[] = { 1, 3 };

	check(read_holes(start, end, 2, 0, 0) == -EBADMSG);
	check(read_holes(start, end, 2, 0, 1) == 0);
	check(read_holes(start, end, 2, 0, 2) == -EBADMSG);
	check(read_holes(start, end, 2, 0, 3) == 0);
}

TEST(holes_that_nobody_makes_are_refused)
{
	const uint64_t one = 1, three = 3, four = 4, five = 5, many = UINT64_MAX;
	const uint64_t start[] = { 0, 1 }, end[] = { 1, 2 }, back[] = { 2, 0 },
		       back_end[] = { 3, 1 };

	check(read_holes(&three, &four, 1, 0, 0) == 0);
	check(read_holes(&three, &four, 1, 1, 0) == -EBADMSG); /* compressed */
	check(read_holes(&three, &five, 1, 0, 0) == -EBADMSG); /* beyond its end */
	check(read_holes(&three, &many, 1, 0, 0) == -EBADMSG);
	check(read_holes(&one, &one, 1, 0, 0) == -EBADMSG); /* empty */
	check(read_holes(&three, &one, 1, 0, 0) == -EBADMSG);
	check(read_holes(start, end, 2, 0, 3) == -EBADMSG);     /* one hole */
	check(read_holes(back, back_end, 2, 0, 1) == -EBADMSG); /* not in order */
}

TEST(a_circle_is_refused)
{
	top_new();
	make("a", 1, "../b", 2, 0);
	make("b", 2, "../a", 1, 0);
	check(read_page("a", PAGES_USED) == -EBADMSG);
	make("c", 3, "../c", 3, 0);
	check(read_page("c", PAGES_USED) == -EBADMSG);
	top_free();
}
