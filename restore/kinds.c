/* The tables of rooms, expanded from images/kinds.def; dump/kinds.c is the twin. */
#include "restore/restore.h"

#define RECORD(num, name)
#define FD_KIND(num, name) extern const struct restore_kind restore_##name;
#define ASPECT(num, name)  extern const struct restore_aspect restore_##name;
#include "images/kinds.def"
#undef FD_KIND
#undef ASPECT

static const struct {
	uint32_t kind;
	const struct restore_kind *room;
} kinds[] = {
#define FD_KIND(num, name) { num, &restore_##name },
#define ASPECT(num, name)
#include "images/kinds.def"
#undef FD_KIND
#undef ASPECT
	{ 0, NULL },
};

const struct restore_aspect_entry restore_aspects[] = {
#define FD_KIND(num, name)
#define ASPECT(num, name) { num, #name, &restore_##name },
#include "images/kinds.def"
#undef FD_KIND
#undef ASPECT
#undef RECORD
	{ 0, NULL, NULL },
};

const size_t restore_naspects = ARRAY_SIZE(restore_aspects) - 1;

const struct restore_kind *restore_kind_of(uint32_t kind)
{
	for (size_t i = 0; kinds[i].room; i++)
		if (kinds[i].kind == kind)
			return kinds[i].room;
	return NULL;
}

int restore_kinds_begin(struct restore *r)
{
	for (size_t i = 0; kinds[i].room; i++) {
		int e = kinds[i].room->begin ? kinds[i].room->begin(r) : 0;

		if (e < 0)
			return e;
	}
	return 0;
}

int restore_kinds_commit(struct restore *r)
{
	for (size_t i = 0; kinds[i].room; i++) {
		int e = kinds[i].room->commit ? kinds[i].room->commit(r) : 0;

		if (e < 0)
			return e;
	}
	return 0;
}

void restore_kinds_done(struct restore *r)
{
	for (size_t i = 0; kinds[i].room; i++)
		if (kinds[i].room->done)
			kinds[i].room->done(r);
}

static int begin_task(struct restore *r, struct rtask *t)
{
	for (size_t i = 0; i < restore_naspects; i++) {
		const struct restore_aspect *aspect = restore_aspects[i].aspect;
		const ProtobufCMessage *msg;
		int e;

		if (!aspect->begin)
			continue;
		msg = aspect_record(r, restore_aspects[i].kind, (uint32_t)t->pid);
		e = msg ? aspect->begin(r, t->threads.v, msg) : 0;
		if (e < 0)
			return e;
	}
	return 0;
}

int restore_aspects_begin(struct restore *r)
{
	array_each (t, &r->tasks) {
		int e = begin_task(r, t);

		if (e < 0)
			return e;
	}
	return 0;
}

int restore_aspects_let_go(struct restore *r, int64_t offset)
{
	for (size_t i = 0; i < restore_naspects; i++) {
		const struct restore_aspect *aspect = restore_aspects[i].aspect;
		int e = aspect->let_go ? aspect->let_go(r, offset) : 0;

		if (e < 0)
			return e;
	}
	return 0;
}

void restore_aspects_done(struct restore *r)
{
	for (size_t i = 0; i < restore_naspects; i++)
		if (restore_aspects[i].aspect->done)
			restore_aspects[i].aspect->done(r);
}
