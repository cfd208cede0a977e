#include "images/show_json.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>

#include "images/reflect.h"
#include "lib/cleanup.h"
#include "lib/log.h"

static json_object *json_message(const ProtobufCMessage *msg);

static json_object *json_bytes(const ProtobufCBinaryData *b)
{
	static const char digits[] = "0123456789abcdef";
	auto_free char *hex = malloc(b->len * 2 + 1);

	if (!hex)
		return NULL;
	for (size_t i = 0; i < b->len; i++) {
		hex[2 * i] = digits[b->data[i] >> 4];
		hex[2 * i + 1] = digits[b->data[i] & 15];
	}
	return json_object_new_string_len(hex, (int)(b->len * 2));
}

/* Bytes of the UTF-8 character at S; 0 when there is none. Surrogates and overlong forms are none. */
static size_t utf8_length(const unsigned char *s)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = *s < 0x80 ? 1 : *s >= 0xf0 ? 4 : *s >= 0xe0 ? 3 : *s >= 0xc0 ? 2 : 0;
	uint32_t c = n < 2 ? *s : *s & (0x7fu >> n);

	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (n >= 2 && (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)))
		return 0;
	return n;
}

/* A path is bytes, JSON is UTF-8: an odd byte becomes the character of its number. */
static json_object *json_string(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	auto_free char *utf8 = malloc(strlen(text) * 2 + 1);
	size_t len = 0;

	if (!utf8)
		return NULL;
	while (*s) {
		size_t n = utf8_length(s);

		memcpy(utf8 + len, s, n);
		len += n;
		if (n == 0) {
			utf8[len++] = (char)(0xc0 | *s >> 6);
			utf8[len++] = (char)(0x80 | (*s & 0x3f));
			n = 1;
		}
		s += n;
	}
	return json_object_new_string_len(utf8, (int)len);
}

static json_object *json_value(ProtobufCType type, const void *value)
{
	switch (type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
	case PROTOBUF_C_TYPE_ENUM:
		return json_object_new_int(*(const int32_t *)value);
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		return json_object_new_uint64(*(const uint32_t *)value);
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		return json_object_new_int64(*(const int64_t *)value);
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		return json_object_new_uint64(*(const uint64_t *)value);
	case PROTOBUF_C_TYPE_FLOAT:
		return json_object_new_double((double)*(const float *)value);
	case PROTOBUF_C_TYPE_DOUBLE:
		return json_object_new_double(*(const double *)value);
	case PROTOBUF_C_TYPE_BOOL:
		return json_object_new_boolean(*(const protobuf_c_boolean *)value);
	case PROTOBUF_C_TYPE_STRING:
		return json_string(*(const char *const *)value);
	case PROTOBUF_C_TYPE_BYTES:
		return json_bytes(value);
	case PROTOBUF_C_TYPE_MESSAGE:
		return json_message(*(ProtobufCMessage *const *)value);
	}
	return NULL;
}

/* Hand VALUE over; without memory both vanish. */
static json_object *json_with(json_object *to, const char *key, json_object *value)
{
	if (to && value &&
	    (key ? json_object_object_add(to, key, value) : json_object_array_add(to, value)) == 0)
		return to;
	json_object_put(to);
	json_object_put(value);
	return NULL;
}

static json_object *json_field(const ProtobufCFieldDescriptor *f, const char *value, size_t n)
{
	json_object *list;

	if (f->label != PROTOBUF_C_LABEL_REPEATED)
		return json_value(f->type, value);
	list = json_object_new_array();
	for (size_t i = 0; list && i < n; i++, value += field_stride(f->type))
		list = json_with(list, NULL, json_value(f->type, value));
	return list;
}

static json_object *json_message(const ProtobufCMessage *msg)
{
	json_object *o = json_object_new_object();

	for (unsigned i = 0; o && i < msg->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &msg->descriptor->fields[i];
		const void *first;
		size_t n = field_values(msg, f, &first);

		if (n || f->label == PROTOBUF_C_LABEL_REPEATED)
			o = json_with(o, f->name, json_field(f, first, n));
	}
	return o;
}

static json_object *json_record(const struct record *r)
{
	json_object *o = json_object_new_object();

	o = json_with(o, "kind", json_object_new_string(kind_name(r->kind)));
	o = json_with(o, "owner", json_object_new_uint64(r->owner));
	o = json_with(o, "offset", json_object_new_uint64(r->offset));
	return json_with(o, "message", json_message(r->msg));
}

/* One object at a time: all of them together would need a multiple of the images in memory. */
static int json_print(FILE *out, json_object *o, const char *after)
{
	const char *text = o ? json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN) : NULL;

	if (text)
		fprintf(out, "%s%s\n", text, after);
	json_object_put(o);
	return text ? 0 : fail(-ENOMEM, "show");
}

int show_json(FILE *out, const struct images *im)
{
	int r;

	fputs("{\"manifest\": ", out);
	r = json_print(out, json_message(&im->manifest->base), ",");
	fputs("\"records\": [\n", out);
	for (size_t i = 0; r == 0 && i < im->nrecords; i++)
		r = json_print(out, json_record(&im->records[i]), i + 1 < im->nrecords ? "," : "");
	fputs("]}\n", out);
	return r;
}
