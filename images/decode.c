/*
 * From bytes to messages. The bytes may come from anybody: every length is
 * compared with what is left before it is used, messages come out of a heap
 * with a limit, and what this version does not know is refused by name, since
 * it would be lost silently otherwise.
 *
 * protobuf-c bounds the nesting by the schema: no message of ours may contain
 * itself.
 */
#include "images/decode.h"

#include <errno.h>
#include <inttypes.h>

#include "images/format.h"
#include "images/hash.h"
#include "images/heap.h"
#include "images/reflect.h"
#include "lib/cleanup.h"
#include "lib/log.h"

/*
 * Decoded, a byte of an image becomes at most this many: the worst of our
 * messages is a repeated one whose elements are empty (2 bytes).
 */
#define HEAP_FACTOR 128

int images_new(const char *dir, struct images **ret)
{
	struct images *im = calloc(1, sizeof(*im));

	if (!im)
		return -ENOMEM;
	im->dirfd = -1;
	im->dir = strdup(dir);
	im->heap = calloc(1, sizeof(*im->heap));
	if (!im->dir || !im->heap) {
		images_free(im);
		return -ENOMEM;
	}
	heap_init(im->heap, 0);
	*ret = im;
	return 0;
}

/* The heap may grow by what SIZE bytes of image can need. */
static void heap_allow(struct heap *h, size_t size)
{
	h->limit += size * HEAP_FACTOR + (1 << 20);
}

static int version_check(const struct images *im, const char *file, uint32_t version)
{
	if (version > FORMAT_VERSION)
		return fail(-EBADMSG,
		            "checkpoint %s: %s: written by a newer crtool (format %" PRIu32
		            ", this one reads up to %d); restore with that crtool",
		            im->dir, file, version, FORMAT_VERSION);
	if (version < 1)
		return fail(-EBADMSG, "checkpoint %s: %s: format version 0; " DAMAGED, im->dir,
		            file);
	return 0;
}

static int manifest_header_check(const struct images *im, const uint8_t *data, size_t size,
                                 struct manifest_header *ret)
{
	int r;

	if (size < sizeof(*ret))
		return fail(-EBADMSG,
		            "checkpoint %s: " MANIFEST_FILE ": cut off at %zu bytes; " DAMAGED,
		            im->dir, size);
	memcpy(ret, data, sizeof(*ret));
	if (memcmp(ret->magic, MANIFEST_MAGIC, sizeof(ret->magic)) != 0)
		return fail(-EBADMSG,
		            "checkpoint %s: " MANIFEST_FILE
		            ": not a manifest of crtool (magic at offset 0); " DAMAGED,
		            im->dir);
	r = version_check(im, MANIFEST_FILE, ret->version);
	if (r < 0)
		return r;
	if (ret->size != size - sizeof(*ret))
		return fail(-EBADMSG,
		            "checkpoint %s: " MANIFEST_FILE ": %zu bytes instead of %" PRIu64
		            "; " DAMAGED,
		            im->dir, size, (uint64_t)ret->size + sizeof(*ret));
	if (ret->hash != XXH3_64bits(data + sizeof(*ret), ret->size))
		return fail(-EBADMSG,
		            "checkpoint %s: " MANIFEST_FILE
		            ": wrong checksum of the message at offset %zu; " DAMAGED,
		            im->dir, sizeof(*ret));
	return 0;
}

/* state.img first, then the page files by index: the names carry nothing else. */
static int manifest_names_check(const struct images *im)
{
	const Img__Manifest *m = im->manifest;
	uint64_t total = 0, plain = 0;

	if (!m->n_files || m->n_files > PAGES_FILES_MAX + 1)
		return fail(-EBADMSG, "checkpoint %s: " MANIFEST_FILE ": lists %zu files; " DAMAGED,
		            im->dir, m->n_files);
	for (size_t i = 0; i < m->n_files; i++) {
		char name[FILE_NAME_MAX] = STATE_FILE;

		if (__builtin_add_overflow(total, m->files[i]->size, &total) || total > PAGES_MAX)
			return fail(-EBADMSG,
			            "checkpoint %s: " MANIFEST_FILE ": lists more than %" PRIu64
			            " bytes; " DAMAGED,
			            im->dir, PAGES_MAX);
		if (__builtin_add_overflow(plain, m->files[i]->plain, &plain) || plain > PAGES_MAX)
			return fail(-EBADMSG,
			            "checkpoint %s: " MANIFEST_FILE ": lists more than %" PRIu64
			            " bytes; " DAMAGED,
			            im->dir, PAGES_MAX);
		if (m->files[i]->codec > (i ? CODEC_ZSTD : CODEC_NONE))
			return fail(
				-EBADMSG,
				"checkpoint %s: " MANIFEST_FILE
				": file %zu of the list is compressed in a way that this crtool "
				"does not know (%" PRIu32 ")",
				im->dir, i, m->files[i]->codec);
		if (i)
			snprintf(name, sizeof(name), PAGES_FILE, (unsigned)(i - 1));
		if (strcmp(m->files[i]->name, name) != 0)
			return fail(-EBADMSG,
			            "checkpoint %s: " MANIFEST_FILE
			            ": file %zu of the list is not %s; " DAMAGED,
			            im->dir, i, name);
	}
	return 0;
}

int manifest_decode(struct images *im, const uint8_t *data, size_t size)
{
	struct manifest_header header;
	const char *message;
	uint32_t number;
	int r = manifest_header_check(im, data, size, &header);

	if (r < 0)
		return r;
	heap_allow(im->heap, size);
	im->manifest =
		img__manifest__unpack(&im->heap->allocator, header.size, data + sizeof(header));
	if (!im->manifest)
		return fail(-EBADMSG,
		            "checkpoint %s: " MANIFEST_FILE
		            ": message at offset %zu cannot be decoded; " DAMAGED,
		            im->dir, sizeof(header));
	message = message_unknown(&im->manifest->base, &number);
	if (message)
		return fail(-EBADMSG,
		            "checkpoint %s: " MANIFEST_FILE ": field %" PRIu32
		            " of message %s is unknown to this crtool; restore with a newer one",
		            im->dir, number, message);
	return manifest_names_check(im);
}

static int state_header_check(const struct images *im, const uint8_t *data, size_t size)
{
	struct state_header header;

	if (size < sizeof(header))
		return fail(-EBADMSG,
		            "checkpoint %s: " STATE_FILE ": cut off at %zu bytes; " DAMAGED,
		            im->dir, size);
	memcpy(&header, data, sizeof(header));
	if (memcmp(header.magic, STATE_MAGIC, sizeof(header.magic)) != 0 || header.reserved)
		return fail(-EBADMSG,
		            "checkpoint %s: " STATE_FILE
		            ": not an image of crtool (header at offset 0); " DAMAGED,
		            im->dir);
	return version_check(im, STATE_FILE, header.version);
}

static bool is_zero(const uint8_t *p, const uint8_t *end)
{
	while (p < end && !*p)
		p++;
	return p == end;
}

/* The header of the record at AT: kind, length and padding are as they must be. */
static int record_header_check(const struct images *im, const uint8_t *data, size_t size, size_t at,
                               struct record_header *ret)
{
	const uint8_t *msg = data + at + sizeof(*ret);

	if (size - at < sizeof(*ret))
		return fail(-EBADMSG,
		            "checkpoint %s: " STATE_FILE
		            ": record header at offset %zu is cut off; " DAMAGED,
		            im->dir, at);
	memcpy(ret, data + at, sizeof(*ret));
	if (!kind_descriptor(ret->kind))
		return fail(-EBADMSG,
		            "checkpoint %s: " STATE_FILE
		            ": record at offset %zu is of kind %" PRIu32
		            ", unknown to this crtool; restore with a newer one",
		            im->dir, at, ret->kind);
	if (ret->kind == KIND_manifest || ret->reserved)
		return fail(-EBADMSG,
		            "checkpoint %s: " STATE_FILE
		            ": record header at offset %zu is wrong; " DAMAGED,
		            im->dir, at);
	if (ret->size > RECORD_MAX || record_padded(ret->size) > size - at - sizeof(*ret))
		return fail(-EBADMSG,
		            "checkpoint %s: " STATE_FILE ": record %s at offset %zu has %" PRIu32
		            " bytes, more than the file; " DAMAGED,
		            im->dir, kind_name(ret->kind), at, ret->size);
	if (!is_zero(msg + ret->size, msg + record_padded(ret->size)))
		return fail(-EBADMSG,
		            "checkpoint %s: " STATE_FILE
		            ": record %s at offset %zu is not padded with zeros; " DAMAGED,
		            im->dir, kind_name(ret->kind), at);
	return 0;
}

static int record_decode(struct images *im, const uint8_t *data, size_t at,
                         const struct record_header *h, struct record *ret)
{
	const char *message;
	uint32_t number;

	ret->kind = h->kind;
	ret->owner = h->owner;
	ret->offset = at;
	ret->msg = protobuf_c_message_unpack(kind_descriptor(h->kind), &im->heap->allocator,
	                                     h->size, data + at + sizeof(*h));
	if (!ret->msg)
		return fail(-EBADMSG,
		            "checkpoint %s: " STATE_FILE
		            ": record %s at offset %zu cannot be decoded; " DAMAGED,
		            im->dir, kind_name(h->kind), at);
	message = message_unknown(ret->msg, &number);
	if (message)
		return fail(-EBADMSG,
		            "checkpoint %s: " STATE_FILE ": record %s at offset %zu: field %" PRIu32
		            " of message %s is unknown to this crtool; restore with a newer one",
		            im->dir, kind_name(h->kind), at, number, message);
	return 0;
}

static int record_compare(const void *a, const void *b)
{
	const struct record *x = a, *y = b;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	if (x->owner != y->owner)
		return x->owner < y->owner ? -1 : 1;
	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

int state_decode(struct images *im, const uint8_t *data, size_t size)
{
	ARRAY(struct record) records = {};
	size_t at = sizeof(struct state_header);
	int r = state_header_check(im, data, size);

	heap_allow(im->heap, size);
	while (r == 0 && at < size) {
		struct record_header header;
		struct record *record;

		r = record_header_check(im, data, size, at, &header);
		if (r < 0)
			break;
		record = array_add(&records);
		r = record ? record_decode(im, data, at, &header, record) : -ENOMEM;
		im->records = records.v;
		im->nrecords = records.n;
		at += sizeof(header) + record_padded(header.size);
	}
	if (r < 0)
		return r;
	if (records.n)
		qsort(records.v, records.n, sizeof(*records.v), record_compare);
	return owners_check(im);
}
