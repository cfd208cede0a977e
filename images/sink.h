/*
 * Where the bytes of a file go: a chain, from whoever writes to the disk. Each
 * link takes bytes, changes them (compression, then encryption) and hands them
 * on; the last one writes. The way back is a transformation of whole files
 * (images/verify.c, images/unpack.c), as restored tasks need page files that they can
 * read anywhere.
 */
#pragma once

#include <stddef.h>

struct sink {
	int (*write)(struct sink *s, const void *data, size_t size);
	/* Nothing more comes: what was held back goes on, and the next one ends. */
	int (*end)(struct sink *s);
	void (*free)(struct sink *s);
	struct sink *next;
};
