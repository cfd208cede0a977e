/*
 * A build id is in the first pages of a file. Somebody who watches the file would be told
 * that it is opened and read: where the tree watches anything, it is read in memory, where
 * the file is mapped, and what may have been changed there is left alone.
 */
#include "dump/build_id.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "dump/inode.h"
#include "lib/cleanup.h"
#include "lib/elf.h"
#include "lib/fd.h"

struct mapped {
	const struct task *task;
	const struct vma *vma; /* one of its mappings */
};

static bool shows(const struct mapped *m, const struct vma *v, uint64_t at, size_t size)
{
	return v->ino == m->vma->ino && v->dev == m->vma->dev && v->prot & PROT_READ &&
	       (v->shared || !(v->prot & PROT_WRITE)) && at >= v->offset &&
	       at - v->offset <= v->end - v->start && size <= v->end - v->start - (at - v->offset);
}

static int read_mapped(void *arg, void *buf, size_t size, uint64_t at)
{
	const struct mapped *m = arg;

	array_each (v, &m->task->vmas)
		if (shows(m, v, at, size))
			return pread_full(m->task->mem, buf, size,
			                  (off_t)(v->start + (at - v->offset)));
	return -ENXIO;
}

/* F is "map_files/START-END". */
static const struct vma *vma_of(const struct task *t, const struct file *f)
{
	unsigned long start;

	if (sscanf(f->at, "map_files/%lx-", &start) == 1)
		array_each (v, &t->vmas)
			if (v->start == start)
				return v;
	return NULL;
}

size_t build_id_read(const struct dump *d, const struct file *f, uint8_t *buf, size_t size)
{
	auto_close int fd = -1;

	if (tree_watches(d)) {
		struct mapped m = { mm_of(f->task), NULL };

		m.vma = vma_of(m.task, f);
		return m.vma ? elf_build_id_by(read_mapped, &m, buf, size) : 0;
	}
	fd = openat(f->task->proc, f->at, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	return fd < 0 ? 0 : elf_build_id(fd, buf, size);
}
