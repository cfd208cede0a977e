/*
 * The arena: the memory that a script and all it points to lives in, at one
 * address in every task that runs from it.
 *
 * At dump it is built in a local buffer and copied into the target; at restore
 * it is one shared mapping at the same address in crtool and in all tasks.
 * Its first page holds the blob; the mover may be behind it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct arena {
	uint64_t base; /* where the tasks see it */
	char *local;   /* where crtool sees it */
	size_t size;   /* room, in bytes */
	size_t code;   /* bytes at the start that are code, and never written to in a task */
	size_t used;   /* bytes handed out, code included: what has to be copied */
	size_t stacks; /* offset of the lowest stack */
};

#define ARENA_BLOB  4096  /* bytes at the start that are the blob */
#define ARENA_STACK 16384 /* bytes of a script's stack: room for a signal frame */

/* The blob, its bytes are at the start of every arena. */
extern const char blob_start[], blob_end[];

/* For a dump: a local buffer of SIZE bytes (address space only) seen by the task at BASE. */
int arena_init(struct arena *a, uint64_t base, size_t size);

/* Have the mover (parasite/mover.h) behind the blob; before anything else is handed out. -ENOMEM: no room. */
int arena_add_code(struct arena *a);
#define ARENA_CODE (ARENA_BLOB + 16384) /* code is never more */

/* Where the tasks see that function of the mover (MOVER_READ ...). */
uint64_t arena_mover(const struct arena *a, unsigned function);

/* Its first SIZE bytes are there before they are needed. */
void arena_warm(struct arena *a, size_t size);

/* For a restore: shared memory of SIZE bytes at BASE, which must be free here; blob and mover are executable. */
int arena_init_shared(struct arena *a, uint64_t base, size_t size);

void arena_done(struct arena *a);

/* SIZE zeroed bytes, 16-byte aligned: their address in the task. 0 when the arena is full. */
uint64_t arena_alloc(struct arena *a, size_t size);

/* A copy of SIZE bytes of DATA. */
uint64_t arena_put(struct arena *a, const void *data, size_t size);

/* A stack of ARENA_STACK bytes: its top in the task. 0 when the arena is full. */
uint64_t arena_stack(struct arena *a);

/* Where crtool sees the address AT, which arena_alloc() gave; NULL if it is outside. */
void *arena_at(const struct arena *a, uint64_t at);
