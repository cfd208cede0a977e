/* What is not carried, dump half: --on-unknown-fd=null has /dev/null in its place. */
#include "dump/dump.h"
#include "proto/null.pb-c.h"

static bool null_owns(const struct file *f)
{
	return f->policy == FD_NULL;
}

static int null_dump(struct dump *d, const struct file *f)
{
	Img__Null msg = IMG__NULL__INIT;

	msg.was = f->link;
	return image_put(d->out, KIND_null, f->id, &msg.base);
}

const struct dump_kind dump_null = {
	.owns = null_owns,
	.dump = null_dump,
};
