/* A descriptor of a memfd, dump half: the memory is an object of its own (shmem.c). */
#include <errno.h>
#include <string.h>
#include <sys/xattr.h>

#include "dump/dump.h"
#include "dump/shmem.h"
#include "lib/log.h"
#include "proto/memfd.pb-c.h"

static bool memfd_owns(const struct file *f)
{
	return S_ISREG(f->st.st_mode) && f->st.st_nlink == 0 && !strncmp(f->link, "/memfd:", 7);
}

/* Those of security modules are made by these, with the file. */
static bool has_xattr(int fd)
{
	char names[4096];
	ssize_t n = flistxattr(fd, names, sizeof(names));

	if (n < 0)
		return errno == ERANGE;
	for (char *name = names; name < names + n; name += strlen(name) + 1)
		if (strncmp(name, "security.", 9) != 0)
			return true;
	return false;
}

static int memfd_dump(struct dump *d, const struct file *f)
{
	Img__Memfd msg = IMG__MEMFD__INIT;
	const struct shmem *m;
	int r = shmem_of_file(d, f, &m);

	if (r < 0)
		return r;
	if (has_xattr(m->fd))
		lose("%s: its extended attributes (xattr(7))", file_name(f));
	msg.shmem = m->id;
	return image_put(d->out, KIND_memfd, f->id, &msg.base);
}

const struct dump_kind dump_memfd = {
	.owns = memfd_owns,
	.dump = memfd_dump,
};
