/*
 * Most pages have one frame, in all who have them: these lie side by side, by
 * page, as they are asked for. What differs goes to a hash table.
 */
#include "dump/frames.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "lib/array.h"

#define SLOTS 1024u /* of the table, at first */

static struct slot *hash_slot(struct frames *f, uint64_t frame, uint32_t page)
{
	size_t at = (frame * UINT64_C(0x9e3779b97f4a7c15) >> 20) & f->mask;

	while (f->slots[at].frame && (f->slots[at].frame != frame || f->slots[at].page != page))
		at = (at + 1) & f->mask;
	return &f->slots[at];
}

static bool is_slot(const struct slot *s, uint64_t frame, uint32_t page)
{
	return !s->frame || (s->frame == frame && s->page == page);
}

struct slot *frames_slot(struct frames *f, uint64_t frame, uint32_t page)
{
	uint32_t number = page & ~FRAMES_FILE;
	struct slot **chunk = &f->first[number / FRAMES_CHUNK], *s;

	if (!*chunk)
		*chunk = calloc(FRAMES_CHUNK, sizeof(**chunk));
	if (!*chunk)
		return NULL;
	s = &(*chunk)[number % FRAMES_CHUNK];
	return is_slot(s, frame, page) ? s : hash_slot(f, frame, page);
}

void frames_done(struct frames *f)
{
	for (size_t i = 0; i < ARRAY_SIZE(f->first); i++) {
		free(f->first[i]);
		f->first[i] = NULL;
	}
	free(f->slots);
	f->slots = NULL;
}

int frames_new(struct frames *f)
{
	frames_done(f);
	f->slots = calloc(SLOTS, sizeof(*f->slots));
	f->mask = SLOTS - 1;
	f->n = 0;
	return f->slots ? 0 : -ENOMEM;
}

static int table_grow(struct frames *f)
{
	struct slot *old = f->slots;
	size_t n = f->mask + 1;

	f->slots = calloc(2 * n, sizeof(*f->slots));
	if (!f->slots) {
		f->slots = old;
		return -ENOMEM;
	}
	f->mask = 2 * n - 1;
	for (size_t i = 0; i < n; i++)
		if (old[i].frame)
			*hash_slot(f, old[i].frame, old[i].page) = old[i];
	free(old);
	return 0;
}

int frames_taken(struct frames *f, const struct slot *slot)
{
	if (slot < f->slots || slot > f->slots + f->mask)
		return 0;
	return ++f->n > (f->mask + 1) / 4 * 3 ? table_grow(f) : 0;
}
