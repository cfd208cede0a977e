/* A descriptor of a memfd, dump half: the memory is an object of its own (shmem.c). */
#include <string.h>

#include "dump/dump.h"
#include "dump/shmem.h"
#include "proto/memfd.pb-c.h"

static bool memfd_owns(const struct file *f)
{
	return S_ISREG(f->st.st_mode) && f->st.st_nlink == 0 && !strncmp(f->link, "/memfd:", 7);
}

static int memfd_dump(struct dump *d, const struct file *f)
{
	Img__Memfd msg = IMG__MEMFD__INIT;
	const struct shmem *m;
	int r = shmem_of_file(d, f, &m);

	if (r < 0)
		return r;
	msg.shmem = m->id;
	return image_put(d->out, KIND_memfd, f->id, &msg.base);
}

const struct dump_kind dump_memfd = {
	.owns = memfd_owns,
	.dump = memfd_dump,
};
