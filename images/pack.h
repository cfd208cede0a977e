/*
 * Compressed page files (doc/FORMAT.md): blocks of 256 KiB that are compressed
 * one by one, the last may be shorter, then an index: the size of each block, by
 * which any page is found. A block that does not shrink is stored as it is.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "images/sink.h"
#include "images/verify.h"
#include "lib/codec.h"

#define PACK_BLOCK (256u << 10) /* before compression */

/* A link of a chain that compresses. *RET owns NEXT. -ENOTSUP: it cannot be had; -ENOMEM. */
int pack_sink_new(const struct compression *how, struct sink *next, struct sink **ret);

/* Can SIZE bytes of a file hold PLAIN bytes of pages? -EBADMSG. */
int pack_size_check(uint64_t size, uint64_t plain);

/*
 * All of the compressed page files, by as many threads as there are CPUs for
 * us: im->pages become copies in memory. -EBADMSG, explained: an index or a block is
 * none; -ENOMEM, explained: the machine does not have so much.
 */
int pages_unpack(struct images *im);
