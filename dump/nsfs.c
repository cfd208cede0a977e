/* Namespaces, dump half: only those that the program lives in, as crtool does, are there at a restore. */
#include <errno.h>
#include <string.h>

#include "dump/dump.h"
#include "lib/log.h"
#include "proto/nsfs.pb-c.h"

static const char *const types[] = {
	"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts",
};

/* "net:[4026531840]" */
static const char *type_of(const struct file *f)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		size_t len = strlen(types[i]);

		if (!strncmp(f->link, types[i], len) && f->link[len] == ':' &&
		    f->link[len + 1] == '[')
			return types[i];
	}
	return NULL;
}

static bool nsfs_owns(const struct file *f)
{
	return S_ISREG(f->st.st_mode) && type_of(f);
}

static int nsfs_check(struct dump *d, const struct file *f)
{
	char path[32];
	struct stat st;

	snprintf(path, sizeof(path), "ns/%s", type_of(f));
	if (fstatat(f->task->proc, path, &st, 0) == 0 && st.st_ino == f->st.st_ino &&
	    st.st_dev == f->st.st_dev)
		return 0;
	return fail(
		-ENOTSUP,
		"%s: another %s namespace than the one that the program lives in: not supported by "
		"this version; --on-unknown-fd=null or =close lets it go",
		file_name(f), type_of(f));
}

static int nsfs_dump(struct dump *d, const struct file *f)
{
	Img__Nsfs msg = IMG__NSFS__INIT;

	msg.type = (char *)type_of(f);
	return image_put(d->out, KIND_nsfs, f->id, &msg.base);
}

const struct dump_kind dump_nsfs = {
	.owns = nsfs_owns,
	.check = nsfs_check,
	.dump = nsfs_dump,
};
