/* Nothing is forked before all of this holds: this machine, then every room over its records. */
#include <errno.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "lib/log.h"
#include "restore/external.h"
#include "restore/restore.h"

#define CPU_WORDS 32

static uint64_t features_used(const struct restore *r)
{
	uint64_t used = 0;

	array_each (t, &r->tasks)
		array_each (th, &t->threads)
			if (th->img)
				used |= arch_xstate_used(th->img->xstate.data, th->img->xstate.len);
	return used;
}

/* A program that chose its code by a CPU feature must find it again. */
static int check_cpu(const struct restore *r)
{
	const Img__Manifest *m = r->images->manifest;
	uint32_t have[CPU_WORDS] = {}, want[CPU_WORDS] = {};
	size_t n = arch_cpu_features(have, CPU_WORDS);
	uint64_t missing = features_used(r) & ~arch_xfeatures();
	const char *name;

	if (missing)
		return fail(-ENOTSUP,
		            "the checkpoint uses extended CPU state (XCR0 bits %#llx) that "
		            "this machine does not have",
		            (unsigned long long)missing);
	if (m->cpu_features.len != n * sizeof(*have))
		return fail(-EBADMSG, "the checkpoint describes its CPU by %zu bytes, not %zu",
		            m->cpu_features.len, n * sizeof(*have));
	memcpy(want, m->cpu_features.data, m->cpu_features.len);
	name = arch_cpu_feature_missing(want, have, n);
	if (name)
		return fail(-ENOTSUP,
		            "the checkpoint was made on a CPU with %s, which this one lacks; "
		            "restore on a CPU that has it",
		            name);
	return 0;
}

static int check_machine(const struct restore *r)
{
	const Img__Manifest *m = r->images->manifest;
	struct utsname uts;

	if (uname(&uts) < 0)
		return fail(-errno, "ask what machine this is");
	if (strcmp(m->machine, uts.machine))
		return fail(-ENOTSUP, "the checkpoint is of a %s machine, this is %s", m->machine,
		            uts.machine);
	if (m->page_size != (uint64_t)sysconf(_SC_PAGESIZE))
		return fail(-ENOTSUP, "the checkpoint has pages of %llu bytes, this machine of %ld",
		            (unsigned long long)m->page_size, sysconf(_SC_PAGESIZE));
	return check_cpu(r);
}

static int check_aspect(struct restore *r, const struct restore_aspect_entry *entry)
{
	size_t n;
	const struct record *rec = images_kind(r->images, (enum record_kind)entry->kind, &n);

	for (size_t i = 0; i < n; i++) {
		const struct rtask *t;
		int ret = 0;

		if (i && rec[i].owner == rec[i - 1].owner)
			return fail(-EBADMSG, "%s: two records of task %u", entry->name,
			            rec[i].owner);
		t = rtask_find(r, (pid_t)rec[i].owner);
		if (t && t->shares[entry->aspect->table] != t)
			return fail(-EBADMSG, "%s: record of task %u, which has that of another",
			            entry->name, rec[i].owner);
		if (entry->aspect->check)
			ret = entry->aspect->check(r, rec[i].owner, rec[i].msg);
		if (ret < 0)
			return fail(ret, "%s: record of task %u", entry->name, rec[i].owner);
	}
	return 0;
}

static int check_file(struct restore *r, const struct record *rec)
{
	const Img__File *file = (const Img__File *)rec->msg;
	const struct restore_kind *room = restore_kind_of(file->kind);
	const ProtobufCMessage *msg;
	int ret;

	if (!room || file->id != rec->owner)
		return fail(-EBADMSG, "file %u: is of kind %u, which no file is", file->id,
		            file->kind);
	msg = images_one(r->images, (enum record_kind)file->kind, file->id);
	if (!msg)
		return fail(-EBADMSG, "file %u: has not one record of its kind, %s", file->id,
		            kind_name(file->kind));
	ret = room->check ? room->check(r, file, msg) : 0;
	return ret < 0 ? fail(ret, "file %u: %s", file->id, kind_name(file->kind)) : 0;
}

int check_images(struct restore *r)
{
	size_t n;
	const struct record *files = images_kind(r->images, KIND_file, &n);
	int ret = check_machine(r);

	if (ret == 0)
		ret = clocks_plan(r);

	if (ret == 0)
		ret = inherit_check(r);
	for (size_t i = 0; ret == 0 && i < n; i++) {
		if (i && files[i].owner == files[i - 1].owner)
			return fail(-EBADMSG, "file %u: is there twice", files[i].owner);
		ret = check_file(r, &files[i]);
	}
	for (size_t i = 0; ret == 0 && i < restore_naspects; i++)
		ret = check_aspect(r, &restore_aspects[i]);
	for (size_t i = 0; ret == 0 && i < restore_naspects; i++)
		if (restore_aspects[i].aspect->plan)
			ret = restore_aspects[i].aspect->plan(r);
	return ret;
}
