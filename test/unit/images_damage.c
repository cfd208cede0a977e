/* images/: a checkpoint that is not as it was written is refused, whatever is wrong. */
#include <errno.h>

#include "images/decode.h"
#include "images/format.h"
#include "images/hash.h"
#include "images/heap.h"
#include "images/pages.h"

#include "checkpoint.h"

struct content {
	uint8_t data[16384];
	size_t size;
};

static void load(const struct place *p, const char *name, struct content *ret)
{
	int fd = openat(p->fd, name, O_RDONLY);
	ssize_t n = read(fd, ret->data, sizeof(ret->data));

	check(n > 0 && n < (ssize_t)sizeof(ret->data));
	ret->size = (size_t)n;
	close(fd);
}

static void store(const struct place *p, const char *name, const struct content *c, size_t size)
{
	int fd = openat(p->fd, name, O_WRONLY | O_TRUNC | O_CREAT, 0600);

	check(write(fd, c->data, size) == (ssize_t)size);
	close(fd);
}

static const char *const files[] = { "state.img", "pages-0.img", "manifest.img" };

TEST(a_file_cut_off_anywhere_is_refused)
{
	struct place p = place_new();
	struct content c;

	checkpoint_write(&p);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		load(&p, files[i], &c);
		for (size_t size = 0; size<c.size; size += c.size> 1000 ? 97 : 1) {
			store(&p, files[i], &c, size);
			check(refused(p.dir, -EBADMSG, files[i]));
		}
		store(&p, files[i], &c, c.size);
	}
	place_free(&p);
}

TEST(a_file_with_more_at_its_end_is_refused)
{
	struct place p = place_new();
	struct content c;

	checkpoint_write(&p);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		load(&p, files[i], &c);
		c.data[c.size] = 0;
		store(&p, files[i], &c, c.size + 1);
		check(refused(p.dir, -EBADMSG, files[i]));
		store(&p, files[i], &c, c.size);
	}
	place_free(&p);
}

TEST(every_flipped_byte_is_refused)
{
	struct place p = place_new();
	struct content c;

	checkpoint_write(&p);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		load(&p, files[i], &c);
		for (size_t at = 0; at<c.size; at += c.size> 1000 ? 97 : 1) {
			c.data[at] ^= 1u << at % 8;
			store(&p, files[i], &c, c.size);
			check(refused(p.dir, -EBADMSG, files[i]));
			c.data[at] ^= 1u << at % 8;
		}
		store(&p, files[i], &c, c.size);
	}
	place_free(&p);
}

TEST(a_missing_file_is_named)
{
	struct place p = place_new();

	checkpoint_write(&p);
	check(!unlinkat(p.fd, "pages-0.img", 0));
	check(refused(p.dir, -EBADMSG, "pages-0.img is missing"));
	check(!unlinkat(p.fd, "state.img", 0));
	check(refused(p.dir, -EBADMSG, "state.img is missing"));
	check(!unlinkat(p.fd, "manifest.img", 0));
	check(refused(p.dir, -ENOENT,
	              "manifest.img is missing; the dump did not finish, or it went elsewhere: "
	              "give its directory"));
	place_free(&p);
	check(refused(p.dir, -ENOENT, p.dir));
}

TEST(what_is_not_a_regular_file_is_not_opened)
{
	struct place p = place_new();

	checkpoint_write(&p);
	check(!unlinkat(p.fd, "pages-0.img", 0) && !mkfifoat(p.fd, "pages-0.img", 0600));
	check(refused(p.dir, -EBADMSG, "pages-0.img is not a regular file"));
	check(!unlinkat(p.fd, "state.img", 0) && !symlinkat("/etc/passwd", p.fd, "state.img"));
	check(refused(p.dir, -EBADMSG, "state.img is not a regular file"));
	check(!unlinkat(p.fd, "manifest.img", 0) && !mkfifoat(p.fd, "manifest.img", 0600));
	check(refused(p.dir, -EBADMSG, "manifest.img is not a regular file"));
	place_free(&p);
}

TEST(a_checkpoint_that_may_not_be_read_is_no_damage)
{
	struct place p = place_new();
	int status;

	checkpoint_write(&p);
	check(!fchmodat(p.fd, "manifest.img", 0, 0));
	check(!fchmod(p.fd, 0755));
	if (fork() == 0) {
		check(geteuid() != 0 || !setuid(65534));
		exit(!refused(p.dir, -EACCES, "manifest.img: Permission denied"));
	}
	check(wait(&status) > 0 && status == 0);
	place_free(&p);
}

/* ---- hostile, but with correct checksums: the decoders alone ---- */

static bool decode_fails(int (*decode)(struct images *, const uint8_t *, size_t),
                         const struct content *c, const char *text)
{
	struct images *im;
	bool told;
	int r;

	check(!images_new("DIR", &im));
	r = decode(im, c->data, c->size);
	told = log_failure() && strstr(log_failure(), text);
	if (r != -EBADMSG || !told)
		printf("# %d: %s\n", r, log_failure() ? log_failure() : "no message");
	log_forget();
	images_free(im);
	return r == -EBADMSG && told;
}

static void state_start(struct content *c)
{
	struct state_header h = { .magic = STATE_MAGIC, .version = FORMAT_VERSION };

	memcpy(c->data, &h, sizeof(h));
	c->size = sizeof(h);
}

/* A record as it is, whether it holds up or not. */
static void state_add(struct content *c, struct record_header h, const void *msg, size_t size)
{
	memcpy(c->data + c->size, &h, sizeof(h));
	memset(c->data + c->size + sizeof(h), 0, record_padded(size));
	if (size)
		memcpy(c->data + c->size + sizeof(h), msg, size);
	c->size += sizeof(h) + record_padded(size);
}

static struct content state_with(struct record_header h, const void *msg, size_t size)
{
	struct content c;

	state_start(&c);
	state_add(&c, h, msg, size);
	return c;
}

static const uint8_t task_1[] = { 0x08, 1 }, task_2[] = { 0x08, 2 };

#define OF(kind_, ...) ((struct record_header){ .kind = (kind_), .owner = 1, __VA_ARGS__ })
#define TASK(...)      OF(KIND_task, __VA_ARGS__)

TEST(a_newer_format_is_refused_as_such)
{
	struct content c = state_with(TASK(.size = 2), task_1, 2);
	struct manifest_header m = { .magic = MANIFEST_MAGIC, .version = 3 };

	c.data[8] = 3;
	check(decode_fails(state_decode, &c,
	                   "written by a newer crtool (format 3, this one reads up to 1)"));
	c.data[8] = 0;
	check(decode_fails(state_decode, &c, "version 0"));
	memcpy(c.data, &m, sizeof(m));
	check(decode_fails(manifest_decode, &c, "written by a newer crtool (format 3"));
}

TEST(unknown_kinds_are_refused_by_number)
{
	static const uint32_t unknown[] = { 0, KIND_LIMIT - 1, KIND_LIMIT, 0x7fffffff, 0xffffffff };

	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++) {
		struct content c = state_with(OF(unknown[i], .size = 2), task_1, 2);
		char text[32];

		snprintf(text, sizeof(text), "of kind %u, unknown", unknown[i]);
		check(decode_fails(state_decode, &c, text));
	}
}

TEST(a_manifest_among_the_records_is_refused)
{
	struct content c = state_with(OF(KIND_manifest, .size = 0), NULL, 0);

	check(decode_fails(state_decode, &c, "record header at offset 16 is wrong"));
}

TEST(unknown_fields_are_refused_by_name)
{
	static const uint8_t msg[] = { 0x08, 1, 0xa0, 0x1f, 7 }; /* field 500 */
	struct content c = state_with(TASK(.size = sizeof(msg)), msg, sizeof(msg));

	check(decode_fails(state_decode, &c, "field 500 of message Task is unknown"));
}

TEST(unknown_fields_within_a_message_are_refused)
{
	static const uint8_t msg[] = { 0x0a, 3, 0xa0, 0x1f, 7 }; /* files { field 500 } */
	struct manifest_header h = { .magic = MANIFEST_MAGIC,
		                     .version = FORMAT_VERSION,
		                     .size = sizeof(msg),
		                     .hash = XXH3_64bits(msg, sizeof(msg)) };
	struct content c = { .size = sizeof(h) + sizeof(msg) };

	memcpy(c.data, &h, sizeof(h));
	memcpy(c.data + sizeof(h), msg, sizeof(msg));
	check(decode_fails(manifest_decode, &c, "field 500 of message File is unknown"));
}

TEST(sizes_beyond_the_file_are_refused)
{
	static const uint32_t sizes[] = { 9, 100, 0x7fffffff, 0xfffffff8, 0xfffffff9, 0xffffffff };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct content c = state_with(TASK(.size = sizes[i]), task_1, 2);

		check(decode_fails(state_decode, &c, "more than the file"));
	}
}

TEST(a_cut_off_record_header_is_refused)
{
	for (size_t more = 1; more < sizeof(struct record_header); more++) {
		struct content c = state_with(TASK(.size = 2), task_1, 2);

		c.size += more;
		check(decode_fails(state_decode, &c, "record header at offset 40 is cut off"));
	}
}

TEST(reserved_bytes_and_padding_are_zero)
{
	struct content c = state_with(TASK(.size = 2, .reserved = 1), task_1, 2);

	check(decode_fails(state_decode, &c, "record header at offset 16 is wrong"));
	c = state_with(TASK(.size = 2), task_1, 2);
	c.data[c.size - 1] = 1;
	check(decode_fails(state_decode, &c, "not padded with zeros"));
	c = state_with(TASK(.size = 2), task_1, 2);
	c.data[12] = 1;
	check(decode_fails(state_decode, &c, "header at offset 0"));
}

TEST(hostile_messages_are_refused)
{
	static const uint8_t messages[][12] = {
		{ 0x08 },                                        /* no value */
		{ 0x08, 1, 0x2a, 0xff, 0xff, 0xff, 0xff, 0x0f }, /* 4 GiB of tids */
		{ 0x08, 1, 0x32, 0xff, 0xff, 0xff, 0xff, 0x07 }, /* 2 GiB of comm */
		{ 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff },
		{ 0x0b, 1 }, /* a group */
	};

	for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
		struct content c = state_with(TASK(.size = 12), messages[i], 12);

		check(decode_fails(state_decode, &c, "record task at offset 16"));
	}
}

TEST(records_of_somebody_else_are_refused)
{
	struct content c = state_with(TASK(.size = 2), task_2, 2);

	check(decode_fails(state_decode, &c, "names somebody else"));
	c = state_with(TASK(.size = 2), task_1, 2);
	state_add(&c, TASK(.size = 2), task_1, 2);
	check(decode_fails(state_decode, &c, "there is another one"));
}

TEST(a_file_needs_the_record_of_its_kind)
{
	static const uint8_t of_no_kind[] = { 0x08, 1 }, of_kind_task[] = { 0x08, 1, 0x10, 2 };
	struct content c = state_with(OF(KIND_file, .size = 2), of_no_kind, 2);

	check(decode_fails(state_decode, &c, "is of a kind that is none of files"));
	c = state_with(OF(KIND_file, .size = 4), of_kind_task, 4);
	check(decode_fails(state_decode, &c, "is of a kind that is none of files"));
}

/* The manifest message BYTES with the header that belongs to it. */
static struct content manifest_of(const Img__Manifest *m)
{
	struct content c = { .size = sizeof(struct manifest_header) };
	struct manifest_header h = { .magic = MANIFEST_MAGIC, .version = FORMAT_VERSION };

	h.size = (uint32_t)img__manifest__pack(m, c.data + c.size);
	h.hash = XXH3_64bits(c.data + c.size, h.size);
	memcpy(c.data, &h, sizeof(h));
	c.size += h.size;
	return c;
}

TEST(file_names_in_the_manifest_are_no_paths)
{
	static const char *const names[][2] = {
		{ "../state.img", "pages-0.img" },
		{ "/etc/passwd", "pages-0.img" },
		{ "pages-0.img", "state.img" },
		{ "state.img", "pages-1.img" },
		{ "state.img", "pages-00.img" },
		{ "state.img", "pages-0.img/x" },
		{ "state.img", "pages-4294967296.img" },
		{ "state.img", "state.img" },
		{ "state.img", "" },
		{ "STATE.IMG", "pages-0.img" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		Img__Manifest__File file[2] = { IMG__MANIFEST__FILE__INIT,
			                        IMG__MANIFEST__FILE__INIT };
		Img__Manifest__File *list[] = { &file[0], &file[1] };
		Img__Manifest m = IMG__MANIFEST__INIT;
		struct content c;

		file[0].name = strdup(names[i][0]);
		file[1].name = strdup(names[i][1]);
		m.files = list;
		m.n_files = 2;
		c = manifest_of(&m);
		check(decode_fails(manifest_decode, &c, "of the list is not"));
		free(file[0].name);
		free(file[1].name);
	}
}

TEST(sizes_that_cannot_be_are_refused)
{
	Img__Manifest__File file = IMG__MANIFEST__FILE__INIT, *list[] = { &file };
	Img__Manifest m = IMG__MANIFEST__INIT;
	struct content c;
	char name[] = "state.img";

	file.name = name;
	file.size = UINT64_MAX;
	m.files = list;
	m.n_files = 1;
	c = manifest_of(&m);
	check(decode_fails(manifest_decode, &c, "lists more than"));
}

TEST(a_manifest_that_lists_nothing_is_refused)
{
	Img__Manifest m = IMG__MANIFEST__INIT;
	struct content c = manifest_of(&m);

	check(decode_fails(manifest_decode, &c, "lists 0 files"));
}

TEST(memory_for_messages_is_bounded)
{
	struct heap h;
	size_t n = 0;
	char *p;

	heap_init(&h, 1 << 20);
	check(!heap_alloc(&h, SIZE_MAX) && !heap_alloc(&h, (1 << 20) + 1));
	for (; (p = heap_alloc(&h, 1000)); n += 1000) {
		check((uintptr_t)p % 16 == 0);
		memset(p, 1, 1000);
	}
	check(n > 900000 && n <= 1 << 20);
	heap_done(&h);
}

/* ---- runs of pages ---- */

struct run_case {
	uint64_t start[2], count[2], offset;
	uint32_t file;
	const char *text; /* NULL: fine */
};

static const struct run_case run_cases[] = {
	{ { 1, 1 }, { 1, 2 }, 0, 0, NULL },
	{ { 1, 0 }, { 1, 2 }, 0, 0, NULL }, /* side by side */
	{ { 1, 1 }, { 1, 1 }, 4096, 0, NULL },
	{ { 1, 1 }, { 1, 1 }, 0, 1, "no such page file" },
	{ { 1, 1 }, { 1, 3 }, 0, 0, "beyond the end of the file (1)" },
	{ { 1, 1 }, { 1, 2 }, 4096, 0, "beyond the end of the file (1)" },
	{ { 1, 1 }, { 0, 1 }, 0, 0, "impossible run (0)" },
	{ { 1, 1 }, { 1, 1 }, 1, 0, "offset is not that of a page" },
	{ { 1, 1 }, { 1, 1 }, UINT64_MAX & ~4095ul, 0, "impossible run (0)" },
	{ { UINT64_MAX, 1 }, { 1, 1 }, 0, 0, "impossible run (0)" },
	{ { UINT64_MAX / 4096, 1 }, { 1, 1 }, 0, 0, "impossible run (0)" },
	{ { 1, UINT64_MAX / 4096 - 2 }, { 1, 1 }, 0, 0, "impossible run (1)" },
	{ { 1, 1 }, { UINT64_MAX / 4096 + 2, 1 }, 0, 0, "impossible run (0)" },
	{ { 1, 1 }, { 1, 1ul << 51 }, 0, 0, "beyond the end of the file (1)" },
};

TEST(impossible_runs_are_refused)
{
	struct place p = place_new();
	struct images *im;

	checkpoint_write(&p);
	check(!images_read(p.dir, PAGES_LEFT, NULL, &im));
	for (size_t i = 0; i < ARRAY_SIZE(run_cases); i++) {
		struct run_case c = run_cases[i];
		Img__Pages msg = IMG__PAGES__INIT;
		int r;

		msg.file = c.file;
		msg.offset = c.offset;
		msg.start = c.start;
		msg.count = c.count;
		msg.n_start = msg.n_count = 2;
		r = pages_check(im, &msg);
		if (c.text && (!log_failure() || !strstr(log_failure(), c.text)))
			printf("# case %zu: %s\n", i, log_failure() ? log_failure() : "fine");
		check(r == (c.text ? -EBADMSG : 0));
		check(!c.text || strstr(log_failure(), c.text));
		log_forget();
		msg.n_count = 1;
		check(pages_check(im, &msg) == -EBADMSG);
		log_forget();
	}
	images_free(im);
	place_free(&p);
}
