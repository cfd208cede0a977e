/* The tables of rooms, expanded from images/kinds.def; restore/kinds.c is the twin. */
#include <fcntl.h>
#include <string.h>

#include "dump/borrow.h"
#include "dump/dump.h"

#define RECORD(num, name)
#define FD_KIND(num, name) extern const struct dump_kind dump_##name;
#define ASPECT(num, name)  extern const struct dump_aspect dump_##name;
#include "images/kinds.def"
#undef FD_KIND
#undef ASPECT

static const struct {
	uint32_t kind;
	const struct dump_kind *room;
} kinds[] = {
#define FD_KIND(num, name) { num, &dump_##name },
#define ASPECT(num, name)
#include "images/kinds.def"
#undef FD_KIND
#undef ASPECT
	{ 0, NULL },
};

const struct dump_aspect_entry dump_aspects[] = {
#define FD_KIND(num, name)
#define ASPECT(num, name) { num, #name, &dump_##name },
#include "images/kinds.def"
#undef FD_KIND
#undef ASPECT
#undef RECORD
	{ 0, NULL, NULL },
};

_Static_assert(ARRAY_SIZE(dump_aspects) <= 65, "a bit of task.concerned for each");
const size_t dump_naspects = ARRAY_SIZE(dump_aspects) - 1;

/* What is open with O_PATH has nothing that can be asked; without a path it is not opened again. */
static bool has_no_room(const struct file *f)
{
	return f->flags & O_PATH && f->policy == FD_CARRY && !strncmp(f->link, "anon_inode:", 11);
}

const struct dump_kind *dump_kind_of(const struct file *f, uint32_t *ret_kind)
{
	if (has_no_room(f))
		return NULL;
	for (size_t i = 0; kinds[i].room; i++) {
		if (!kinds[i].room->owns(f))
			continue;
		*ret_kind = kinds[i].kind;
		return kinds[i].room;
	}
	return NULL;
}

int dump_kinds_hold(struct dump *d)
{
	for (size_t i = 0; kinds[i].room; i++) {
		int r = kinds[i].room->hold ? kinds[i].room->hold(d) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

int dump_kinds_begin(struct dump *d)
{
	for (size_t i = 0; kinds[i].room; i++) {
		int r = kinds[i].room->begin ? kinds[i].room->begin(d) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

int dump_kinds_end(struct dump *d)
{
	for (size_t i = 0; kinds[i].room; i++) {
		int r = kinds[i].room->end ? kinds[i].room->end(d) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

void dump_kinds_release(struct dump *d, bool killed)
{
	for (size_t i = 0; kinds[i].room; i++)
		if (kinds[i].room->release)
			kinds[i].room->release(d, killed);
	files_give_back(d);
}
