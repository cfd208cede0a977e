/*
 * eventfd, dump half: the counter is readable from fdinfo without consuming it,
 * so the target is never touched.
 */
#include <errno.h>
#include <string.h>

#include "dump/dump.h"
#include "lib/log.h"
#include "proto/eventfd.pb-c.h"

static bool eventfd_owns(const struct file *f)
{
	return !strcmp(f->link, "anon_inode:[eventfd]");
}

static int eventfd_check(struct dump *d, const struct file *f)
{
	uint64_t n;

	/* Reported since 6.5; before that the mode of an eventfd cannot be known. */
	if (!fdinfo_u64(f->fdinfo, "eventfd-semaphore", 10, &n))
		return fail(-ENOTSUP, "%s: this kernel does not tell whether it is a semaphore",
		            file_name(f));
	if (!fdinfo_u64(f->fdinfo, "eventfd-count", 16, &n))
		return fail(-EPROTO, "%s: no count in fdinfo", file_name(f));
	/* Only the kernel itself (AIO, KVM) can make it overflow. */
	if (n == UINT64_MAX)
		return fail(-ENOTSUP, "%s: its count has overflowed", file_name(f));
	return 0;
}

static int eventfd_dump(struct dump *d, const struct file *f)
{
	Img__Eventfd msg = IMG__EVENTFD__INIT;
	uint64_t semaphore = 0;

	fdinfo_u64(f->fdinfo, "eventfd-count", 16, &msg.count);
	fdinfo_u64(f->fdinfo, "eventfd-semaphore", 10, &semaphore);
	msg.semaphore = semaphore;
	return image_put(d->out, KIND_eventfd, f->id, &msg.base);
}

const struct dump_kind dump_eventfd = {
	.owns = eventfd_owns,
	.check = eventfd_check,
	.dump = eventfd_dump,
};
