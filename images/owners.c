/*
 * Who a record belongs to. Rooms look records up by owner and rely on the
 * following, so it is checked here, once, for all of them:
 *
 * - a structural record (RECORD) whose message starts with a field 1 named id,
 *   pid or tid bears that number as its owner, and there is one per owner
 * - the record of a kind of file (FD_KIND) belongs to a File of that kind, and
 *   there is one per file; each File has one
 * - an aspect (ASPECT) belongs to a process or thread of the checkpoint
 */
#include <errno.h>
#include <inttypes.h>

#include "images/decode.h"
#include "images/format.h"
#include "lib/log.h"
#include "proto/file.pb-c.h"

static int owner_fail(const struct images *im, const struct record *r, const char *what)
{
	return fail(-EBADMSG,
	            "checkpoint %s: " STATE_FILE ": record %s at offset %" PRIu64
	            " of owner %" PRIu32 ": %s; " DAMAGED,
	            im->dir, kind_name(r->kind), r->offset, r->owner, what);
}

/* The record bears its owner as field 1. */
static bool has_id(const struct record *r, uint32_t *ret_id)
{
	const ProtobufCFieldDescriptor *f = r->msg->descriptor->fields;

	if (!r->msg->descriptor->n_fields || f->id != 1 || f->type != PROTOBUF_C_TYPE_UINT32 ||
	    f->label != PROTOBUF_C_LABEL_NONE)
		return false;
	if (strcmp(f->name, "id") != 0 && strcmp(f->name, "pid") != 0 &&
	    strcmp(f->name, "tid") != 0)
		return false;
	*ret_id = *(const uint32_t *)((const char *)r->msg + f->offset);
	return true;
}

static int owner_check(const struct images *im, const struct record *r, bool repeated)
{
	const Img__File *file;
	uint32_t id;

	switch (kind_family(r->kind)) {
	case FAMILY_RECORD:
		if (!has_id(r, &id))
			return 0;
		if (id != r->owner)
			return owner_fail(im, r, "names somebody else");
		return repeated ? owner_fail(im, r, "there is another one") : 0;
	case FAMILY_FD:
		file = (const Img__File *)images_one(im, KIND_file, r->owner);
		if (!file || file->kind != r->kind)
			return owner_fail(im, r, "there is no such file of that kind");
		return repeated ? owner_fail(im, r, "there is another one") : 0;
	default:
		if (!images_one(im, KIND_task, r->owner) && !images_one(im, KIND_thread, r->owner))
			return owner_fail(im, r, "there is no such process or thread");
		return 0;
	}
}

static int file_check(const struct images *im, const struct record *r)
{
	const Img__File *file = (const Img__File *)r->msg;

	if (kind_family(file->kind) != FAMILY_FD)
		return owner_fail(im, r, "is of a kind that is none of files");
	if (!images_one(im, (enum record_kind)file->kind, file->id))
		return owner_fail(im, r, "the record of its kind is missing");
	return 0;
}

int owners_check(const struct images *im)
{
	for (size_t i = 0; i < im->nrecords; i++) {
		const struct record *r = &im->records[i];
		bool repeated = i && r[-1].kind == r->kind && r[-1].owner == r->owner;
		int e = owner_check(im, r, repeated);

		if (e == 0 && r->kind == KIND_file)
			e = file_check(im, r);
		if (e < 0)
			return e;
	}
	return 0;
}
