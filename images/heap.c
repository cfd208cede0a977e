#include "images/heap.h"

#include <stdlib.h>

#define BLOCK ((size_t)64 << 10)

struct heap_block {
	struct heap_block *next;
	_Alignas(16) char data[];
};

static void *protobuf_alloc(void *data, size_t size)
{
	return heap_alloc(data, size);
}

static void protobuf_free(void *data, void *p)
{
	(void)data, (void)p;
}

void heap_init(struct heap *h, size_t limit)
{
	*h = (struct heap){ .limit = limit };
	h->allocator.alloc = protobuf_alloc;
	h->allocator.free = protobuf_free;
	h->allocator.allocator_data = h;
}

void heap_done(struct heap *h)
{
	while (h->blocks) {
		struct heap_block *next = h->blocks->next;

		free(h->blocks);
		h->blocks = next;
	}
	h->used = h->size = h->total = 0;
}

void *heap_alloc(struct heap *h, size_t size)
{
	if (size > h->limit)
		return NULL;
	size = (size + 15) & ~(size_t)15;
	if (h->size - h->used < size) {
		size_t want = size > BLOCK ? size : BLOCK;
		struct heap_block *b;

		if (want > h->limit - h->total)
			return NULL;
		b = malloc(sizeof(*b) + want);
		if (!b)
			return NULL;
		b->next = h->blocks;
		h->blocks = b;
		h->used = 0;
		h->size = want;
		h->total += want;
	}
	h->used += size;
	return h->blocks->data + h->used - size;
}
