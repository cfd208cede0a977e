/*
 * forge FROM TO KIND.FIELD=VALUE...: the checkpoint FROM with other values, as a
 * forger would write it to TO, an empty directory.
 *
 *	sched.nice=-10                    of all records of that kind
 *	creds.uids=0                      all values of a list
 *	creds.uids[1]=0                   one value; there may be more then
 *	creds.permitted+=0x2000           with these bits
 *	regular.path=/tmp/out:/tmp/new    a string, where it was this
 */
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "images/heap.h"
#include "images/reflect.h"
#include "lib/log.h"
#include "test/tools/rewrite.h"

struct change {
	char kind[32], field[32];
	long at;   /* in a list; -1: all */
	bool bits; /* += */
	const char *value;
};

static bool change_parse(const char *text, struct change *c)
{
	const char *equals = strchr(text, '=');
	int n = 0;

	*c = (struct change){ .at = -1 };
	if (!equals || sscanf(text, "%31[a-z_0-9].%31[a-z_0-9]%n", c->kind, c->field, &n) != 2)
		return false;
	if (text[n] == '[')
		c->at = strtol(text + n + 1, NULL, 10);
	c->bits = equals[-1] == '+';
	c->value = equals + 1;
	return true;
}

static const char *set_text(struct images *im, const char *value, char **text)
{
	const char *colon = strchr(value, ':');
	char *copy;

	if (!colon || strlen(*text) != (size_t)(colon - value) ||
	    strncmp(*text, value, (size_t)(colon - value)))
		return NULL;
	copy = heap_alloc(im->heap, strlen(colon));
	if (!copy)
		return NULL;
	*text = strcpy(copy, colon + 1);
	return copy;
}

/* Was it changed? */
static bool set_value(struct images *im, const struct change *c, ProtobufCType type, void *value)
{
	uint64_t number = strtoull(c->value, NULL, 0);

	if (type == PROTOBUF_C_TYPE_STRING)
		return set_text(im, c->value, value);
	if (type == PROTOBUF_C_TYPE_BYTES || type == PROTOBUF_C_TYPE_MESSAGE)
		return false;
	if (field_stride(type) == sizeof(uint64_t))
		*(uint64_t *)value = c->bits ? *(uint64_t *)value | number : number;
	else
		*(uint32_t *)value =
			c->bits ? *(uint32_t *)value | (uint32_t)number : (uint32_t)number;
	return true;
}

static bool set_list(struct images *im, const struct change *c,
                     const ProtobufCFieldDescriptor *field, size_t *n, char **values)
{
	size_t stride = field_stride(field->type), more = c->at < 0 ? 0 : (size_t)c->at + 1;
	char *list = heap_alloc(im->heap, ((more > *n ? more : *n) + 1) * stride);
	bool changed = false;

	if (!list)
		return false;
	memset(list, 0, ((more > *n ? more : *n) + 1) * stride);
	if (*n)
		memcpy(list, *values, *n * stride);
	*values = list;
	*n = more > *n ? more : *n;
	for (size_t i = 0; i < *n; i++)
		if (c->at < 0 || i == (size_t)c->at)
			changed |= set_value(im, c, field->type, list + i * stride);
	return changed;
}

static bool change_message(struct images *im, const struct change *c, ProtobufCMessage *msg)
{
	const ProtobufCFieldDescriptor *field =
		protobuf_c_message_descriptor_get_field_by_name(msg->descriptor, c->field);
	char *value = field ? (char *)msg + field->offset : NULL;

	if (!field)
		return false;
	if (field->label == PROTOBUF_C_LABEL_REPEATED)
		return set_list(im, c, field,
		                (size_t *)(void *)((char *)msg + field->quantifier_offset),
		                (char **)(void *)value);
	return set_value(im, c, field->type, value);
}

/* How many records it has changed. */
static size_t change_apply(struct images *im, const struct change *c)
{
	size_t n = 0;

	for (size_t i = 0; i < im->nrecords; i++)
		if (!strcmp(kind_name(im->records[i].kind), c->kind))
			n += change_message(im, c, im->records[i].msg);
	return n;
}

int main(int argc, char **argv)
{
	auto_close int to = argc > 3 ? open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	struct images *im;
	int r;

	if (to < 0) {
		fprintf(stderr, "usage: forge FROM TO KIND.FIELD=VALUE...\n");
		return 2;
	}
	log_setup(LOG_ERROR, NULL);
	r = images_read(argv[1], PAGES_LEFT, NULL, &im);
	for (int i = 3; r == 0 && i < argc; i++) {
		struct change c;

		if (change_parse(argv[i], &c) && change_apply(im, &c))
			continue;
		fprintf(stderr, "forge: %s: there is no such thing\n", argv[i]);
		return 2;
	}
	if (r < 0)
		return 1;
	r = rewrite(im, to);
	images_free(im);
	return r < 0;
}
