/*
 * crtool show: every message by reflection, so that a new kind is printed
 * without a line here. Numbers stay numbers: what they mean is said in
 * proto/NAME.proto. Two things are shortened in text: bytes beyond 16, and the
 * runs of pages, which are summed up.
 */
#include "images/show.h"

#include <errno.h>
#include <inttypes.h>

#include "images/decode.h"
#include "images/pages.h"
#include "images/reflect.h"
#include "images/show_json.h"
#include "lib/log.h"

#define BYTES_SHOWN  16
#define VALUES_SHOWN 16 /* per line */

static void print_message(FILE *out, const ProtobufCMessage *msg, int depth);

/*
 * Names in images come from the target: they must not drive the terminal, not
 * by the C1 controls of UTF-8 (c2 80 to c2 9f) either.
 */
static void print_escaped(FILE *out, const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '\\' || c == '"')
			fprintf(out, "\\%c", c);
		else if (c >= 0x20 && c != 0x7f && (c != 0xc2 || (unsigned char)s[1] >= 0xa0))
			putc(c, out);
		else
			fprintf(out, "\\x%02x", c);
	}
}

static void print_bytes(FILE *out, const ProtobufCBinaryData *b)
{
	size_t n = b->len < BYTES_SHOWN ? b->len : BYTES_SHOWN;

	for (size_t i = 0; i < n; i++)
		fprintf(out, "%02x", b->data[i]);
	fprintf(out, "%s(%zu bytes)", n < b->len ? "... " : n ? " " : "", b->len);
}

static void print_scalar(FILE *out, ProtobufCType type, const void *value)
{
	switch (type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
	case PROTOBUF_C_TYPE_ENUM:
		fprintf(out, "%" PRId32, *(const int32_t *)value);
		break;
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		fprintf(out, "%" PRIu32, *(const uint32_t *)value);
		break;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		fprintf(out, "%" PRId64, *(const int64_t *)value);
		break;
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		fprintf(out, "%" PRIu64, *(const uint64_t *)value);
		break;
	case PROTOBUF_C_TYPE_FLOAT:
		fprintf(out, "%g", (double)*(const float *)value);
		break;
	case PROTOBUF_C_TYPE_DOUBLE:
		fprintf(out, "%g", *(const double *)value);
		break;
	case PROTOBUF_C_TYPE_BOOL:
		fputs(*(const protobuf_c_boolean *)value ? "true" : "false", out);
		break;
	case PROTOBUF_C_TYPE_STRING:
		putc('"', out);
		print_escaped(out, *(const char *const *)value);
		putc('"', out);
		break;
	case PROTOBUF_C_TYPE_BYTES:
		print_bytes(out, value);
		break;
	case PROTOBUF_C_TYPE_MESSAGE:
		break;
	}
}

static void print_field(FILE *out, const ProtobufCMessage *msg, const ProtobufCFieldDescriptor *f,
                        int depth)
{
	const char *value;
	const void *first;
	size_t n = field_values(msg, f, &first);

	value = first;
	for (size_t i = 0; i < n; i++, value += field_stride(f->type)) {
		if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
			fprintf(out, "%*s%s\n", depth * 2, "", f->name);
			print_message(out, *(ProtobufCMessage *const *)(const void *)value,
			              depth + 1);
			continue;
		}
		if (i % VALUES_SHOWN == 0)
			fprintf(out, "%*s%s:", depth * 2, "", f->name);
		putc(' ', out);
		print_scalar(out, f->type, value);
		if (i % VALUES_SHOWN == VALUES_SHOWN - 1 || i == n - 1)
			putc('\n', out);
	}
}

static void print_message(FILE *out, const ProtobufCMessage *msg, int depth)
{
	for (unsigned i = 0; i < msg->descriptor->n_fields; i++)
		print_field(out, msg, &msg->descriptor->fields[i], depth);
}

static void print_pages(FILE *out, const struct images *im, const Img__Pages *msg)
{
	struct page_iter it = pages_iter(im, msg);
	struct page_run run = {};
	uint64_t first = 0;

	for (size_t i = 0; pages_next(&it, &run); i++)
		if (i == 0)
			first = run.start;
	fprintf(out, "  file: %" PRIu32 "\n  offset: %" PRIu64 "\n", msg->file, msg->offset);
	fprintf(out, "  runs: %zu, %" PRIu64 " bytes from %#" PRIx64 " to %#" PRIx64 "\n",
	        msg->n_start, pages_bytes(im, msg), first, run.start + run.size);
}

static void show_text(FILE *out, const struct images *im)
{
	fputs("manifest\n", out);
	print_message(out, &im->manifest->base, 1);
	for (size_t i = 0; i < im->nrecords; i++) {
		const struct record *r = &im->records[i];

		fprintf(out, "%s %" PRIu32 "\n", kind_name(r->kind), r->owner);
		if (r->kind == KIND_pages)
			print_pages(out, im, (const Img__Pages *)r->msg);
		else
			print_message(out, r->msg, 1);
	}
}

/* Runs are printed as addresses: only those that hold up. */
static int all_pages_check(const struct images *im)
{
	size_t n;
	const struct record *r = images_kind(im, KIND_pages, &n);

	for (size_t i = 0; i < n; i++) {
		int e = pages_check(im, (const Img__Pages *)r[i].msg);

		if (e < 0)
			return e;
	}
	return 0;
}

int images_print(const struct images *im, bool json, FILE *out)
{
	int r = all_pages_check(im);

	if (r == 0 && json)
		r = show_json(out, im);
	else if (r == 0)
		show_text(out, im);
	if (r == 0 && fflush(out) == EOF)
		r = fail(-errno, "show: write");
	return r;
}

int images_show(const char *dir, const struct image_keys *keys, bool json, FILE *out)
{
	struct images *im;
	enum pages_use use = keys && keys->has_verify ? PAGES_VERIFIED : PAGES_LEFT;
	int r = images_read(dir, use, keys, &im);

	if (r < 0)
		return r;
	r = images_print(im, json, out);
	images_free(im);
	return r;
}
