/*
 * Memory for decoded messages: handed out piece by piece, freed as a whole,
 * never more than a limit. What protobuf-c gives back early stays until the end.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>

struct heap_block;

struct heap {
	struct heap_block *blocks;
	size_t used, size;   /* of the first block */
	size_t total, limit; /* bytes */
	ProtobufCAllocator allocator;
};

void heap_init(struct heap *h, size_t limit);
void heap_done(struct heap *h);

/* Aligned to 16 bytes; NULL beyond the limit and when there is no memory. */
void *heap_alloc(struct heap *h, size_t size);
