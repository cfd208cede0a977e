/*
 * A build id is in the first pages of a file. Somebody who watches the file would be told
 * that it is opened and read: where the tree watches anything, it is read in memory, where
 * the file is mapped, and what may have been changed there is left alone.
 */
#include "dump/build_id.h"

#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
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

static size_t read_now(bool watched, const struct file *f, uint8_t *buf, size_t size)
{
	const struct holding h = { .task = f->task, .at = f->at };
	auto_close int fd = -1;

	if (watched) {
		struct mapped m = { mm_of(f->task), NULL };

		m.vma = vma_of(m.task, f);
		return m.vma ? elf_build_id_by(read_mapped, &m, buf, size) : 0;
	}
	fd = inode_open_again(&h);
	return fd < 0 ? 0 : elf_build_id(fd, buf, size);
}

/* ---- those that are known ---- */

struct known {
	struct stat st; /* when it was read */
	size_t n;
	uint8_t id[ELF_BUILD_ID_MAX];
};

static int by_inode(const void *a, const void *b)
{
	const struct known *x = a, *y = b;

	if (x->st.st_ino != y->st.st_ino)
		return x->st.st_ino < y->st.st_ino ? -1 : 1;
	return x->st.st_dev < y->st.st_dev ? -1 : x->st.st_dev > y->st.st_dev;
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* Written to, it has another time of change. */
static bool is_unchanged(const struct stat *a, const struct stat *b)
{
	return a->st_size == b->st_size && same_time(&a->st_mtim, &b->st_mtim) &&
	       same_time(&a->st_ctim, &b->st_ctim);
}

static int learn(struct dump *d, bool watched, const struct file *f)
{
	struct known *k = calloc(1, sizeof(*k)), **found;

	if (!k)
		return -ENOMEM;
	k->st = f->st;
	found = tsearch(k, &d->build_ids, by_inode);
	if (found && *found == k)
		k->n = read_now(watched, f, k->id, sizeof(k->id));
	else
		free(k);
	return found ? 0 : -ENOMEM;
}

int build_ids_prepare(struct dump *d)
{
	bool watched = d->watches;
	int r = 0;

	array_each (f, &d->files)
		if (r == 0 && f->fd < 0 && S_ISREG(f->st.st_mode))
			r = learn(d, watched, f);
	return r;
}

size_t build_id_read(const struct dump *d, const struct file *f, uint8_t *buf, size_t size)
{
	const struct known key = { .st = f->st };
	struct known *const *found = tfind(&key, &d->build_ids, by_inode);

	if (!found || !is_unchanged(&(*found)->st, &f->st) || (*found)->n > size)
		return read_now(d->watches, f, buf, size);
	memcpy(buf, (*found)->id, (*found)->n);
	return (*found)->n;
}

void build_ids_done(struct dump *d)
{
	tdestroy(d->build_ids, free);
	d->build_ids = NULL;
}
