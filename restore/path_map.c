/*
 * --path-map OLD=NEW: what was at or below OLD is now at NEW. Applied once to
 * all records as they have been read, so no room has to think of it: a path is
 * a field called path, cwd or root. Which inode was there, in fields called dev
 * and ino beside it, says nothing then.
 */
#include <errno.h>
#include <string.h>

#include "images/heap.h"
#include "images/reflect.h"
#include "lib/log.h"
#include "restore/restore.h"

/* OLD=NEW: where NEW starts; the length of OLD, without slashes at its end. -EINVAL, explained. */
static int word_parse(const char *word, size_t *ret_old, const char **ret_new)
{
	const char *equals = strchr(word, '=');
	size_t len = equals ? (size_t)(equals - word) : 0;

	if (!equals || *word != '/' || equals[1] != '/')
		return fail(-EINVAL, "--path-map %s: give OLD=NEW, two absolute paths", word);
	while (len && word[len - 1] == '/')
		len--;
	*ret_old = len;
	*ret_new = equals + 1;
	return 0;
}

static bool is_below(const char *path, const char *old, size_t len)
{
	return !strncmp(path, old, len) && (!path[len] || path[len] == '/');
}

/* The longest OLD counts. NULL: none fits. */
static const char *find_new(const struct words *map, const char *path, size_t *ret_old)
{
	const char *best = NULL, *new;
	size_t len, best_len = 0;

	if (*path != '/')
		return NULL;
	array_each (word, map) {
		if (word_parse(*word, &len, &new) < 0 || !is_below(path, *word, len) ||
		    (best && len <= best_len))
			continue;
		best = new, best_len = len;
	}
	*ret_old = best_len;
	return best;
}

/* *TEXT is replaced: 1; no word fits: 0. */
static int map_text(struct restore *r, char **text)
{
	size_t old, len;
	const char *new = find_new(&r->opt->path_map, *text, &old);
	char *mapped;

	if (!new)
		return 0;
	len = strlen(new);
	while (len && new[len - 1] == '/')
		len--;
	mapped = heap_alloc(r->images->heap, len + strlen(*text + old) + 2);
	if (!mapped)
		return -ENOMEM;
	memcpy(mapped, new, len);
	strcpy(mapped + len, (*text)[old] || !len ? *text + old : "");
	if (!*mapped)
		strcpy(mapped, "/");
	*text = mapped;
	return 1;
}

static bool is_path(const ProtobufCFieldDescriptor *f)
{
	return f->type == PROTOBUF_C_TYPE_STRING &&
	       (!strcmp(f->name, "path") || !strcmp(f->name, "cwd") || !strcmp(f->name, "root"));
}

static void forget_inode(ProtobufCMessage *msg)
{
	for (unsigned i = 0; i < msg->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &msg->descriptor->fields[i];

		if (f->type == PROTOBUF_C_TYPE_UINT64 && f->label == PROTOBUF_C_LABEL_NONE &&
		    (!strcmp(f->name, "dev") || !strcmp(f->name, "ino")))
			*(uint64_t *)(void *)((char *)msg + f->offset) = 0;
	}
}

/* Messages do not contain themselves: the depth is bounded. */
static int map_message(struct restore *r, ProtobufCMessage *msg)
{
	bool mapped = false;

	for (unsigned i = 0; i < msg->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &msg->descriptor->fields[i];
		const void *first;
		size_t n = field_values(msg, f, &first);

		for (size_t k = 0; k < n; k++) {
			char **value = (char **)(uintptr_t)first + k;
			int e = 0;

			if (f->type == PROTOBUF_C_TYPE_MESSAGE)
				e = map_message(r, *(ProtobufCMessage **)(void *)value);
			else if (is_path(f))
				e = map_text(r, value);
			if (e < 0)
				return e;
			mapped |= e > 0 && is_path(f);
		}
	}
	if (mapped)
		forget_inode(msg);
	return 0;
}

int path_map_check(const struct words *map)
{
	const char *new;
	size_t len;

	array_each (word, map)
		if (word_parse(*word, &len, &new) < 0)
			return -EINVAL;
	return 0;
}

int map_paths(struct restore *r)
{
	for (size_t i = 0; r->opt->path_map.n && i < r->images->nrecords; i++) {
		int e = map_message(r, r->images->records[i].msg);

		if (e < 0)
			return e;
	}
	return 0;
}
