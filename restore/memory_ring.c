/*
 * Mappings of io_uring: the kernel accepts no address for them, neither from mmap(2)
 * nor from mremap(2), it chooses. So all that is free is covered for a moment, before
 * anything else is mapped, but for the one place that is left to choose. VmPeak shows it.
 */
#include <sys/mman.h>
#include <sys/syscall.h>

#include "restore/memory.h"

#define LOWEST UINT64_C(4096)  /* below this nobody gets anything ... */
#define LOW    UINT64_C(65536) /* ... and below this maybe not (vm.mmap_min_addr) */

struct cover {
	const Img__Memory *m;
	struct script *s;
};

static bool is_ring(const Img__Vma *v)
{
	return v->type == IMG__VMA__TYPE__RING;
}

static void emit_cover(uint64_t start, uint64_t end, enum op_expect expect, struct script *s)
{
	if (start < end)
		script_expect(s, expect, 0, SYS_mmap, start, end - start, PROT_NONE,
		              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

static void cover(uint64_t start, uint64_t end, void *arg)
{
	const struct cover *c = arg;

	if (start < LOW)
		emit_cover(LOWEST, end < LOW ? end : LOW, EXPECT_ANY, c->s);
	emit_cover(start < LOW ? LOW : start, end, EXPECT_SUCCESS, c->s);
}

/* All but the rings. */
static void uncover(uint64_t start, uint64_t end, void *arg)
{
	const struct cover *c = arg;

	for (size_t i = 0; i < c->m->n_vmas; i++) {
		const Img__Vma *v = c->m->vmas[i];

		if (!is_ring(v) || v->start < start || v->start >= end)
			continue;
		if (start < v->start)
			script_call(c->s, SYS_munmap, start, v->start - start);
		start = v->start + v->size;
	}
	if (start < end)
		script_call(c->s, SYS_munmap, start, end - start);
}

static int map_ring(struct restore *r, const Img__Vma *v, struct script *s)
{
	int fd = pool_file(r, v->object);

	if (fd < 0)
		return fd;
	script_call(s, SYS_munmap, v->start, v->size);
	script_want(s, (int64_t)v->start, SYS_mmap, 0, v->size, v->prot, MAP_SHARED, fd, v->offset);
	return 0;
}

int rings_map(struct restore *r, const Img__Memory *m, const struct keep *keep, struct script *s)
{
	struct cover c = { m, s };
	bool covered = false;

	for (size_t i = 0; i < m->n_vmas; i++) {
		int e;

		if (!is_ring(m->vmas[i]))
			continue;
		if (!covered)
			memory_free_ranges(r, keep, cover, &c);
		covered = true;
		e = map_ring(r, m->vmas[i], s);
		if (e < 0)
			return e;
	}
	if (covered)
		memory_free_ranges(r, keep, uncover, &c);
	return 0;
}
