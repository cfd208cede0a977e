/*
 * An object is opened through /proc/PID/map_files, or taken from a descriptor:
 * the target need not have it open. Who may do neither reads it (shmem_copy.c).
 * What it is called shows in the link alone, maps escapes newlines.
 */
#include "dump/shmem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <search.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "dump/shmem_copy.h"
#include "dump/sysv.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"

#define HUGETLBFS_MAGIC 0x958458f6
#define MEMFD           "/memfd:"
#define SYSV            "/SYSV"
#define DELETED         " (deleted)"
#define ANONYMOUS       "/dev/zero" DELETED

static int shmem_compare(const void *a, const void *b)
{
	const struct shmem *x = a, *y = b;

	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	return x->sysv - y->sysv; /* these have numbers of their own */
}

static void shmem_free(struct shmem *m)
{
	closep(&m->fd);
	free(m->name);
	free(m);
}

/* "/memfd:name (deleted)" */
static char *memfd_name(const char *link)
{
	size_t len = strlen(link), head = strlen(MEMFD), tail = strlen(DELETED);

	if (strncmp(link, MEMFD, head) != 0 || len < head + tail)
		return NULL;
	return strndup(link + head, len - head - tail);
}

static bool is_sysv(const char *link)
{
	return !strncmp(link, SYSV, strlen(SYSV));
}

/* What the descriptor tells. */
static int shmem_look(struct dump *d, struct shmem *m, const char *link)
{
	int seals;

	if (fstat(m->fd, &m->st) < 0)
		return -errno;
	m->memfd = !strncmp(link, MEMFD, strlen(MEMFD));
	m->name = m->memfd ? memfd_name(link) : strdup("");
	if (!m->name)
		return -ENOMEM;
	seals = m->memfd ? fcntl(m->fd, F_GET_SEALS) : 0;
	if (seals < 0)
		return -errno;
	m->seals = (uint32_t)seals;
	if (!m->sysv)
		return 0;
	sscanf(link, SYSV "%x", (unsigned *)&m->key);
	return sysv_shm_others(d, (int)m->ino, link, &m->kept);
}

static struct shmem *shmem_find(const struct dump *d, dev_t dev, uint64_t ino, bool sysv)
{
	struct shmem key = { .dev = dev, .ino = ino, .sysv = sysv };
	struct shmem **found = tfind(&key, &d->shmems.tree, shmem_compare);

	return found ? *found : NULL;
}

/* A new object behind FD (consumed), whose link is LINK. Of a failure that is not explained, -errno. */
static int shmem_add(struct dump *d, dev_t dev, uint64_t ino, int fd, const char *link,
                     const struct shmem **ret)
{
	struct shmem **slot = array_add(&d->shmems.list);
	struct shmem *m = slot ? calloc(1, sizeof(*m)) : NULL;
	int r;

	if (!m) {
		if (slot)
			d->shmems.list.n--;
		close(fd);
		return -ENOMEM;
	}
	*slot = m;
	*m = (struct shmem){ .id = (uint32_t)d->shmems.list.n, .dev = dev, .ino = ino, .fd = fd };
	m->sysv = is_sysv(link);
	r = shmem_look(d, m, link);
	if (r < 0)
		return r;
	if (!tsearch(m, &d->shmems.tree, shmem_compare))
		return -ENOMEM;
	*ret = m;
	return 0;
}

/* A descriptor that is open on what V maps: anybody may follow that, not so map_files (proc(5)). */
static const struct file *descriptor_of(const struct dump *d, const struct vma *v)
{
	array_each (f, &d->files)
		if (f->fd >= 0 && f->st.st_dev == v->dev && f->st.st_ino == v->ino)
			return f;
	return NULL;
}

/* Descriptor of the object behind V, or -errno; what it is in *RET_LINK. */
static int open_vma(const struct dump *d, const struct task *t, const struct vma *v,
                    char **ret_link)
{
	const struct file *f;
	char name[64];
	int fd, r;

	snprintf(name, sizeof(name), "map_files/%" PRIx64 "-%" PRIx64, v->start, v->end);
	r = link_read(t->proc, name, ret_link);
	if (r < 0)
		return r;
	fd = openat(t->proc, name, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 || errno != EPERM)
		return fd < 0 ? -errno : fd;
	f = descriptor_of(d, v);
	if (!f)
		return -EPERM;
	fd = openat(f->task->proc, f->at, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int vma_fail(const struct task *t, const struct vma *v, int r)
{
	return fail(r, "%s: mapping %" PRIx64 "-%" PRIx64 " (%s): open it%s", task_name(t),
	            v->start, v->end, v->name,
	            r == -EPERM ? " (needs CAP_CHECKPOINT_RESTORE, as no descriptor leads there)"
	                        : "");
}

int shmem_check_vma(const struct dump *d, const struct task *t, const struct vma *v)
{
	auto_free char *link = NULL;
	auto_close int fd = open_vma(d, t, v, &link);

	if (fd == -EPERM && shmem_copied(v))
		return 0;
	return fd < 0 ? vma_fail(t, v, fd) : 0;
}

int shmem_read_vma(struct dump *d, struct task *t, const struct vma *v, uint64_t at)
{
	const struct shmem *m = shmem_find(d, v->dev, v->ino, false);
	auto_free char *link = NULL;
	int fd;

	if (!m) {
		fd = open_vma(d, t, v, &link);
		if (fd >= 0)
			close(fd);
		if (fd != -EPERM)
			return 0;
		fd = shmem_stand_in(d, v);
		fd = fd < 0 ? fd : shmem_add(d, v->dev, v->ino, fd, ANONYMOUS, &m);
		if (fd < 0)
			return vma_fail(t, v, fd);
	}
	return shmem_copy(t, v, m->fd, at);
}

int shmem_of_vma(struct dump *d, const struct task *t, const struct vma *v,
                 const struct shmem **ret)
{
	auto_free char *link = NULL;
	int fd, r;

	*ret = shmem_find(d, v->dev, v->ino, is_sysv(v->name));
	if (*ret)
		return 0;
	fd = open_vma(d, t, v, &link);
	r = fd < 0 ? fd : shmem_add(d, v->dev, v->ino, fd, link, ret);
	return r < 0 ? vma_fail(t, v, r) : 0;
}

int shmem_of_file(struct dump *d, const struct file *f, const struct shmem **ret)
{
	char name[32];
	int fd, r;

	*ret = shmem_find(d, f->st.st_dev, f->st.st_ino, is_sysv(f->link));
	if (*ret)
		return 0;
	snprintf(name, sizeof(name), "fd/%d", f->fd);
	fd = openat(f->task->proc, name, O_RDONLY | O_CLOEXEC);
	r = fd < 0 ? -errno : shmem_add(d, f->st.st_dev, f->st.st_ino, fd, f->link, ret);
	if (r < 0)
		return fail(r, "%s: fd %d: %s: open it", task_name(f->task), f->fd, f->link);
	return 0;
}

int shmem_of_segment(struct dump *d, int shmid, int fd, key_t key)
{
	const struct shmem *m;
	struct stat st;
	char link[32];
	int r;

	if (fstat(fd, &st) < 0) {
		r = -errno;
		close(fd);
	} else {
		snprintf(link, sizeof(link), SYSV "%08x" DELETED, (unsigned)key);
		r = shmem_add(d, st.st_dev, (uint64_t)shmid, fd, link, &m);
	}
	return r < 0 ? fail(r, "shared memory segment %d: look at it", shmid) : 0;
}

uint64_t shmem_huge_page(const struct shmem *m)
{
	struct statfs fs;

	return fstatfs(m->fd, &fs) == 0 && fs.f_type == HUGETLBFS_MAGIC ? (uint64_t)fs.f_bsize : 0;
}

static void nothing(void *p)
{
}

void shmems_done(struct dump *d)
{
	tdestroy(d->shmems.tree, nothing);
	array_each (m, &d->shmems.list)
		shmem_free(*m);
	array_done(&d->shmems.list);
	d->shmems = (struct shmems){};
}
