/*
 * The content of a file, as runs of pages in a page file: read in small pieces
 * through a description of our own, holes left out, the last page filled up
 * with zeros. Or quietly, through that of a program (lib/quiet.h): then holes are not known, and
 * pages of zeros are left out.
 */
#pragma once

#include "images/images.h"
#include "lib/array.h"
#include "lib/quiet.h"
#include "proto/pages.pb-c.h"

struct content {
	ARRAY(uint64_t) start, count; /* of the message */
	uint64_t end;                 /* of the last run, in bytes */
	Img__Pages msg;
};

/* Where from: a descriptor, and how to read from it. */
struct source {
	int fd;
	struct quiet *quiet; /* borrowed; NULL: pread(2) */
};

#define SOURCE_NONE ((struct source){ .fd = -1 })
void source_done(struct source *s);

/* Copy SIZE bytes of SOURCE to OUT; *RET is ready to be packed until content_done(). NAME: for messages. Explained. */
int content_copy(struct pages_file *out, struct source *source, uint64_t size, const char *name,
                 struct content *ret);
void content_done(struct content *c);
