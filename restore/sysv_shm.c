/*
 * SysV shared memory, restore half. The coordinator makes the segment and fills
 * it through a mapping of its own; the tasks attach it in their scripts. One that
 * was marked for destruction is marked at once, and lives as long as the
 * coordinator has it attached: if all fails nothing is left.
 *
 * A segment that survived its processes in the kernel is used again if it is
 * still the one of the dump and nobody has it attached: its content becomes that
 * of the image, its id and times stay.
 *
 * shmat(2) maps a segment as a whole. Where only a part was left of that, it
 * is attached somewhere else, the part is moved where it was, and the rest goes.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/sysv.h"
#include "parasite/arch/arch.h"
#include "restore/shmem.h"
#include "restore/sysv.h"

#define HUGE_SHIFT 26 /* SHM_HUGE_SHIFT */
#define LOWEST     0x10000000ul

const Img__SysvShm *sysv_shm_record(const struct restore *r, uint32_t shmem_id)
{
	return (const Img__SysvShm *)images_one(r->images, KIND_sysv_shm, shmem_id);
}

static uint64_t page_size(const Img__Shmem *m)
{
	return m->huge_page_size ? m->huge_page_size : 4096;
}

static uint64_t mapped_size(const Img__Shmem *m)
{
	uint64_t page = page_size(m);

	return (m->size + page - 1) & ~(page - 1);
}

static const char *name_of(const Img__SysvShm *s)
{
	return sysv_perm_name(SYSV_SHM, s->perm);
}

int sysv_shm_check(struct restore *r, const Img__Shmem *m)
{
	const Img__SysvShm *s = sysv_shm_record(r, m->id);
	int ret = s ? sysv_check_perm(SYSV_SHM, s->perm) : 0;

	if (!s || ret < 0)
		return ret;
	if (m->memfd || !s->size || s->size > m->size || m->size - s->size >= page_size(m) ||
	    s->cpid > INT32_MAX || s->lpid > INT32_MAX || (s->perm->kept && m->n_pages))
		return fail(-EBADMSG, "%s: sizes, content or numbers are wrong", name_of(s));
	return 0;
}

/* ---- the one that may be there ---- */

static bool is_same(const struct restore *r, const Img__SysvShm *s, const struct shmid_ds *ds)
{
	return pool_same_boot(r) && (uint32_t)ds->shm_perm.__key == s->perm->key &&
	       ds->shm_segsz == s->size && (uint32_t)ds->shm_cpid == s->cpid &&
	       (s->perm->kept || r->opt->sysv == SYSV_KEEP || ds->shm_ctime == s->perm->ctime);
}

static int refuse_attached(const Img__SysvShm *s, uint64_t nattch, const char *remedy)
{
	char comm[32] = "";
	pid_t self = getpid(), pid;

	pid = sysv_attached((int)s->perm->sysvid, &self, 1, comm, sizeof(comm));
	if (pid)
		return fail(-EBUSY, "%s: is there and attached by task %d (%s)%s", name_of(s), pid,
		            comm, remedy);
	return fail(-EBUSY, "%s: is there and attached %" PRIu64 " times%s", name_of(s), nattch,
	            remedy);
}

/* With --sysv recreate: those in the way go, if nobody has them attached. */
static int clear_way(const Img__SysvShm *s)
{
	int ids[] = { (int)s->perm->sysvid, s->perm->key ? shmget((key_t)s->perm->key, 0, 0) : -1 };

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		struct shmid_ds ds;

		if (ids[i] < 0 || shmctl(ids[i], IPC_STAT, &ds) < 0)
			continue;
		if (ds.shm_nattch)
			return refuse_attached(s, ds.shm_nattch, "");
		if (shmctl(ids[i], IPC_RMID, NULL) < 0)
			return fail(-errno, "%s: remove the one that is there", name_of(s));
	}
	return 0;
}

enum found { FOUND_NONE, FOUND_FILL, FOUND_AS_IT_IS };

/* What to do about the segment of that id: enum found, or -errno explained. */
static int find_segment(struct restore *r, const Img__SysvShm *s)
{
	bool keep = s->perm->kept || r->opt->sysv == SYSV_KEEP;
	struct shmid_ds ds;

	if (!keep && r->opt->sysv == SYSV_RECREATE)
		return clear_way(s);
	if (shmctl((int)s->perm->sysvid, IPC_STAT, &ds) < 0) {
		if (s->perm->kept)
			return fail(-ENOTSUP,
			            "%s: was kept by the dump (--sysv keep) and is gone since then",
			            name_of(s));
		return FOUND_NONE;
	}
	if (!is_same(r, s, &ds))
		return fail(
			-EBUSY,
			"%s: its id is in use by another one, of %zu bytes with key %#x; remove "
			"that (ipcrm -m %u) or give --sysv recreate",
			name_of(s), ds.shm_segsz, (unsigned)ds.shm_perm.__key, s->perm->sysvid);
	if (keep)
		return FOUND_AS_IT_IS;
	if (ds.shm_nattch)
		return refuse_attached(s, ds.shm_nattch,
		                       "; --sysv keep uses it as it is, with the content of now");
	return FOUND_FILL;
}

/* ---- making ---- */

struct request {
	key_t key;
	size_t size;
	int flags;
};

static int request_make(const void *arg)
{
	const struct request *q = arg;
	int id = shmget(q->key, q->size, q->flags);

	/* What was reserved for it then cannot be seen: at least as little as now. */
	if (id < 0 && errno == ENOMEM)
		id = shmget(q->key, q->size, q->flags | SHM_NORESERVE);
	return id < 0 ? -errno : id;
}

static void request_write(struct request *q, const Img__Shmem *m, const Img__SysvShm *s)
{
	*q = (struct request){ (key_t)s->perm->key, s->size,
		               IPC_CREAT | IPC_EXCL | (int)(s->perm->mode & 0777) };
	if (m->huge_page_size)
		q->flags |= SHM_HUGETLB | __builtin_ctzll(m->huge_page_size) << HUGE_SHIFT;
	/* Its name in maps shows the key that it had; somebody may have taken that. */
	if (s->perm->mode & SHM_DEST && q->key && shmget(q->key, 0, 0) >= 0)
		q->key = IPC_PRIVATE;
}

/* Those that are not there, all at once, when the first is needed; what was found is noted. */
static int make_missing(struct restore *r, struct sysv_wish *wishes, struct request *requests)
{
	size_t n, missing = 0;
	const struct record *rec = images_kind(r->images, KIND_sysv_shm, &n);

	for (size_t i = 0; i < n; i++) {
		const Img__SysvShm *s = (const Img__SysvShm *)rec[i].msg;
		const Img__Shmem *m = shmem_record(r, s->id);
		int found =
			m ? find_segment(r, s) : fail(-EBADMSG, "%s: has no content", name_of(s));

		if (found < 0)
			return found;
		r->segments[i] = (uint8_t)found;
		if (found != FOUND_NONE)
			continue;
		request_write(&requests[missing], m, s);
		wishes[missing] = (struct sysv_wish){ s->perm, (pid_t)s->cpid, request_make,
			                              &requests[missing] };
		missing++;
	}
	return sysv_make(r, SYSV_SHM, wishes, missing);
}

static int segments_make(struct restore *r)
{
	size_t n;
	const struct record *rec = images_kind(r->images, KIND_sysv_shm, &n);
	auto_free struct sysv_wish *wishes = calloc(n + 1, sizeof(*wishes));
	auto_free struct request *requests = calloc(n + 1, sizeof(*requests));

	if (r->segments || !rec)
		return 0;
	r->segments = calloc(n + 1, sizeof(*r->segments));
	return wishes && requests && r->segments ? make_missing(r, wishes, requests) : -ENOMEM;
}

static enum found found_before(const struct restore *r, uint32_t id)
{
	size_t n;
	const struct record *rec = images_kind(r->images, KIND_sysv_shm, &n);

	return r->segments[images_find(r->images, KIND_sysv_shm, id, &n) - rec];
}

/* Owner, mode, lock; its end, if that was decided. */
static int segment_finish(const Img__SysvShm *s)
{
	struct shmid_ds ds;
	int id = (int)s->perm->sysvid;

	if (shmctl(id, IPC_STAT, &ds) < 0)
		return fail(-errno, "%s: IPC_STAT", name_of(s));
	if (ds.shm_perm.uid != s->perm->uid || ds.shm_perm.gid != s->perm->gid ||
	    (ds.shm_perm.mode & 0777) != (s->perm->mode & 0777)) {
		ds.shm_perm.uid = s->perm->uid;
		ds.shm_perm.gid = s->perm->gid;
		ds.shm_perm.mode = (unsigned short)(s->perm->mode & 0777);
		if (shmctl(id, IPC_SET, &ds) < 0)
			return fail(-errno, "%s: set its owner and mode", name_of(s));
	}
	if (s->perm->mode & SHM_LOCKED && shmctl(id, SHM_LOCK, NULL) < 0)
		return fail(-errno, "%s: lock it into memory", name_of(s));
	if (s->perm->mode & SHM_DEST && shmctl(id, IPC_RMID, NULL) < 0)
		return fail(-errno, "%s: mark it for destruction", name_of(s));
	return 0;
}

/* What is behind the mapping AT. */
static int open_mapping(const Img__Shmem *m, char *at)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (uintptr_t)at,
	         (uintptr_t)at + mapped_size(m));
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Who was the last to attach it. */
static int segment_touch(const void *arg)
{
	const Img__SysvPerm *perm = arg;
	void *at = shmat((int)perm->sysvid, NULL, SHM_RDONLY);

	return at == (void *)-1 ? 0 : shmdt(at);
}

static int job_compare(const void *a, const void *b)
{
	const struct sysv_job *x = a, *y = b;

	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

int sysv_shm_make(struct restore *r, const Img__Shmem *m, bool *ret_fill)
{
	const Img__SysvShm *s = sysv_shm_record(r, m->id);
	int ret = segments_make(r);
	enum found found;
	auto_close int fd = -1;
	char *at;

	if (ret < 0)
		return ret;
	found = found_before(r, m->id);
	at = shmat((int)s->perm->sysvid, NULL, 0);
	if (at == (void *)-1)
		return fail(-errno, "%s: attach it", name_of(s));
	/* Whoever is forked has no need of it, and each would cost him. */
	madvise(at, mapped_size(m), MADV_DONTFORK);
	ret = sysv_attachment(r, at);
	if (ret == 0 && found != FOUND_AS_IT_IS)
		ret = segment_finish(s);
	if (ret < 0)
		return ret;
	fd = open_mapping(m, at);
	if (fd < 0)
		return fail(fd, "%s: open its content", name_of(s));
	*ret_fill = found != FOUND_AS_IT_IS;
	/* Zeros are not in the image. */
	if (found == FOUND_FILL &&
	    fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)mapped_size(m)) < 0)
		return fail(-errno, "%s: empty it", name_of(s));
	return take_fd(&fd);
}

/* ---- attaching ---- */

/* Mappings from number I on that one shmat(2) made: the same segment, one behind the other. */
static size_t attachment_length(const Img__Memory *m, size_t i)
{
	size_t n = 1;

	for (; i + n < m->n_vmas; n++) {
		const Img__Vma *a = m->vmas[i + n - 1], *b = m->vmas[i + n];

		if (b->type != IMG__VMA__TYPE__SHMEM || b->object != a->object ||
		    b->start != a->start + a->size || b->offset != a->offset + a->size ||
		    (a->traits ^ b->traits) & IMG__VMA__TRAIT__WRITE)
			break;
	}
	return n;
}

/* SIZE free bytes, at a multiple of ALIGN, in the address space that will be M and the arena; 0: there are none. */
static uint64_t free_range(const struct restore *r, const Img__Memory *m, uint64_t size,
                           uint64_t align)
{
	uint64_t at = LOWEST;

	for (size_t i = 0; i <= m->n_vmas; i++) {
		uint64_t end = i < m->n_vmas ? m->vmas[i]->start : ARCH_USER_END - 4096;
		uint64_t arena = r->arena.base, behind = arena + r->arena.size;

		at = (at + align - 1) & ~(align - 1);
		if (at < behind && arena < at + size && behind < end)
			at = (behind + align - 1) & ~(align - 1);
		if (at < end && size <= end - at && !(at < behind && arena < at + size))
			return at;
		if (i < m->n_vmas && m->vmas[i]->start + m->vmas[i]->size > at)
			at = m->vmas[i]->start + m->vmas[i]->size;
	}
	return 0;
}

/* A part of the segment: by way of free addresses. */
static int attach_part(struct restore *r, const Img__Memory *m, const Img__Vma *first,
                       uint64_t size, const Img__Shmem *object, int flags, struct script *s)
{
	const Img__SysvShm *seg = sysv_shm_record(r, object->id);
	uint64_t all = mapped_size(object), at = free_range(r, m, all, page_size(object));
	uint64_t from = at + first->offset;

	if (!at)
		return fail(-ENOMEM, "%s: no %" PRIu64 " free bytes to attach it at", name_of(seg),
		            all);
	script_want(s, at, SYS_shmat, seg->perm->sysvid, at, flags);
	script_want(s, first->start, SYS_mremap, from, size, size, MREMAP_MAYMOVE | MREMAP_FIXED,
	            first->start);
	script_call(s, SYS_munmap, at, all);
	return 0;
}

int sysv_shm_map(struct restore *r, const Img__Memory *m, size_t i, struct script *s)
{
	const Img__Vma *v = m->vmas[i];
	const Img__Shmem *object = shmem_record(r, v->object);
	const Img__SysvShm *seg = sysv_shm_record(r, v->object);
	size_t n = attachment_length(m, i);
	uint64_t size = m->vmas[i + n - 1]->start + m->vmas[i + n - 1]->size - v->start;
	bool write = v->traits & IMG__VMA__TRAIT__WRITE;
	uint32_t prot = PROT_READ | (write ? PROT_WRITE : 0);
	int flags = write ? 0 : SHM_RDONLY, ret = shmem_get(r, v->object, true);

	if (ret < 0)
		return ret;
	if (v->offset + size > mapped_size(object))
		return fail(-EBADMSG, "%s: mapped beyond its end", name_of(seg));
	if (!v->offset && size == mapped_size(object))
		script_want(s, v->start, SYS_shmat, seg->perm->sysvid, v->start, flags);
	else
		ret = attach_part(r, m, v, size, object, flags, s);
	for (size_t k = i; ret >= 0 && k < i + n; k++) {
		const Img__Vma *part = m->vmas[k];

		if (part->prot != prot)
			script_call(s, SYS_mprotect, part->start, part->size, part->prot);
		if (part->traits & IMG__VMA__TRAIT__HUGEPAGE)
			script_ask(s, SYS_madvise, part->start, part->size, MADV_HUGEPAGE);
		if (part->traits & IMG__VMA__TRAIT__NOHUGEPAGE)
			script_ask(s, SYS_madvise, part->start, part->size, MADV_NOHUGEPAGE);
	}
	return ret < 0 ? ret : (int)n;
}

static int touch_all(struct restore *r)
{
	size_t n;
	const struct record *rec = images_kind(r->images, KIND_sysv_shm, &n);
	auto_free struct sysv_job *jobs = calloc(n + 1, sizeof(*jobs));
	size_t touched = 0;

	if (!jobs)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const Img__SysvShm *s = (const Img__SysvShm *)rec[i].msg;

		if (s->detached)
			jobs[touched++] =
				(struct sysv_job){ (pid_t)s->lpid, segment_touch, s->perm, 0 };
	}
	qsort(jobs, touched, sizeof(*jobs), job_compare);
	sysv_as_all(jobs, touched);
	return 0;
}

int sysv_shm_make_detached(struct restore *r)
{
	size_t n;
	const struct record *rec = images_kind(r->images, KIND_sysv_shm, &n);
	int ret = 0;

	for (size_t i = 0; ret >= 0 && i < n; i++) {
		const Img__SysvShm *s = (const Img__SysvShm *)rec[i].msg;

		if (s->detached)
			ret = shmem_get(r, s->id, true);
	}
	return ret < 0 ? ret : r->opt->explain ? 0 : touch_all(r);
}
