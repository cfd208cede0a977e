/* signalfd, dump half: a mask; the signals are those of whoever reads. */
#include <errno.h>
#include <string.h>

#include "dump/dump.h"
#include "lib/log.h"
#include "proto/signalfd.pb-c.h"

static bool signalfd_owns(const struct file *f)
{
	return !strcmp(f->link, "anon_inode:[signalfd]");
}

static int signalfd_dump(struct dump *d, const struct file *f)
{
	Img__Signalfd msg = IMG__SIGNALFD__INIT;

	if (!fdinfo_u64(f->fdinfo, "sigmask", 16, &msg.mask))
		return fail(-EPROTO, "%s: no mask in fdinfo", file_name(f));
	return image_put(d->out, KIND_signalfd, f->id, &msg.base);
}

const struct dump_kind dump_signalfd = {
	.owns = signalfd_owns,
	.dump = signalfd_dump,
};
