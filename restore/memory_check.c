/*
 * A memory record from a stranger: mappings in order, within user space, of
 * kinds that exist, with flags that are known; pages and guard regions within
 * mappings that can take them.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "parasite/arch/arch.h"
#include "restore/memory.h"
#include "restore/shmem.h"

#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08
#endif
#define MAP_TYPE_BITS 0x0f
#define MAP_HUGE_BITS (0x3fu << 26)
#define MAP_KNOWN                                                                                 \
	(MAP_TYPE_BITS | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_NORESERVE | MAP_HUGETLB | 0x80000u | \
	 MAP_HUGE_BITS)
#define TRAITS_KNOWN (IMG__VMA__TRAIT__ACCOUNTED * 2u - 1u)
#define NAME_LIMIT   80 /* ANON_VMA_NAME_MAX_LEN */
#define AUXV_MAX     1024
#define PAGE_BITS    UINT64_C(4095)

static int vma_fail(uint32_t pid, const Img__Vma *v, const char *what)
{
	return fail(-EBADMSG, "task %u: mapping %" PRIx64 " of %" PRIu64 " bytes: %s", pid,
	            v->start, v->size, what);
}

static bool vma_is_private(const Img__Vma *v)
{
	return v->type <= IMG__VMA__TYPE__SHMEM && (v->map & MAP_TYPE_BITS) != MAP_SHARED &&
	       (v->map & MAP_TYPE_BITS) != MAP_SHARED_VALIDATE;
}

static int check_object(struct restore *r, uint32_t pid, const Img__Vma *v)
{
	if (v->offset & PAGE_BITS || v->offset + v->size < v->offset)
		return vma_fail(pid, v, "impossible offset");
	if ((v->type == IMG__VMA__TYPE__FILE || v->type == IMG__VMA__TYPE__RING) &&
	    !images_one(r->images, KIND_file, v->object))
		return vma_fail(pid, v, "of a file that is not there");
	if (v->type == IMG__VMA__TYPE__SHMEM && !shmem_record(r, v->object))
		return vma_fail(pid, v, "of shared memory that is not there");
	return 0;
}

static int check_flags(uint32_t pid, const Img__Vma *v)
{
	uint32_t type = v->map & MAP_TYPE_BITS;
	bool anonymous = v->map & MAP_ANONYMOUS;

	if (v->type == IMG__VMA__TYPE__VVAR || v->type == IMG__VMA__TYPE__VDSO ||
	    v->type == IMG__VMA__TYPE__AIO)
		return v->map || v->traits || v->pkey
		               ? vma_fail(pid, v, "flags for what the kernel makes")
		               : 0;
	if (v->type > IMG__VMA__TYPE__RING)
		return vma_fail(pid, v, "of an unknown kind");
	if (v->prot > 7 || v->map & ~MAP_KNOWN || v->traits > TRAITS_KNOWN)
		return vma_fail(pid, v, "unknown flags");
	if (type != MAP_PRIVATE && type != MAP_SHARED && type != MAP_SHARED_VALIDATE &&
	    type != MAP_DROPPABLE)
		return vma_fail(pid, v, "neither private nor shared");
	if (anonymous != (v->type == IMG__VMA__TYPE__ANON) || (anonymous && !vma_is_private(v)))
		return vma_fail(pid, v, "flags that do not fit its kind");
	if (v->type == IMG__VMA__TYPE__RING && type != MAP_SHARED)
		return vma_fail(pid, v, "of a ring, and not shared");
	if (strlen(v->name) > NAME_LIMIT)
		return vma_fail(pid, v, "too long a name");
	return 0;
}

static int check_vmas(struct restore *r, uint32_t pid, const Img__Memory *m)
{
	uint64_t end = 0;

	for (size_t i = 0; i < m->n_vmas; i++) {
		const Img__Vma *v = m->vmas[i];
		int e;

		if ((v->start | v->size) & PAGE_BITS || !v->size || v->start < end ||
		    v->start >= ARCH_USER_END || v->size > ARCH_USER_END - v->start)
			return vma_fail(pid, v, "out of order or of user space");
		end = v->start + v->size;
		e = check_flags(pid, v);
		if (e == 0)
			e = check_object(r, pid, v);
		if (e < 0)
			return e;
	}
	return 0;
}

/* The first mapping that ends behind AT. */
static size_t vma_find(const Img__Memory *m, uint64_t at)
{
	size_t low = 0, high = m->n_vmas;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (m->vmas[mid]->start + m->vmas[mid]->size <= at)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* All of [START, START + SIZE) lies in mappings; they get MARK. Pages need private ones. */
static int mark(uint32_t pid, const Img__Memory *m, uint64_t start, uint64_t size, uint8_t flag,
                uint8_t *marks)
{
	size_t i = vma_find(m, start);

	while (size) {
		const Img__Vma *v = i < m->n_vmas ? m->vmas[i] : NULL;
		uint64_t n;

		if (!v || v->start > start || v->type > IMG__VMA__TYPE__SHMEM ||
		    (flag == MARK_FILLED && !vma_is_private(v)))
			return fail(-EBADMSG, "task %u: pages at %" PRIx64 ", where they cannot be",
			            pid, start);
		n = v->start + v->size - start;
		marks[i++] |= flag;
		start += n < size ? n : size;
		size -= n < size ? n : size;
	}
	return 0;
}

static int mark_pages(struct restore *r, uint32_t pid, const Img__Memory *m, uint8_t *marks)
{
	size_t n;
	const struct record *rec = images_find(r->images, KIND_pages, pid, &n);

	for (size_t i = 0; i < n; i++) {
		const Img__Pages *msg = (const Img__Pages *)rec[i].msg;
		struct page_iter it;
		struct page_run run;
		int e = pages_check(r->images, msg);

		if (e < 0)
			return e;
		it = pages_iter(r->images, msg);
		while (pages_next(&it, &run)) {
			e = mark(pid, m, run.start, run.size, MARK_FILLED, marks);
			if (e < 0)
				return e;
		}
	}
	return 0;
}

static int mark_guards(uint32_t pid, const Img__Memory *m, uint8_t *marks)
{
	if (m->n_guard_start != m->n_guard_size)
		return fail(-EBADMSG, "task %u: guard regions without a size", pid);
	for (size_t i = 0; i < m->n_guard_start; i++) {
		uint64_t start = m->guard_start[i], size = m->guard_size[i];
		int e;

		if ((start | size) & PAGE_BITS || !size || start + size < start)
			return fail(-EBADMSG, "task %u: impossible guard region", pid);
		e = mark(pid, m, start, size, MARK_GUARDED, marks);
		if (e < 0)
			return e;
	}
	return 0;
}

int memory_marks(struct restore *r, uint32_t pid, const Img__Memory *m, uint8_t **ret)
{
	auto_free uint8_t *marks = calloc(m->n_vmas + 1, 1);
	int e;

	if (!marks)
		return -ENOMEM;
	e = mark_pages(r, pid, m, marks);
	if (e == 0)
		e = mark_guards(pid, m, marks);
	if (e < 0)
		return e;
	*ret = take_ptr(marks);
	return 0;
}

int memory_check(struct restore *r, uint32_t owner, const ProtobufCMessage *msg)
{
	const Img__Memory *m = (const Img__Memory *)msg;
	auto_free uint8_t *marks = NULL;
	int e;

	if (m->auxv.len > AUXV_MAX || m->auxv.len % 16)
		return fail(-EBADMSG, "task %u: impossible auxv", owner);
	if (!images_one(r->images, KIND_regular, m->exe))
		return fail(-EBADMSG, "task %u: its executable is not there", owner);
	e = check_vmas(r, owner, m);
	if (e == 0)
		e = keys_check(owner, m);
	if (e == 0)
		e = vdso_check(r, owner, m);
	if (e == 0)
		e = shmem_check(r);
	if (e == 0)
		memory_probe(owner, m);
	return e < 0 ? e : memory_marks(r, owner, m, &marks);
}
