/*
 * Mutating a decoded checkpoint by the descriptors of its messages: what comes
 * out is valid protobuf with hostile values. Used by the fuzz target model
 * and by test/tools/mutate.
 */
#pragma once

#include <string.h>

#include "images/decode.h"
#include "images/format.h"
#include "images/heap.h"
#include "images/reflect.h"
#include "lib/array.h"

struct mutator {
	struct images *im;
	uint64_t random; /* state of the generator */
};

/* splitmix64 */
static inline uint64_t mutate_random(struct mutator *m)
{
	uint64_t z = m->random += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static inline size_t mutate_below(struct mutator *m, size_t n)
{
	return n ? (size_t)(mutate_random(m) % n) : 0;
}

/* A number that may mean something: borders, neighbours of OLD, numbers of others. */
static inline uint64_t mutate_number(struct mutator *m, uint64_t old)
{
	static const uint64_t borders[] = {
		0,          1,          2,          3,          7,           8,
		15,         16,         31,         32,         63,          64,
		65,         127,        128,        255,        256,         1023,
		1024,       4095,       4096,       4097,       65535,       65536,
		1u << 20,   1u << 22,   0x7fffffff, 0x80000000, 0xfffffffe,  0xffffffff,
		1ull << 32, 1ull << 40, 1ull << 46, 1ull << 47, 1ull << 62,  INT64_MAX,
		1ull << 63, -4096ull,   -2ull,      -1ull,      0x7ffff7000, 0x7ffffffff000,
	};

	switch (mutate_below(m, 8)) {
	case 0:
	case 1:
		return borders[mutate_below(m, ARRAY_SIZE(borders))];
	case 2:
		return old + 1;
	case 3:
		return old - 1;
	case 4:
		return old + (mutate_below(m, 2) ? 4096u : -4096ull);
	case 5:
		return m->im->nrecords ? m->im->records[mutate_below(m, m->im->nrecords)].owner : 0;
	case 6:
		return old ^ 1ull << mutate_below(m, 64);
	default:
		return mutate_random(m) >> mutate_below(m, 64);
	}
}

static inline char *mutate_text(struct mutator *m, const char *old)
{
	static const char *const texts[] = {
		"",
		"/",
		".",
		"..",
		"/etc/passwd",
		"../../escaped",
		"/tmp",
		"/proc/self/mem",
		"%s%n",
		"\n",
		"/dev/zero",
		"//",
	};
	size_t len = strlen(old), way = mutate_below(m, 8);
	char *text = heap_alloc(m->im->heap, len + 5002);

	if (!text)
		return NULL;
	strcpy(text, way < 3 ? texts[mutate_below(m, ARRAY_SIZE(texts))] : old);
	if (way == 3)
		memset(text + len, 'A', 5000), text[len + 5000] = '\0';
	else if (way == 4 && len)
		text[mutate_below(m, len)] = '\0';
	else if (way > 4 && len)
		text[mutate_below(m, len)] = (char)(1 + mutate_below(m, 127));
	return text;
}

static inline void mutate_bytes(struct mutator *m, ProtobufCBinaryData *b)
{
	size_t len = mutate_below(m, 4) ? b->len : mutate_below(m, b->len + 70);
	uint8_t *data = heap_alloc(m->im->heap, len + 1);

	if (!data)
		return;
	memset(data, 0, len);
	if (len && b->len)
		memcpy(data, b->data, len < b->len ? len : b->len);
	for (size_t n = mutate_below(m, 4); len && n; n--)
		data[mutate_below(m, len)] = (uint8_t)mutate_number(m, 0);
	*b = (ProtobufCBinaryData){ len, data };
}

static inline void mutate_message(struct mutator *m, ProtobufCMessage *msg);

/* The value of FIELD at VALUE. */
static inline void mutate_value(struct mutator *m, const ProtobufCFieldDescriptor *field,
                                void *value)
{
	char *text;

	switch (field->type) {
	case PROTOBUF_C_TYPE_MESSAGE:
		if (*(ProtobufCMessage **)value)
			mutate_message(m, *(ProtobufCMessage **)value);
		break;
	case PROTOBUF_C_TYPE_STRING:
		text = mutate_text(m, *(char **)value ? *(char **)value : "");
		if (text)
			*(char **)value = text;
		break;
	case PROTOBUF_C_TYPE_BYTES:
		mutate_bytes(m, value);
		break;
	case PROTOBUF_C_TYPE_BOOL:
		*(protobuf_c_boolean *)value ^= 1;
		break;
	default:
		if (field_stride(field->type) == sizeof(uint64_t))
			*(uint64_t *)value = mutate_number(m, *(uint64_t *)value);
		else
			*(uint32_t *)value = (uint32_t)mutate_number(m, *(uint32_t *)value);
	}
}

/* A new value that is empty, but can be packed. */
static inline bool mutate_new_value(struct mutator *m, const ProtobufCFieldDescriptor *field,
                                    void *value)
{
	const ProtobufCMessageDescriptor *desc = field->descriptor;
	ProtobufCMessage *msg;

	memset(value, 0, field_stride(field->type));
	if (field->type == PROTOBUF_C_TYPE_STRING)
		*(char **)value = mutate_text(m, "");
	if (field->type != PROTOBUF_C_TYPE_MESSAGE)
		return field->type != PROTOBUF_C_TYPE_STRING || *(char **)value;
	msg = heap_alloc(m->im->heap, desc->sizeof_message);
	if (msg)
		desc->message_init(msg);
	*(ProtobufCMessage **)value = msg;
	return msg;
}

/* Values of a list come, go, are doubled or change places. */
static inline void mutate_list(struct mutator *m, const ProtobufCFieldDescriptor *field, size_t *n,
                               void **values)
{
	size_t stride = field_stride(field->type), at = mutate_below(m, *n),
	       add = mutate_below(m, 3);
	char *old = *values, *list = heap_alloc(m->im->heap, (*n + 3) * stride);

	if (!list)
		return;
	if (*n)
		memcpy(list, old, *n * stride);
	if (add == 0 && *n) {
		memmove(list + at * stride, list + (at + 1) * stride, (*n - at - 1) * stride);
		(*n)--;
	} else if (add == 1 && *n) {
		memcpy(list + *n * stride, list + at * stride, stride);
		(*n)++;
	} else if (mutate_new_value(m, field, list + *n * stride)) {
		mutate_value(m, field, list + *n * stride);
		(*n)++;
	}
	*values = list;
}

static inline void mutate_message(struct mutator *m, ProtobufCMessage *msg)
{
	const ProtobufCMessageDescriptor *desc = msg->descriptor;
	const ProtobufCFieldDescriptor *field;
	char *value;
	size_t *n;

	if (!desc->n_fields)
		return;
	field = &desc->fields[mutate_below(m, desc->n_fields)];
	value = (char *)msg + field->offset;
	if (field->label != PROTOBUF_C_LABEL_REPEATED) {
		if (field->type == PROTOBUF_C_TYPE_MESSAGE && !mutate_below(m, 8))
			mutate_new_value(m, field, value);
		else
			mutate_value(m, field, value);
		return;
	}
	n = (size_t *)(void *)((char *)msg + field->quantifier_offset);
	if (!*n || !mutate_below(m, 3))
		mutate_list(m, field, n, (void **)(void *)value);
	else
		mutate_value(m, field,
		             *(char **)(void *)value +
		                     mutate_below(m, *n) * field_stride(field->type));
}

/* One that is found as often as any other kind, however many records of it there are. */
static inline struct record *mutate_choose(struct mutator *m)
{
	struct record *r = &m->im->records[mutate_below(m, m->im->nrecords)];
	size_t n;
	const struct record *of_kind;

	for (int i = 0; i < 4; i++) {
		struct record *other = &m->im->records[mutate_below(m, m->im->nrecords)];
		size_t others;

		of_kind = images_kind(m->im, (enum record_kind)r->kind, &n);
		of_kind = images_kind(m->im, (enum record_kind)other->kind, &others);
		(void)of_kind;
		if (others < n)
			r = other;
	}
	return r;
}

static inline void mutate_copy(struct mutator *m, const struct record *r)
{
	struct record *more = reallocarray(m->im->records, m->im->nrecords + 1, sizeof(*more));
	size_t at;
	struct record copy;

	if (!more)
		return;
	at = (size_t)(r - m->im->records);
	m->im->records = more;
	copy = more[at];
	copy.owner = mutate_below(m, 2) ? copy.owner : (uint32_t)mutate_number(m, copy.owner);
	more[m->im->nrecords++] = copy;
}

/* One mutation. The records are not sorted afterwards: they are to be packed. */
static inline void mutate_once(struct mutator *m)
{
	struct record *r, *other;
	ProtobufCMessage *msg;

	if (!m->im->nrecords)
		return;
	r = mutate_choose(m);
	switch (mutate_below(m, 32)) {
	case 0:
		memmove(r, r + 1, (size_t)(m->im->records + --m->im->nrecords - r) * sizeof(*r));
		break;
	case 1:
		mutate_copy(m, r);
		break;
	case 2:
		r->owner = (uint32_t)mutate_number(m, r->owner);
		break;
	case 3:
		other = &m->im->records[mutate_below(m, m->im->nrecords)];
		if (other->kind != r->kind)
			break;
		msg = r->msg, r->msg = other->msg, other->msg = msg;
		break;
	default:
		mutate_message(m, r->msg);
	}
}

/* All records as state.img has them; its size, 0: they do not fit. */
static inline size_t mutate_pack(const struct images *im, uint8_t *out, size_t max)
{
	struct state_header start = { .magic = STATE_MAGIC, .version = FORMAT_VERSION };
	size_t at = sizeof(start);

	if (max < at)
		return 0;
	memcpy(out, &start, at);
	for (size_t i = 0; i < im->nrecords; i++) {
		const struct record *r = &im->records[i];
		size_t size = protobuf_c_message_get_packed_size(r->msg);
		struct record_header h = { r->kind, (uint32_t)size, r->owner, 0 };

		if (size > max || max - at < sizeof(h) + record_padded(size))
			return 0;
		memcpy(out + at, &h, sizeof(h));
		protobuf_c_message_pack(r->msg, out + at + sizeof(h));
		memset(out + at + sizeof(h) + size, 0, record_padded(size) - size);
		at += sizeof(h) + record_padded(size);
	}
	return at;
}
