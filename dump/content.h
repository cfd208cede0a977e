/*
 * The content of a file, as runs of pages in a page file: read in small pieces
 * through a description of our own, holes left out, the last page filled up
 * with zeros.
 */
#pragma once

#include "images/images.h"
#include "lib/array.h"
#include "proto/pages.pb-c.h"

struct content {
	ARRAY(uint64_t) start, count; /* of the message */
	uint64_t end;                 /* of the last run, in bytes */
	Img__Pages msg;
};

/* Copy SIZE bytes of FD to OUT; *RET is ready to be packed until content_done(). NAME: for messages. Explained. */
int content_copy(struct pages_file *out, int fd, uint64_t size, const char *name,
                 struct content *ret);
void content_done(struct content *c);
