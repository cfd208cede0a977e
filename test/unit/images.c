/* images/: what is written is read back. */
#include "images/images.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

#include "images/pages.h"
#include "images/reflect.h"
#include "proto/file.pb-c.h"
#include "proto/thread.pb-c.h"

#include "checkpoint.h"

/* ---- messages of any kind, filled by reflection ---- */

static _Alignas(16) char memory[1 << 20];
static size_t memory_used;

static void *give(size_t size)
{
	void *p = memory + memory_used;

	memory_used += (size + 15) & ~(size_t)15;
	check(memory_used <= sizeof(memory));
	return p;
}

static ProtobufCMessage *message_fill(const ProtobufCMessageDescriptor *desc, uint64_t seed);

static void value_fill(const ProtobufCFieldDescriptor *f, void *at, uint64_t seed)
{
	static uint8_t some[40] = { 1, 2, 0, 255 };
	ProtobufCBinaryData bytes = { .len = seed % sizeof(some), .data = some };

	if (f->type == PROTOBUF_C_TYPE_STRING) {
		*(char **)at = give(16);
		snprintf(*(char **)at, 16, "s%x", (unsigned)seed);
	} else if (f->type == PROTOBUF_C_TYPE_BYTES) {
		memcpy(at, &bytes, sizeof(bytes));
	} else if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
		*(ProtobufCMessage **)at = message_fill(f->descriptor, seed);
	} else if (f->type == PROTOBUF_C_TYPE_BOOL) {
		*(protobuf_c_boolean *)at = seed & 1;
	} else {
		memcpy(at, &seed, field_stride(f->type));
	}
}

/* Every field set, every repeated one three times. */
static ProtobufCMessage *message_fill(const ProtobufCMessageDescriptor *desc, uint64_t seed)
{
	ProtobufCMessage *msg = give(desc->sizeof_message);

	desc->message_init(msg);
	for (unsigned i = 0; i < desc->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &desc->fields[i];
		char *at = (char *)msg + f->offset;
		void *quantifier = (char *)msg + f->quantifier_offset;

		seed = seed * UINT64_C(6364136223846793005) + f->id;
		if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
			*(uint32_t *)quantifier = f->id;
		} else if (f->label == PROTOBUF_C_LABEL_REPEATED) {
			*(size_t *)quantifier = 3;
			*(void **)at = give(3 * field_stride(f->type));
			at = *(char **)at;
			value_fill(f, at + field_stride(f->type), seed + 1);
			value_fill(f, at + 2 * field_stride(f->type), seed + 2);
		} else if (f->label == PROTOBUF_C_LABEL_OPTIONAL &&
		           f->type != PROTOBUF_C_TYPE_MESSAGE &&
		           f->type != PROTOBUF_C_TYPE_STRING) {
			*(protobuf_c_boolean *)quantifier = 1;
		}
		value_fill(f, at, seed);
	}
	return msg;
}

/* Field 1 of tasks, threads and files is their owner. */
static void set_owner(ProtobufCMessage *msg, uint32_t owner)
{
	const ProtobufCFieldDescriptor *f = msg->descriptor->fields;

	if (msg->descriptor->n_fields && f->type == PROTOBUF_C_TYPE_UINT32 &&
	    f->label == PROTOBUF_C_LABEL_NONE)
		*(uint32_t *)((char *)msg + f->offset) = owner;
}

static ProtobufCMessage *message_of(uint32_t kind)
{
	ProtobufCMessage *msg = message_fill(kind_descriptor(kind), kind);

	set_owner(msg, kind_family(kind) == FAMILY_FD ? kind : 1);
	return msg;
}

static uint32_t owner_of(uint32_t kind)
{
	return kind_family(kind) == FAMILY_FD ? kind : 1;
}

static bool testable(uint32_t kind)
{
	return kind_name(kind) && kind != KIND_manifest && kind != KIND_file;
}

static void put_file(struct image_writer *w, uint32_t kind)
{
	Img__File *file = (Img__File *)message_fill(kind_descriptor(KIND_file), kind);

	file->id = file->kind = kind;
	check(!image_put(w, KIND_file, kind, &file->base));
}

static bool same(const ProtobufCMessage *a, const ProtobufCMessage *b)
{
	size_t size = protobuf_c_message_get_packed_size(a);
	uint8_t *x = give(size), *y = give(size);

	if (protobuf_c_message_get_packed_size(b) != size)
		return false;
	protobuf_c_message_pack(a, x);
	protobuf_c_message_pack(b, y);
	return !memcmp(x, y, size);
}

TEST(every_kind_of_message_makes_the_round_trip)
{
	struct place p = place_new();
	struct image_writer *w;
	struct images *im;

	check(!image_writer_new(p.fd, 0600, NULL, &w));
	for (uint32_t k = KIND_LIMIT; k-- > 0; memory_used = 0) {
		if (kind_family(k) == FAMILY_FD)
			put_file(w, k);
		if (testable(k))
			check(!image_put(w, k, owner_of(k), message_of(k)));
	}
	check(!seal(w, false));
	image_writer_free(w);
	check(!images_read(p.dir, PAGES_USED, NULL, &im));
	for (uint32_t k = 0; k < KIND_LIMIT; k++, memory_used = 0)
		if (testable(k))
			check(same(message_of(k), images_one(im, k, owner_of(k))));
	images_free(im);
	place_free(&p);
}

TEST(every_kind_has_the_message_of_its_name)
{
	for (uint32_t k = 0; k < KIND_LIMIT; k++) {
		const ProtobufCMessageDescriptor *d = kind_descriptor(k);
		const char *name = kind_name(k), *m = d ? d->short_name : "";

		check(!d == !name && !d == (kind_family(k) == FAMILY_NONE));
		for (; name && *name; name++, m++) {
			name += *name == '_';
			check((*m | 0x20) == *name || *m == *name);
		}
		check(!*m);
	}
}

/* What the decoder relies on: protobuf-c bounds the depth by the schema alone. */
static bool nesting_ends(const ProtobufCMessageDescriptor *d, int depth)
{
	for (unsigned i = 0; depth && i < d->n_fields; i++)
		if (d->fields[i].type == PROTOBUF_C_TYPE_MESSAGE &&
		    !nesting_ends(d->fields[i].descriptor, depth - 1))
			return false;
	return depth > 0;
}

TEST(no_message_contains_itself)
{
	for (uint32_t k = 0; k < KIND_LIMIT; k++)
		check(!kind_name(k) || nesting_ends(kind_descriptor(k), 8));
}

/* ---- the writer ---- */

static bool exists(const struct place *p, const char *name)
{
	return !faccessat(p->fd, name, F_OK, 0);
}

TEST(files_are_private)
{
	struct place p = place_new();
	static const char *const names[] = { "state.img", "pages-0.img", "manifest.img" };

	checkpoint_write(&p);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct stat st;

		check(!fstatat(p.fd, names[i], &st, 0));
		check((st.st_mode & 07777) == 0600);
	}
	check(place_empty(&p) == 3);
	place_free(&p);
}

TEST(an_unsealed_writer_leaves_nothing)
{
	struct place p = place_new();
	struct image_writer *w;
	struct pages_file *file;

	check(!image_writer_new(p.fd, 0600, NULL, &w));
	check(!image_add_pages(w, &file));
	check(!pages_file_write(file, "x", 1));
	put_task(w, 1);
	check(exists(&p, "pages-0.img"));
	image_writer_free(w);
	check(place_empty(&p) == 0);
	place_free(&p);
}

TEST(a_failed_seal_leaves_nothing)
{
	struct place p = place_new();
	struct image_writer *w;

	check(!image_writer_new(p.fd, 0600, NULL, &w));
	put_task(w, 1);
	check(!mkdirat(p.fd, "manifest.img", 0700)); /* rename(2) will refuse */
	check(seal(w, true) == -EISDIR);
	check(strstr(log_failure(), "manifest.img"));
	image_writer_free(w);
	check(!unlinkat(p.fd, "manifest.img", AT_REMOVEDIR));
	check(place_empty(&p) == 0);
	place_free(&p);
}

TEST(a_full_disk_leaves_nothing)
{
	struct place p = place_new();
	struct rlimit limit = { 1 << 20, 1 << 20 };
	struct image_writer *w;
	struct pages_file *file;
	int r = 0;

	signal(SIGXFSZ, SIG_IGN);
	check(!setrlimit(RLIMIT_FSIZE, &limit));
	check(!image_writer_new(p.fd, 0600, NULL, &w));
	check(!image_add_pages(w, &file));
	for (int i = 0; i < 20 && r == 0; i++)
		r = pages_file_write(file, memory, 100000);
	check(r == -EFBIG && strstr(log_failure(), "pages-0.img: write"));
	image_writer_free(w);
	check(place_empty(&p) == 0);
	place_free(&p);
}

TEST(a_checkpoint_is_not_overwritten)
{
	struct place p = place_new();
	struct image_writer *w;

	checkpoint_write(&p);
	check(image_writer_new(p.fd, 0600, NULL, &w) == -EEXIST);
	check(strstr(log_failure(), "holds a checkpoint already"));
	check(place_empty(&p) == 3);
	place_free(&p);
}

TEST(a_directory_into_which_somebody_writes_is_refused)
{
	struct place p = place_new();
	struct image_writer *w, *second;

	check(!image_writer_new(p.fd, 0600, NULL, &w));
	check(image_writer_new(p.fd, 0600, NULL, &second) == -EBUSY);
	check(strstr(log_failure(), "another crtool writes"));
	check(exists(&p, "state.img"));
	image_writer_free(w);
	place_free(&p);
}

static void touch(const struct place *p, const char *name)
{
	int fd = openat(p->fd, name, O_WRONLY | O_CREAT, 0600);

	check(fd >= 0);
	close(fd);
}

TEST(what_a_killed_writer_left_is_removed_by_the_next)
{
	struct place p = place_new();
	struct image_writer *w;

	touch(&p, "state.img");
	touch(&p, "pages-0.img");
	touch(&p, "pages-17.img");
	touch(&p, "manifest.img.tmp");
	check(!image_writer_new(p.fd, 0600, NULL, &w));
	check(!exists(&p, "pages-0.img") && !exists(&p, "pages-17.img"));
	check(!exists(&p, "manifest.img.tmp"));
	image_writer_free(w);
	place_free(&p);
}

TEST(nothing_is_removed_from_a_directory_that_holds_other_files)
{
	struct place p = place_new();
	struct image_writer *w;

	touch(&p, "pages-0.img");
	touch(&p, "pages-0.img.mine");
	check(image_writer_new(p.fd, 0600, NULL, &w) == -ENOTEMPTY);
	check(strstr(log_failure(), "pages-0.img.mine"));
	check(exists(&p, "pages-0.img") && exists(&p, "pages-0.img.mine"));
	check(unlinkat(p.fd, "pages-0.img", 0) == 0);
	check(unlinkat(p.fd, "pages-0.img.mine", 0) == 0);
	place_free(&p);
}

TEST(a_synced_checkpoint_reads_back)
{
	struct place p = place_new();
	struct image_writer *w;
	struct images *im;

	check(!image_writer_new(p.fd, 0600, NULL, &w));
	check(!seal(w, true));
	image_writer_free(w);
	check(!images_read(p.dir, PAGES_USED, NULL, &im));
	check(im->nrecords == 0 && im->npages == 0);
	images_free(im);
	place_free(&p);
}

/* ---- many records ---- */

TEST(records_are_found_by_kind_and_owner)
{
	struct place p = place_new();
	struct image_writer *w;
	struct images *im;
	size_t n;

	check(!image_writer_new(p.fd, 0600, NULL, &w));
	for (uint32_t pid = 40000; pid > 0; pid--) /* beyond one chunk */
		put_task(w, pid);
	check(!seal(w, false));
	image_writer_free(w);
	check(!images_read(p.dir, PAGES_USED, NULL, &im));
	check(images_kind(im, KIND_task, &n)->owner == 1 && n == 40000);
	check(images_find(im, KIND_task, 777, &n)->owner == 777 && n == 1);
	check(!images_one(im, KIND_task, 40001) && !images_one(im, KIND_thread, 1));
	images_kind(im, KIND_pages, &n);
	check(n == 0);
	images_free(im);
	place_free(&p);
}

TEST(records_of_one_owner_keep_their_order)
{
	struct place p = place_new();
	struct image_writer *w;
	struct pages_file *file;
	const struct record *r;
	struct images *im;
	size_t n;

	check(!image_writer_new(p.fd, 0600, NULL, &w));
	for (uint32_t i = 0; i < 5; i++) {
		check(!image_add_pages(w, &file));
		put_pages(w, i);
	}
	check(!seal(w, false));
	image_writer_free(w);
	check(!images_read(p.dir, PAGES_USED, NULL, &im));
	r = images_find(im, KIND_pages, 1, &n);
	check(n == 5);
	for (uint32_t i = 0; i < 5; i++)
		check(((const Img__Pages *)r[i].msg)->file == i);
	images_free(im);
	place_free(&p);
}

TEST(a_record_bigger_than_the_buffer_is_written_whole)
{
	struct place p = place_new();
	static uint8_t xstate[3 << 20] = { 1, 2, 3 };
	Img__Thread *thread = (Img__Thread *)message_of(KIND_thread);
	struct image_writer *w;
	struct images *im;

	thread->xstate.data = xstate;
	thread->xstate.len = sizeof(xstate);
	check(!image_writer_new(p.fd, 0600, NULL, &w));
	put_task(w, 1);
	check(!image_put(w, KIND_thread, 1, &thread->base));
	put_task(w, 2);
	check(!seal(w, false));
	image_writer_free(w);
	check(!images_read(p.dir, PAGES_USED, NULL, &im));
	thread = (Img__Thread *)images_one(im, KIND_thread, 1);
	check(thread->xstate.len == sizeof(xstate) && thread->xstate.data[2] == 3);
	images_free(im);
	place_free(&p);
}

/* ---- pages ---- */

static void *write_pages(void *file)
{
	for (int i = 0; i < 300; i++)
		check(!pages_file_write(file, memory + i, 64 << 10));
	return NULL;
}

TEST(several_threads_write_pages_at_once)
{
	struct place p = place_new();
	struct image_writer *w;
	struct pages_file *file[4];
	pthread_t thread[4];
	struct images *im;

	check(!image_writer_new(p.fd, 0600, NULL, &w));
	for (int i = 0; i < 4; i++)
		check(!image_add_pages(w, &file[i]));
	for (int i = 0; i < 4; i++)
		check(!pthread_create(&thread[i], NULL, write_pages, file[i]));
	for (int i = 0; i < 4; i++)
		check(!pthread_join(thread[i], NULL));
	check(pages_file_index(file[3]) == 3 && pages_file_size(file[3]) == 300 << 16);
	check(!seal(w, false));
	image_writer_free(w);
	check(!images_read(p.dir, PAGES_USED, NULL, &im));
	check(im->npages == 4);
	images_free(im);
	place_free(&p);
}

TEST(runs_of_pages_are_decoded)
{
	struct place p = place_new();
	const Img__Pages *msg;
	struct page_iter it;
	struct page_run run;
	struct images *im;

	checkpoint_write(&p);
	check(!images_read(p.dir, PAGES_USED, NULL, &im));
	msg = (const Img__Pages *)images_one(im, KIND_pages, 1);
	check(!pages_check(im, msg) && pages_bytes(im, msg) == 3 * 4096);
	it = pages_iter(im, msg);
	check(pages_next(&it, &run));
	check(run.start == 0x10000 && run.size == 4096 && run.offset == 0);
	check(pages_next(&it, &run));
	check(run.start == 0x20000 && run.size == 8192 && run.offset == 4096);
	check(!pages_next(&it, &run));
	images_free(im);
	place_free(&p);
}
