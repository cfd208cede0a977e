/*
 * Layout: [blob page][mover][data, growing up] ... [stacks, growing down]. Only the
 * blob and the data are ever copied; stacks are touched by the tasks alone.
 */
#include "parasite/arena.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "parasite/mover.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* 5.14 */
#endif

static int arena_place(struct arena *a, uint64_t base, size_t size, void *local)
{
	if (local == MAP_FAILED)
		return -errno;
	*a = (struct arena){
		.base = base,
		.local = local,
		.size = size,
		.code = ARENA_BLOB,
		.used = ARENA_BLOB,
		.stacks = size,
	};
	memcpy(a->local, blob_start, (size_t)(blob_end - blob_start));
	return 0;
}

int arena_init(struct arena *a, uint64_t base, size_t size)
{
	return arena_place(a, base, size,
	                   mmap(NULL, size, PROT_READ | PROT_WRITE,
	                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
}

int arena_init_shared(struct arena *a, uint64_t base, size_t size)
{
	int r = arena_place(a, base, size,
	                    mmap((void *)base, size, PROT_READ | PROT_WRITE,
	                         MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE,
	                         -1, 0));

	if (r < 0)
		return r;
	r = arena_add_code(a);
	if (r == 0 && mprotect(a->local, a->code, PROT_READ | PROT_EXEC) < 0)
		r = -errno;
	if (r < 0)
		arena_done(a);
	return r;
}

uint64_t arena_mover(const struct arena *a, unsigned function)
{
	return a->base + ARENA_BLOB + function;
}

int arena_add_code(struct arena *a)
{
	size_t size, whole;
	const char *code = mover_code(&size);

	whole = (size + ARENA_BLOB - 1) / ARENA_BLOB * ARENA_BLOB;
	if (a->stacks - a->used < whole)
		return -ENOMEM;
	memcpy(a->local + ARENA_BLOB, code, size);
	a->code = a->used = ARENA_BLOB + whole;
	return 0;
}

void arena_warm(struct arena *a, size_t size)
{
	madvise(a->local, size < a->size ? size : a->size, MADV_POPULATE_WRITE);
}

void arena_done(struct arena *a)
{
	if (a->local)
		munmap(a->local, a->size);
	*a = (struct arena){};
}

uint64_t arena_alloc(struct arena *a, size_t size)
{
	size_t need = (size + 15) & ~(size_t)15;
	uint64_t at = a->base + a->used;

	if (need < size || need > a->stacks - a->used)
		return 0;
	a->used += need;
	return at;
}

uint64_t arena_put(struct arena *a, const void *data, size_t size)
{
	uint64_t at = arena_alloc(a, size);

	if (at)
		memcpy(arena_at(a, at), data, size);
	return at;
}

uint64_t arena_stack(struct arena *a)
{
	uint64_t top = a->base + a->stacks;

	if (a->stacks - a->used < ARENA_STACK)
		return 0;
	a->stacks -= ARENA_STACK;
	return top;
}

void *arena_at(const struct arena *a, uint64_t at)
{
	return at >= a->base && at < a->base + a->size ? a->local + (at - a->base) : NULL;
}
