/*
 * Shared memory, restore half. A shared anonymous mapping is a file of the
 * kernel's own tmpfs: the coordinator maps one and opens it through
 * /proc/self/map_files, so that it can be mapped by all who share it and bears
 * the same name as before; without the right to do so it becomes a memfd. A memfd is simply made again.
 */
#include "restore/shmem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "images/pages.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/marks.h"
#include "restore/content.h"
#include "restore/shmem_fill.h"
#include "restore/sysv.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#define MFD_EXEC        0x0010U
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x0020
#endif
#define HUGE_SHIFT 26  /* MAP_HUGE_SHIFT, MFD_HUGE_SHIFT */
#define NAME_LIMIT 249 /* MFD_NAME_MAX_LEN */

struct shmem {
	int fd[2]; /* in the pool: to read, to write; -1: not yet */
};

const Img__Shmem *shmem_record(const struct restore *r, uint32_t id)
{
	return (const Img__Shmem *)images_one(r->images, KIND_shmem, id);
}

static int object_fail(const Img__Shmem *m, int e, const char *what)
{
	return fail(e, "shared memory %u (%s): %s", m->id, m->memfd ? m->name : "anonymous", what);
}

static int object_check(struct restore *r, const Img__Shmem *m)
{
	uint64_t huge = m->huge_page_size, end = (m->size + 4095) & ~UINT64_C(4095);
	const struct marks marks = { .rw_hint = m->rw_hint };
	char what[64];

	if (sysv_shm_check(r, m) < 0)
		return -EBADMSG;
	if (m->size > INT64_MAX - 4096 || (!m->memfd && !m->size))
		return object_fail(m, -EBADMSG, "impossible size");
	if (huge && (huge & (huge - 1) || huge < 4096 || huge > UINT64_C(1) << 40))
		return object_fail(m, -EBADMSG, "impossible size of huge pages");
	if (strlen(m->name) > NAME_LIMIT || m->mode & ~07777u)
		return object_fail(m, -EBADMSG, "impossible name or mode");
	snprintf(what, sizeof(what), "shared memory %u", m->id);
	if (!marks_sound(&marks) || (m->rw_hint && !m->memfd))
		return object_fail(m, -EBADMSG, "impossible hint");
	return content_check(r, m->pages, m->n_pages, end, what);
}

int shmem_check(struct restore *r)
{
	size_t n;
	const struct record *rec = images_kind(r->images, KIND_shmem, &n);

	for (size_t i = 0; i < n; i++) {
		int e = object_check(r, (const Img__Shmem *)rec[i].msg);

		if (e < 0)
			return e;
	}
	return 0;
}

/* ---- making ---- */

static int memfd_make(const Img__Shmem *m)
{
	unsigned flags = MFD_CLOEXEC | (m->seals == F_SEAL_SEAL ? 0 : MFD_ALLOW_SEALING);
	bool sealed;
	int fd;

	if (m->huge_page_size)
		flags |= MFD_HUGETLB | (unsigned)__builtin_ctzll(m->huge_page_size) << HUGE_SHIFT;
	/* One that was executable when it got that seal gets it at the end, with the others. */
	sealed = m->seals & F_SEAL_EXEC && !(m->mode & 0111);
	fd = memfd_create(m->name, flags | (sealed ? MFD_NOEXEC_SEAL : MFD_EXEC));
	if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
		fd = memfd_create(m->name, flags);
	return fd < 0 ? -errno : fd;
}

/* Who may not follow map_files: a memfd, which is the same but for its name. */
static int anonymous_instead(const Img__Shmem *m)
{
	auto_close int fd = memfd_create("anonymous", MFD_CLOEXEC | MFD_EXEC);

	if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
		fd = memfd_create("anonymous", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)m->size) < 0)
		return -errno;
	lose("shared anonymous memory %u is a memfd now: its name in /proc/PID/maps is another "
	     "one, "
	     "as "
	     "crtool lacks CAP_CHECKPOINT_RESTORE",
	     m->id);
	return take_fd(&fd);
}

static int anonymous_make(const Img__Shmem *m)
{
	int flags = MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, fd;
	char path[64];
	char *at;

	if (m->huge_page_size)
		flags |= MAP_HUGETLB | __builtin_ctzll(m->huge_page_size) << HUGE_SHIFT;
	at = mmap(NULL, m->size, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (at == MAP_FAILED)
		return -errno;
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (uintptr_t)at,
	         (uintptr_t)at + ((m->size + 4095) & ~UINT64_C(4095)));
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		fd = -errno;
	munmap(at, m->size);
	return fd == -EPERM && !m->huge_page_size ? anonymous_instead(m) : fd;
}

/* ---- filling ---- */

static int object_fill(struct restore *r, const Img__Shmem *m, int fd)
{
	int e = shmem_fill(r, m, fd);

	return e < 0 ? object_fail(m, e, "fill") : 0;
}

/* The last page was filled as a whole: its size comes last. */
static int memfd_finish(const Img__Shmem *m, int fd)
{
	const struct marks marks = { .rw_hint = m->rw_hint };
	int e;
	struct stat st;

	if (ftruncate(fd, (off_t)m->size) < 0)
		return object_fail(m, -errno, "set its size");
	if (fstat(fd, &st) < 0)
		return object_fail(m, -errno, "fstat");
	if ((st.st_uid != m->uid || st.st_gid != m->gid) && fchown(fd, m->uid, m->gid) < 0)
		return object_fail(m, -errno, "set its owner");
	if ((st.st_mode & 07777) != m->mode && fchmod(fd, m->mode) < 0)
		return object_fail(m, -errno, "set its mode");
	e = marks_write(fd, &marks);
	return e < 0 ? object_fail(m, e, "set how long its data lives (F_SET_RW_HINT)") : 0;
}

static int object_make(struct restore *r, const Img__Shmem *m)
{
	bool sysv = sysv_shm_record(r, m->id) && !r->opt->explain, fill = true;
	auto_close int fd = m->memfd ? memfd_make(m)
	                    : sysv   ? sysv_shm_make(r, m, &fill)
	                             : anonymous_make(m);
	int e;

	if (sysv && fd < 0)
		return fd;

	if (fd == -ENOMEM && m->huge_page_size)
		return object_fail(m, fd, "there are not enough free huge pages");
	if (fd < 0)
		return object_fail(m, fd, "make it");
	if (m->memfd && ftruncate(fd, (off_t)m->size) < 0)
		return object_fail(m, -errno, "set its size");
	e = fill ? object_fill(r, m, fd) : 0;
	if (e == 0 && m->memfd)
		e = memfd_finish(m, fd);
	return e < 0 ? e : take_fd(&fd);
}

/* ---- the pool ---- */

static struct shmem *slot_of(struct restore *r, uint32_t id)
{
	size_t n, at;
	const struct record *rec = images_kind(r->images, KIND_shmem, &n);
	const struct record *own = images_find(r->images, KIND_shmem, id, &at);

	if (!at)
		return NULL;
	if (!r->shmem) {
		r->shmem = calloc(n, sizeof(*r->shmem));
		for (size_t i = 0; r->shmem && i < n; i++)
			r->shmem[i] = (struct shmem){ { -1, -1 } };
	}
	return r->shmem ? &r->shmem[own - rec] : NULL;
}

static int reopen_to_read(const Img__Shmem *m, int fd)
{
	char path[32];
	int again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDONLY | O_CLOEXEC);
	return again < 0 ? object_fail(m, -errno, "open it again") : again;
}

int shmem_get(struct restore *r, uint32_t id, bool write)
{
	const Img__Shmem *m = shmem_record(r, id);
	struct shmem *slot = slot_of(r, id);

	if (!slot)
		return fail(m ? -ENOMEM : -EBADMSG, "there is no shared memory %u", id);
	if (slot->fd[1] < 0) {
		int fd = object_make(r, m);

		if (fd < 0)
			return fd;
		slot->fd[1] = pool_add(r, fd);
		if (slot->fd[1] < 0)
			return slot->fd[1];
	}
	if (!write && slot->fd[0] < 0) {
		int fd = reopen_to_read(m, slot->fd[1]);

		if (fd < 0)
			return fd;
		slot->fd[0] = pool_add(r, fd);
	}
	return slot->fd[write];
}

int shmem_seal(struct restore *r)
{
	size_t n;
	const struct record *rec = images_kind(r->images, KIND_shmem, &n);

	for (size_t i = 0; r->shmem && i < n; i++) {
		const Img__Shmem *m = (const Img__Shmem *)rec[i].msg;
		int have;

		if (!m->memfd || r->shmem[i].fd[1] < 0)
			continue;
		have = fcntl(r->shmem[i].fd[1], F_GET_SEALS);
		if (have >= 0 && (uint32_t)have == m->seals)
			continue;
		if (fcntl(r->shmem[i].fd[1], F_ADD_SEALS, m->seals) < 0)
			return object_fail(m, -errno, "seal it");
	}
	return 0;
}

void shmem_done(struct restore *r)
{
	free(r->shmem);
	r->shmem = NULL;
}
